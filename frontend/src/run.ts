/** The page of one Run: its log and its script, highlighted. Running again with changes has the scripts alone. */

import { pageData, need } from "@/lib/dom";
import * as keys from "@/lib/keys";
import { announce } from "@/lib/live";
import { LogIsland, type LogOf } from "@/log/island";

function showLog(box: HTMLElement): void {
  let last = "";
  const island = new LogIsland(box, {
    task: box.dataset["task"] ?? "",
    state: (event) => {
      // The log's own socket is first to know; the page's parts refresh on it like on any change.
      const now = [event.state, event.reason, event.explanation, event.cancelling].join("|");
      if (last && now !== last) announce({ run: event.run, task: event.task, state: event.state });
      last = now;
    },
  });
  island.show(pageData("log-data") as LogOf);
  keys.on("/", "Search the output", () => { island.openSearch(); });
}

if (document.querySelector("#log-data")) showLog(need(document, "#output"));

const scripts = document.querySelectorAll<HTMLElement>("[data-highlight]");
if (scripts.length) {
  // The editor is large: it comes after what the page is for.
  void import("@/console/editor").then(({ showCode }) => {
    for (const script of scripts) showCode(script, script.dataset["highlight"] ?? "", script.textContent.replace(/^\n/, ""));
  });
}
