/** Keyboard shortcuts: registered once, listed by `?`. */

import { h, need } from "@/lib/dom";

interface Shortcut {
  keys: string;
  does: string;
  /** null: only where the keys are pressed */
  action: (() => void) | null;
}

const listed: Shortcut[] = [];
/** Not among what it offers itself. */
export const OPENS_PALETTE = "Mod-K";
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
export function list(keys: string, does: string, action: (() => void) | null = null): void {
  listed.push({ keys, does, action });
}

/** The shortcuts of this page that can be had by name, too. */
export function actions(): { keys: string; does: string; action: () => void }[] {
  return listed.flatMap(({ keys, does, action }) => (action ? [{ keys, does, action }] : []));
}

/** Register a shortcut for the whole page. Single characters don't fire while somebody types. */
export function on(keys: string, does: string, action: () => void): void {
  list(keys, does, keys === OPENS_PALETTE ? null : action);
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
