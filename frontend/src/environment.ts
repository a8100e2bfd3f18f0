/** The page of an Environment: the log of its check, live. */

import { pageData, need } from "@/lib/dom";
import * as keys from "@/lib/keys";
import { announce } from "@/lib/live";
import { LogIsland, type LogOf } from "@/log/island";

const log = pageData("log-data") as LogOf;
let last = "";

const island = new LogIsland(need(document, "#output"), {
  state: (event) => {
    // News of Runs go to the one whose Task it is: other administrators hear of a check only here.
    const now = [event.state, event.reason, event.explanation, event.cancelling].join("|");
    if (now !== last) announce({ run: event.run, task: event.task, state: event.state });
    last = now;
  },
});
island.show(log);
keys.on("/", "Search the output", () => { island.openSearch(); });
