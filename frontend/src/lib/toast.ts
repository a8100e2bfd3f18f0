/** Short messages at the corner: what happened, and the button that undoes it. */

import { h, icon, need } from "@/lib/dom";

interface Options {
  bad?: boolean;
  /** what somebody typed, with its lines */
  quote?: string;
  action?: { label: string; run: () => void };
  /** ms without pointer or focus on it; an error stays until it is dismissed */
  lasts?: number;
  /** the toast went away without its action */
  gone?: () => void;
}

/** Returns a function that takes the message away. */
export function toast(message: string, options: Options = {}): () => void {
  let acted = false;
  const close = (): void => {
    if (!box.isConnected) return;
    window.clearTimeout(timer);
    box.remove();
    if (!acted) options.gone?.();
  };
  const action = options.action;
  const box = h(
    "div",
    { class: options.bad ? "toast bad" : "toast", role: options.bad ? "alert" : null },
    h("div", { class: "grow" }, message, options.quote !== undefined && h("pre", { tabindex: 0, role: "region", "aria-label": "What was typed" }, options.quote)),
    action && h("button", { class: "button small", type: "button", onclick: () => { acted = true; close(); action.run(); } }, action.label),
    h("button", { class: "button quiet small icon-only", type: "button", "aria-label": "Dismiss", onclick: close }, icon("close")),
  );
  need(document, "#toasts").append(box);
  const lasts = options.lasts ?? (options.bad ? 0 : 6000);
  let timer: number | undefined;
  const count = (): void => {
    window.clearTimeout(timer);
    // Whoever reaches for the button, with pointer or keyboard, has all the time they need.
    if (lasts && box.isConnected && !box.matches(":hover, :focus-within")) timer = window.setTimeout(close, lasts);
  };
  for (const name of ["pointerleave", "focusout"]) box.addEventListener(name, () => window.setTimeout(count));
  for (const name of ["pointerenter", "focusin"]) box.addEventListener(name, () => { window.clearTimeout(timer); });
  count();
  return close;
}

/** Any failure as a message; ours are sentences already. */
export function complain(error: unknown): void {
  toast(error instanceof Error ? error.message : String(error), { bad: true });
}
