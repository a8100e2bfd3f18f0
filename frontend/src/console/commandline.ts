/** The command line under the output: Enter runs, Shift-Enter begins another line, the arrow keys and
    Ctrl-R bring back what was run. Commands are sent one after the other, in the order of their Enters. */

import { h, need } from "@/lib/dom";
import { complain, toast } from "@/lib/toast";
import { CommandHistory } from "@/console/history";

export type Lane = "quick" | "queue";

const SHOWN = 50;
/** lines that are seen at once; longer commands scroll */
const ROWS = 6;

export class CommandLine {
  private readonly input: HTMLTextAreaElement;
  private readonly popup: HTMLElement;
  private readonly list: HTMLElement;
  private readonly none: HTMLElement;
  private readonly opener: HTMLButtonElement;
  private readonly history: CommandHistory;
  private newest: number;
  private chosen = 0;
  /** what was sent before the next one; it never fails */
  private sent: Promise<void> = Promise.resolve();

  /** `commands`: of this Task, oldest first; `newest`: number of the newest Run that they are from;
      `run` fails with a sentence if the command was refused or could not be sent. */
  constructor(
    private readonly form: HTMLFormElement,
    commands: readonly string[],
    newest: number,
    private readonly run: (command: string, lane: Lane | null) => Promise<void>,
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
    this.input.addEventListener("input", () => {
      this.grow();
      if (this.isOpen) this.fill();
    });
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
    // A browser may have filled it in after a reload.
    this.grow();
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
      if (command) this.history.learn(command);
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
    const { lane } = this;
    this.history.add(command);
    this.put("");
    this.sent = this.sent.then(() => this.run(command, lane)).catch((error: unknown) => { this.refused(command, error); });
  }

  /** Back into the line, unless somebody has typed the next one there: two must not become one. */
  private refused(command: string, error: unknown): void {
    if (this.input.value) {
      const why = error instanceof Error ? error.message : String(error);
      toast(`${why} Not run, and among the earlier commands:`, { bad: true, quote: command });
      return;
    }
    this.put(command);
    // Whoever types on at this moment replaces it; it is among the earlier ones, too.
    this.input.select();
    complain(error);
  }

  private key(event: KeyboardEvent): void {
    if (event.key.toLowerCase() === "r" && event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (this.isOpen) this.choose(this.chosen + 1);
      else this.open();
      return;
    }
    // Enter that ends a word of an input method is none of ours.
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      this.submit();
      return;
    }
    if (event.key === "Escape" && this.isOpen) {
      event.preventDefault();
      this.close();
      return;
    }
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    // In the list the newest is on top.
    if (this.isOpen) {
      event.preventDefault();
      this.choose(this.chosen + (event.key === "ArrowDown" ? 1 : -1));
      return;
    }
    if (event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    // Between the lines of one command they move the cursor.
    const { value, selectionStart, selectionEnd } = this.input;
    const further = event.key === "ArrowUp" ? value.slice(0, selectionStart) : value.slice(selectionEnd);
    if (further.includes("\n")) return;
    event.preventDefault();
    const line = this.history.step(event.key === "ArrowUp" ? -1 : 1, value);
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
    this.list.replaceChildren(...found.map((line, at) => h("li", { role: "option", id: `recall-${at}`, title: line }, h("span", {}, line))));
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
    if (!line) return;
    this.history.visit(line);
    this.put(line);
  }

  private put(line: string): void {
    this.input.value = line;
    this.input.setSelectionRange(line.length, line.length);
    this.grow();
    // Its end, where the cursor is, also when it has more lines than are seen.
    this.input.scrollTop = this.input.scrollHeight;
  }

  private grow(): void {
    this.input.rows = Math.min(ROWS, this.input.value.split("\n").length);
  }
}
