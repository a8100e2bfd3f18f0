/** Times that stay true while the page is open. */

import { duration, relative } from "@/lib/format";

function tick(root: ParentNode): void {
  const now = new Date();
  for (const each of root.querySelectorAll<HTMLElement>("[data-since]")) {
    set(each, duration((now.getTime() - Date.parse(each.dataset["since"] ?? "")) / 1000));
  }
  for (const each of root.querySelectorAll<HTMLTimeElement>("time[data-relative]")) {
    set(each, relative(new Date(each.dateTime), now));
  }
  for (const each of root.querySelectorAll<HTMLTimeElement>("time[data-clock]")) {
    const moment = new Date(each.dateTime);
    const time = moment.toLocaleTimeString("en-GB");
    const today = moment.toDateString() === now.toDateString();
    set(each, today ? time : `${moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`);
  }
}

/** Only touch what changed: a screen reader and a selection stay undisturbed. */
function set(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function start(): void {
  tick(document);
  window.setInterval(() => { if (!document.hidden) tick(document); }, 1000);
  document.body.addEventListener("htmx:afterSettle", () => { tick(document); });
}
