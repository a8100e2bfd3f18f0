/** What the person may do in this Task was changed by somebody while they have it open. */

import { ApiError, isRecord, json } from "@/lib/api";
import { banner } from "@/lib/banner";
import { h } from "@/lib/dom";
import { complain } from "@/lib/toast";

async function look(api: string, mayEdit: boolean): Promise<void> {
  try {
    const task = await json(api);
    if (!isRecord(task) || (task["role"] !== "viewer") === mayEdit) return;
    const words = mayEdit ? "You are a viewer of this Task now: you may look, and change nothing." : "You may change and run this Task now.";
    banner("standing", words, h("button", { class: "button small", type: "button", onclick: () => { location.reload(); } }, "Load it again"));
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) {
      complain(error);
      return;
    }
    banner("standing", "This Task is not shared with you any more.", h("a", { class: "button small", href: "/" }, "Go to my Tasks"));
  }
}

/** `api`: address of the Task; `mayEdit`: as the page was made. */
export function watch(task: string, api: string, mayEdit: boolean): void {
  document.addEventListener("rcluster:access", (event) => {
    if ((event as CustomEvent<string>).detail === task) void look(api, mayEdit);
  });
}
