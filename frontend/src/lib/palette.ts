/** Ctrl/Cmd-K: go to a Task by its name or to a page, or do what a shortcut of this page does. */

import { isRecord, json } from "@/lib/api";
import { h } from "@/lib/dom";
import { relative } from "@/lib/format";
import * as keys from "@/lib/keys";
import { complain } from "@/lib/toast";

interface Item {
  /** tells it from the others while the list changes */
  key: string;
  label: string;
  /** what stands at its end: whose Task, a shortcut */
  note: string;
  isKey?: boolean;
  act: () => void;
}
export interface FoundTask {
  id: string;
  name: string;
  owner: string;
  used_at: string | null;
  archived_at: string | null;
}

/** Tasks that one answer has; the page of all Tasks has the rest. */
const ASKED = 100;
const SHOWN = 8;
const PAUSE = 120;

/** Has each of the words in it, whatever the case. */
export function has(label: string, words: string): boolean {
  const text = label.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Those whose names begin with the words first, then by last use; of the archive last. */
export function ranked(tasks: readonly FoundTask[], words: string): FoundTask[] {
  const rank = (task: FoundTask): number =>
    (task.archived_at ? 2 : 0) + (task.name.toLowerCase().startsWith(words.toLowerCase()) ? 0 : 1);
  const used = (task: FoundTask): string => task.used_at ?? "";
  return tasks
    .filter((task) => has(task.name, words))
    .sort((a, b) => rank(a) - rank(b) || (used(a) < used(b) ? 1 : used(a) > used(b) ? -1 : 0));
}

class Palette {
  private readonly input = h("input", {
    class: "input", type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list",
    "aria-autocomplete": "list", "aria-label": "Task, page or command", placeholder: "Go to a Task, a page or a command", autocomplete: "off", spellcheck: "false",
  });
  private readonly list = h("ul", { id: "palette-list", role: "listbox", "aria-label": "Found" });
  private readonly none = h("p", { class: "empty", role: "status" });
  private readonly dialog = h("dialog", { class: "palette", "aria-label": "Go to" }, this.input, this.list, this.none);
  private items: Item[] = [];
  private tasks: FoundTask[] = [];
  /** key of the chosen item once somebody moved to it; "": the first */
  private wanted = "";
  private timer = 0;
  private asked = 0;
  /** the words that `tasks` are the answer to; null: none yet */
  private answered: string | null = null;
  /** Enter was pressed before the answer came */
  private waits = false;

  constructor() {
    document.body.append(this.dialog);
    this.input.addEventListener("input", () => {
      this.wanted = "";
      this.waits = false;
      this.draw();
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => void this.ask(), PAUSE);
    });
    this.input.addEventListener("keydown", (event) => { this.pressed(event); });
    this.list.addEventListener("mousedown", (event) => { event.preventDefault(); });
    this.list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
      const item = option ? this.items[[...this.list.children].indexOf(option)] : undefined;
      if (item) this.take(item);
    });
    // A click beside it closes it, as Escape does.
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  open(): void {
    if (document.querySelector("dialog[open]")) return;
    this.input.value = "";
    this.wanted = "";
    this.waits = false;
    this.answered = null;
    this.draw();
    this.dialog.showModal();
    this.input.focus();
    void this.ask();
  }

  private get words(): string {
    return this.input.value.trim();
  }

  private pressed(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const at = this.chosen + (event.key === "ArrowDown" ? 1 : -1);
      const item = this.items[(at + this.items.length) % Math.max(1, this.items.length)];
      this.wanted = item?.key ?? "";
      this.choose();
    } else if (event.key === "Enter") {
      event.preventDefault();
      // Nobody who types a name and Enter wants what the list had before the answer.
      if (!this.wanted && this.answered !== this.words) this.waits = true;
      else this.takeChosen();
    } else if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.dialog.close();
    }
  }

  private get chosen(): number {
    return Math.max(0, this.items.findIndex((item) => item.key === this.wanted));
  }

  private takeChosen(): void {
    this.waits = false;
    const item = this.items[this.chosen];
    if (item) this.take(item);
  }

  private take(item: Item): void {
    this.dialog.close();
    item.act();
  }

  private async ask(): Promise<void> {
    const { words } = this;
    const asked = ++this.asked;
    try {
      const answer = await json(`/api/v1/tasks?limit=${ASKED}&name=${encodeURIComponent(words)}`);
      if (asked !== this.asked) return;
      this.tasks = isRecord(answer) && Array.isArray(answer["results"]) ? (answer["results"] as FoundTask[]) : [];
    } catch (error) {
      if (asked !== this.asked) return;
      if (this.dialog.open) complain(error);
    }
    this.answered = words;
    this.draw();
    if (this.waits && this.dialog.open) this.takeChosen();
  }

  private draw(): void {
    const { words } = this;
    const tasks = ranked(this.tasks, words).slice(0, SHOWN).map(taskItem);
    this.items = [...tasks, ...[...pages(), ...commands()].filter(({ label }) => has(label, words))];
    this.list.replaceChildren(
      ...this.items.map((item, at) =>
        h("li", { role: "option", id: `palette-${at}` }, h("span", { class: "truncate grow" }, h("bdi", {}, item.label)), item.isKey ? h("kbd", {}, item.note) : h("span", { class: "muted small nowrap" }, item.note)),
      ),
    );
    this.list.hidden = !this.items.length;
    const still = this.answered !== words;
    this.none.textContent = this.items.length || still ? "" : `No Task, page or command has “${words}” in its name.`;
    this.none.hidden = !this.none.textContent;
    this.choose();
  }

  private choose(): void {
    const at = this.chosen;
    for (const [index, option] of [...this.list.children].entries()) option.setAttribute("aria-selected", String(index === at));
    const option = this.list.children[at];
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
  }
}

function taskItem(task: FoundTask): Item {
  const own = document.body.dataset["username"] === task.owner;
  const when = task.archived_at ? "in the archive" : task.used_at ? relative(new Date(task.used_at), new Date()) : "";
  return {
    key: `task ${task.id}`,
    label: task.name,
    note: [own ? "" : `of ${task.owner}`, when].filter(Boolean).join(", "),
    act: () => { location.assign(`/tasks/${task.id}/`); },
  };
}

/** Where the page's own links for going about lead. */
function pages(): Item[] {
  return [...document.querySelectorAll<HTMLAnchorElement>(".topbar nav a, #user-menu a, a[data-page]")].map((link) => ({
    key: `page ${link.href}`,
    label: link.dataset["page"] ?? link.textContent.trim(),
    note: "",
    act: () => { link.click(); },
  }));
}

function commands(): Item[] {
  return keys.actions().map(({ keys: pressed, does, action }) => ({
    key: `command ${pressed}`,
    label: does,
    note: keys.label(pressed),
    isKey: true,
    // Not before the dialog has given the focus back, so that the action can put it elsewhere.
    act: () => { window.setTimeout(action); },
  }));
}

let palette: Palette | null = null;

/** For pages of somebody who is signed in. */
export function open(): void {
  palette ??= new Palette();
  palette.open();
}
