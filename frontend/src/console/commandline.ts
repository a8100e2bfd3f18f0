/** The command line under the output: Enter runs, the arrow keys and Ctrl-R bring back what was run. */

import { h, need } from "@/lib/dom";
import { CommandHistory } from "@/console/history";

export type Lane = "quick" | "queue";

const SHOWN = 50;

export class CommandLine {
  private readonly input: HTMLInputElement;
  private readonly popup: HTMLElement;
  private readonly list: HTMLElement;
  private readonly none: HTMLElement;
  private readonly opener: HTMLButtonElement;
  private readonly history: CommandHistory;
  private newest: number;
  private chosen = 0;

  /** `commands`: of this Task, oldest first; `newest`: number of the newest Run that they are from. */
  constructor(
    private readonly form: HTMLFormElement,
    commands: readonly string[],
    newest: number,
    private readonly run: (command: string, lane: Lane | null) => Promise<boolean>,
  ) {
    this.input = need(form, "#command");
    this.popup = need(form, "#recall");
    this.list = need(form, "#recall-list");
    this.none = need(form, "#recall-none");
    this.opener = need(form, "#recall-open");
    this.history = new CommandHistory(commands);
    this.newest = newest;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.input.addEventListener("keydown", (event) => { this.key(event); });
    this.input.addEventListener("input", () => { if (this.isOpen) this.fill(); });
    this.input.addEventListener("blur", () => { this.close(); });
    this.opener.addEventListener("mousedown", (event) => { event.preventDefault(); });
    this.opener.addEventListener("click", () => {
      this.input.focus();
      if (this.isOpen) this.close();
      else this.open();
    });
    // Before the blur, which would close the list under the pointer.
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
      if (option) this.take(option.textContent);
    });
  }

  focus(): void {
    this.input.focus();
  }

  /** The list of Runs is there anew: commands of other tabs and people are known from now on. */
  learnFrom(items: Iterable<HTMLElement>): void {
    const fresh = [...items]
      .map((item) => ({ number: Number(item.dataset["number"]), command: item.dataset["command"] ?? "" }))
      .filter(({ number }) => number > this.newest)
      .sort((a, b) => a.number - b.number);
    for (const { number, command } of fresh) {
      this.newest = number;
      if (isLine(command)) this.history.learn(command);
    }
  }

  private get isOpen(): boolean {
    return !this.popup.hidden;
  }

  /** null: there is nothing to choose here. */
  private get lane(): Lane | null {
    const chosen = [...this.form.querySelectorAll<HTMLInputElement>('input[name="lane"]')].find((each) => each.checked);
    return chosen ? (chosen.value === "queue" ? "queue" : "quick") : null;
  }

  private submit(): void {
    if (this.isOpen) {
      this.take(this.list.children[this.chosen]?.textContent ?? null);
      return;
    }
    const command = this.input.value.trim();
    if (!command) return;
    this.history.add(command);
    this.input.value = "";
    void this.run(command, this.lane).then((accepted) => {
      if (!accepted && !this.input.value) this.input.value = command;
    });
  }

  private key(event: KeyboardEvent): void {
    if (event.key.toLowerCase() === "r" && event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (this.isOpen) this.choose(this.chosen + 1);
      else this.open();
      return;
    }
    if (event.key === "Escape" && this.isOpen) {
      event.preventDefault();
      this.close();
      return;
    }
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    // In the list the newest is on top.
    if (this.isOpen) {
      this.choose(this.chosen + (event.key === "ArrowDown" ? 1 : -1));
      return;
    }
    const line = this.history.step(event.key === "ArrowUp" ? -1 : 1, this.input.value);
    if (line !== null) this.put(line);
  }

  private open(): void {
    this.popup.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    this.fill();
  }

  private close(): void {
    this.popup.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  private fill(): void {
    const found = this.history.search(this.input.value, SHOWN);
    this.list.replaceChildren(...found.map((line, at) => h("li", { role: "option", id: `recall-${at}`, title: line }, line)));
    this.list.hidden = !found.length;
    this.none.hidden = found.length > 0;
    this.none.textContent = this.input.value.trim() ? `No command of this Task has “${this.input.value.trim()}”.` : "No command was run in this Task yet.";
    this.chosen = 0;
    this.choose(0);
  }

  private choose(wanted: number): void {
    const options = [...this.list.children];
    this.input.removeAttribute("aria-activedescendant");
    if (!options.length) return;
    this.chosen = Math.max(0, Math.min(wanted, options.length - 1));
    for (const [at, option] of options.entries()) option.setAttribute("aria-selected", String(at === this.chosen));
    const now = options[this.chosen];
    now?.scrollIntoView({ block: "nearest" });
    if (now) this.input.setAttribute("aria-activedescendant", now.id);
  }

  /** Into the line, not at once run: one may want to change it. */
  private take(line: string | null): void {
    this.close();
    if (line) this.put(line);
  }

  private put(line: string): void {
    this.input.value = line;
    this.input.setSelectionRange(line.length, line.length);
  }
}

/** One that fits into one line. */
function isLine(command: string): boolean {
  return command !== "" && !command.includes("\n");
}
