/** Asking for a name, and for the one confirmation that an undo can't replace. */

import { h, need } from "@/lib/dom";

export interface Question {
  title: string;
  label: string;
  value?: string;
  button: string;
  /** values to choose from, though others may be typed */
  suggestions?: string[];
  /** how many characters of the value are selected at first; default: all */
  selected?: number;
  /** A sentence if the value won't do. */
  check: (value: string) => string;
}

/** The name that was typed, or null. */
export function ask(question: Question): Promise<string | null> {
  const dialog = need<HTMLDialogElement>(document, "#ask");
  const input = need<HTMLInputElement>(dialog, "#ask-value");
  const error = need<HTMLElement>(dialog, "#ask-error");
  need(dialog, "#ask-title").textContent = question.title;
  need(dialog, "#ask-label").textContent = question.label;
  need(dialog, "#ask-yes").textContent = question.button;
  input.value = question.value ?? "";
  suggest(input, question.suggestions ?? []);
  error.hidden = true;
  return new Promise((resolve) => {
    const form = need<HTMLFormElement>(dialog, "form");
    form.onsubmit = (event) => {
      if (event.submitter instanceof HTMLButtonElement && event.submitter.value === "no") return;
      const problem = question.check(input.value.trim());
      error.textContent = problem;
      error.hidden = !problem;
      if (problem) event.preventDefault();
      else dialog.returnValue = "yes";
    };
    dialog.onclose = () => { resolve(dialog.returnValue === "yes" ? input.value.trim() : null); };
    // Enter means the last button, not the first one of the form.
    input.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      need<HTMLButtonElement>(dialog, "#ask-yes").click();
    };
    dialog.returnValue = "";
    dialog.showModal();
    input.setSelectionRange(0, question.selected ?? input.value.length);
  });
}

function suggest(input: HTMLInputElement, suggestions: string[]): void {
  input.list?.remove();
  if (!suggestions.length) {
    input.removeAttribute("list");
    return;
  }
  input.after(h("datalist", { id: "ask-suggestions" }, ...suggestions.map((value) => h("option", { value }))));
  input.setAttribute("list", "ask-suggestions");
}

export type Choice = "replace" | "both" | "skip";

/** What to do about a name that is taken. Escape means skip; `others`: how many more are taken. */
export function askAboutTaken(name: string, folder: string, others: number, canReplace: boolean): Promise<{ choice: Choice; forAll: boolean }> {
  const all = h("input", { type: "checkbox", id: "taken-all" });
  const option = (value: Choice, label: string): HTMLElement => h("button", { class: "button", value }, label);
  const dialog = h(
    "dialog",
    { class: "taken", "aria-labelledby": "taken-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "taken-title" }, `${name} is there already`),
      h("p", {}, canReplace ? `/${folder} has a file of that name.` : `/${folder} has something of that name, and folders are not merged.`),
      others > 0 && h("label", { class: "check", for: "taken-all" }, all, ` The same for the other ${others} that are there`),
      h("div", { class: "actions" }, option("skip", "Skip"), option("both", "Keep both"), canReplace && option("replace", "Replace")),
    ),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.onclose = () => {
      const choice = dialog.returnValue === "replace" || dialog.returnValue === "both" ? dialog.returnValue : "skip";
      dialog.remove();
      resolve({ choice, forAll: all.checked });
    };
    dialog.showModal();
  });
}

/** Only what can't be undone: its name has to be typed. */
export function confirmByName(title: string, text: string, name: string): Promise<boolean> {
  const dialog = need<HTMLDialogElement>(document, "#confirm");
  const input = need<HTMLInputElement>(dialog, "#confirm-name");
  const yes = need<HTMLButtonElement>(dialog, "#confirm-yes");
  need(dialog, "#confirm-title").textContent = title;
  need(dialog, "#confirm-text").textContent = text;
  need(dialog, "#confirm-label").textContent = `Type ${name} to confirm`;
  input.value = "";
  yes.disabled = true;
  input.oninput = () => { yes.disabled = input.value !== name; };
  return new Promise((resolve) => {
    dialog.onclose = () => { resolve(dialog.returnValue === "yes" && input.value === name); };
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** Why a file or folder can't have this name; "" if it can. */
export function nameProblem(name: string): string {
  if (!name) return "Give it a name.";
  if (name.split("/").some((part) => part === "" || part === "." || part === "..")) return "Write one slash between names, and no . or ..";
  return new TextEncoder().encode(name).length > 255 ? "This name is too long." : "";
}
