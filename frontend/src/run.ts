/** The page of one Run: its log and its script, highlighted. */

import { pageData, need } from "@/lib/dom";
import * as keys from "@/lib/keys";
import { announce } from "@/lib/live";
import { LogIsland, type LogOf } from "@/log/island";

const log = pageData("log-data") as LogOf;
let last = "";

const island = new LogIsland(need(document, "#output"), {
  state: (event) => {
    // The log's own socket is first to know; the page's parts refresh on it like on any change.
    const now = [event.state, event.reason, event.explanation, event.cancelling].join("|");
    if (last && now !== last) announce({ run: event.run, task: event.task, state: event.state });
    last = now;
  },
});
island.show(log);
keys.on("/", "Search the output", () => { island.openSearch(); });

const script = document.querySelector<HTMLElement>("[data-highlight]");
if (script) {
  const text = script.textContent;
  // The editor is large: it comes after what the page is for.
  void import("@/console/editor").then(({ showCode }) => { showCode(script, log.script, text.replace(/^\n/, "")); });
}
