/** Parts of a page that refresh themselves when a Run changes.

    <div data-live="*|task:<id>|run:<id>|end:<id>" hx-get="..." hx-trigger="refresh">: `*` any Run,
    `end` only when that Run has ended. data-live-every="10": also every 10 seconds while visible. */

import htmx from "htmx.org";
import { isRecord } from "@/lib/api";
import { concerns, type RunChange } from "@/lib/changes";
import { LiveSocket } from "@/lib/socket";

const SOON = 150;

const pending = new Map<Element, number>();

/** Many changes in one moment are one refresh. */
function refresh(part: Element): void {
  if (pending.has(part)) return;
  pending.set(
    part,
    window.setTimeout(() => {
      pending.delete(part);
      if (part.isConnected) htmx.trigger(part, "refresh", {});
    }, SOON),
  );
}

export function announce(change: RunChange): void {
  for (const part of document.querySelectorAll<HTMLElement>("[data-live]")) {
    if (concerns(part.dataset["live"] ?? "", change)) refresh(part);
  }
  document.dispatchEvent(new CustomEvent<RunChange>("rcluster:run", { detail: change }));
}

function refreshAll(): void {
  for (const part of document.querySelectorAll("[data-live]")) refresh(part);
}

export function start(): void {
  if (!document.body.dataset["user"]) return;
  new LiveSocket({
    address: () => "/ws/events/",
    message: (data) => {
      if (typeof data !== "string") return;
      const change: unknown = JSON.parse(data);
      if (!isRecord(change)) return;
      // A Task was shared with this person, or taken back: lists are other lists now.
      if (change["type"] === "access") {
        refreshAll();
        document.dispatchEvent(new CustomEvent<string>("rcluster:access", { detail: String(change["task"]) }));
      }
      if (change["type"] !== "run") return;
      announce({ run: String(change["run"]), task: String(change["task"]), state: String(change["state"]) });
    },
    // What happened before the connection was there, or while it was away, is not told again.
    status: (now) => { if (now === "open") refreshAll(); },
    final: (code) => {
      if (code !== 4401) return false;
      document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
      return true;
    },
  });
  for (const part of document.querySelectorAll<HTMLElement>("[data-live-every]")) {
    window.setInterval(() => { if (!document.hidden) refresh(part); }, Number(part.dataset["liveEvery"]) * 1000);
  }
}
