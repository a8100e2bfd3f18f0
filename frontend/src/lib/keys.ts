/** Keyboard shortcuts: registered once, listed by `?`. */

import { h, need } from "@/lib/dom";

interface Shortcut {
  keys: string;
  does: string;
}

const listed: Shortcut[] = [];
const MAC = /Macintosh|iPhone|iPad/.test(navigator.userAgent);

/** "Mod-Enter" as the person's keyboard has it. */
export function label(keys: string): string {
  return keys
    .replace("Mod", MAC ? "⌘" : "Ctrl")
    .replaceAll("-", MAC ? "" : "+")
    .replace("Enter", "⏎")
    .replace("ArrowUp", "↑")
    .replace("ArrowDown", "↓");
}

/** Name a shortcut for the list (whoever handles it). */
export function list(keys: string, does: string): void {
  listed.push({ keys, does });
}

/** Register a shortcut for the whole page. Single characters don't fire while somebody types. */
export function on(keys: string, does: string, action: () => void): void {
  list(keys, does);
  const parts = keys.split("-");
  const key = parts.at(-1) ?? "";
  const mod = parts.includes("Mod");
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== key.toLowerCase() || event.defaultPrevented) return;
    const held = MAC ? event.metaKey : event.ctrlKey;
    if (mod !== held || event.altKey || (!mod && types(event.target))) return;
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    action();
  });
}

function types(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

export function show(): void {
  const place = need<HTMLElement>(document, "#shortcut-list");
  place.replaceChildren(
    ...listed.flatMap(({ keys, does }) => [h("dt", {}, h("kbd", {}, label(keys))), h("dd", {}, does)]),
  );
  need<HTMLDialogElement>(document, "#shortcuts").showModal();
}
