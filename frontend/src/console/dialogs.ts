/** Asking for a name, and for the one confirmation that an undo can't replace. */

import { need } from "@/lib/dom";

export interface Question {
  title: string;
  label: string;
  value?: string;
  button: string;
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
    input.select();
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
