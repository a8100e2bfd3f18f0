/** Small helpers for making and finding elements. Text is always a text node. */

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((event: Event) => void) | null | undefined>;

/** An element with attributes, listeners (`onclick: fn`) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Make `wanted` the children of `parent`. What is there already is left alone, not taken out and put
    back: a press of the pointer that has begun on it is a click in the end, and a drag goes on. */
export function arrange(parent: Element, wanted: readonly Element[]): void {
  const kept = new Set<Node>(wanted);
  for (const child of [...parent.childNodes]) if (!kept.has(child)) child.remove();
  let at = parent.firstChild;
  for (const each of wanted) {
    if (each === at) at = at.nextSibling;
    else parent.insertBefore(each, at);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of the sprite (templates/partials/sprite.html). */
export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** The element, or an error that names what the template lacks. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as querySelector itself
export function need<T extends Element>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`The page has no ${selector}.`);
  return found;
}

/** What the template put into a json_script element. The server made it, so its shape is trusted. */
export function pageData(id: string): unknown {
  return JSON.parse(need<HTMLScriptElement>(document, `#${id}`).textContent);
}
