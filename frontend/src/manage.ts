/** Administration: cancelling somebody's Run. The form stands outside the list, which refreshes itself. */

import { need } from "@/lib/dom";

const dialog = need<HTMLDialogElement>(document, "#cancel-run");
const form = need<HTMLFormElement>(dialog, "form");
const reason = need<HTMLInputElement>(form, "#reason");

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const button = event.target.closest<HTMLElement>("[data-cancel]");
  if (!button) return;
  form.action = button.dataset["cancel"] ?? "";
  need(dialog, "#cancel-title").textContent = `Cancel ${button.dataset["name"] ?? ""}?`;
  need(dialog, "#cancel-label").textContent = `Reason, which ${button.dataset["person"] ?? ""} is told; may stay empty`;
  reason.value = "";
  dialog.showModal();
  reason.focus();
});
need(dialog, "[data-close]").addEventListener("click", () => { dialog.close(); });
