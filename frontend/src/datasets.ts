/** The pages of Datasets: the dialog of a new one, and the files of one. */

import { DatasetFiles, type FilesOf } from "@/dataset/files";
import { need, pageData } from "@/lib/dom";

function openDialog(id: string): void {
  const dialog = need<HTMLDialogElement>(document, `#${id}`);
  // Sent back with a refusal it is open already, but not modal.
  dialog.close();
  dialog.showModal();
  (dialog.querySelector<HTMLElement>('[aria-invalid="true"]') ?? dialog.querySelector<HTMLElement>("[autofocus]"))?.focus();
}

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const opens = event.target.closest<HTMLElement>("[data-opens]");
  if (opens) openDialog(opens.dataset["opens"] ?? "");
  if (event.target.closest("[data-closes]")) event.target.closest("dialog")?.close();
});
const refused = document.querySelector("dialog[open]");
if (refused) openDialog(refused.id);

const files = document.querySelector<HTMLElement>("#dataset-files");
if (files) void new DatasetFiles(files, pageData("dataset-data") as FilesOf).show(decodeURIComponent(location.hash.slice(1)));
