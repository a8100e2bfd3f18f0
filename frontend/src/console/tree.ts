/** One area as a tree (WAI-ARIA's pattern): rows, keyboard, selection. It draws and tells; it changes no file. */

import { arrange, h, icon, need } from "@/lib/dom";
import { bytes, visibly } from "@/lib/format";
import { type Area, type Entry, kindOf } from "@/console/model";
import { above } from "@/console/names";

/** rows of one folder that are drawn at first, and with each "more" */
export const SHOWN = 500;
const ICONS = { code: "code", image: "image", table: "data", text: "file", pdf: "file", binary: "file" } as const;
const TYPING = 700;

export interface Folder {
  entries: Entry[] | null;
  open: boolean;
  shown: number;
}

export interface TreeHooks {
  /** sorted, without what is being deleted; null: not loaded */
  entries: (full: string) => Entry[] | null;
  folder: (full: string) => Folder | undefined;
  isCurrent: (full: string) => boolean;
  mayEdit: boolean;
  open: (entry: Entry) => void;
  toggle: (full: string) => void;
  more: (full: string) => void;
  selected: () => void;
  remove: (entries: Entry[]) => void;
  rename: (entry: Entry) => void;
}

export class Tree {
  readonly selection = new Set<string>();
  /** the row that Tab comes to, and the one that Shift extends from */
  private focused = "";
  private anchor = "";
  /** what was drawn, by path, with how it looked then */
  private items = new Map<string, { item: HTMLElement; look: Node }>();
  private drawn = this.items;
  private typed = "";
  private typedAt = 0;

  constructor(
    readonly area: Area,
    readonly list: HTMLElement,
    private readonly hooks: TreeHooks,
    private readonly none: string,
  ) {
    list.addEventListener("click", (event) => { this.clicked(event); });
    list.addEventListener("keydown", (event) => { this.pressed(event); });
    list.addEventListener("focusin", (event) => { this.focusedAt(event.target); });
  }

  /** What is selected and still there, in the order of the tree. */
  get chosen(): Entry[] {
    return this.visible().filter(({ full }) => this.selection.has(full)).map(({ entry }) => entry);
  }

  clear(): void {
    this.selection.clear();
    this.mark();
  }

  only(full: string): void {
    this.selection.clear();
    if (full) this.selection.add(full);
    this.focused = this.anchor = full || this.focused;
    this.mark();
  }

  focus(full = this.focused): void {
    this.row(full)?.focus();
  }

  draw(): void {
    const had = document.activeElement instanceof HTMLElement && this.list.contains(document.activeElement);
    const top = this.hooks.entries(this.area) ?? [];
    this.drawn = this.items;
    this.items = new Map();
    arrange(this.list, top.length ? this.rows(this.area, top, 1) : [h("li", { class: "none" }, this.none)]);
    // A tree without items is none.
    this.list.setAttribute("role", top.length ? "tree" : "list");
    const there = new Set(this.visible().map(({ full }) => full));
    for (const full of this.selection) if (!there.has(full)) this.selection.delete(full);
    if (!there.has(this.focused)) this.focused = this.nearest(there);
    this.mark();
    if (had) this.focus();
  }

  /** The folder that something dropped on this element goes to, "" for the top. */
  folderAt(target: EventTarget | null): { path: string; row: HTMLElement | null } {
    const row = target instanceof Element ? target.closest<HTMLElement>("[data-path]") : null;
    const full = row?.dataset["path"] ?? this.area;
    const path = full.slice(this.area.length + 1);
    if (!row || row.dataset["kind"] === "folder") return { path, row };
    const folder = above(path);
    return { path: folder, row: folder ? this.row(`${this.area}/${folder}`) : null };
  }

  /** However it came there: by click, key, or an assistant's own way. */
  private focusedAt(target: EventTarget | null): void {
    const full = target instanceof HTMLElement && target.getAttribute("role") === "treeitem" ? (target.dataset["path"] ?? "") : "";
    if (!full || full === this.focused) return;
    this.focused = this.anchor = full;
    this.mark();
  }

  private row(full: string): HTMLElement | null {
    return this.list.querySelector<HTMLElement>(`[data-path="${CSS.escape(full)}"]`);
  }

  /** Where the focus goes when its row went: to the row above that is still there. */
  private nearest(there: Set<string>): string {
    for (let full = this.focused; full.includes("/"); full = above(full)) if (there.has(full)) return full;
    return this.visible()[0]?.full ?? "";
  }

  private visible(): { full: string; entry: Entry }[] {
    const found: { full: string; entry: Entry }[] = [];
    const add = (folder: string): void => {
      for (const entry of (this.hooks.entries(folder) ?? []).slice(0, this.hooks.folder(folder)?.shown ?? SHOWN)) {
        const full = `${this.area}/${entry.path}`;
        found.push({ full, entry });
        if (entry.kind === "folder" && this.hooks.folder(full)?.open) add(full);
      }
    };
    add(this.area);
    return found;
  }

  private rows(folder: string, entries: Entry[], level: number): HTMLElement[] {
    const shown = this.hooks.folder(folder)?.shown ?? SHOWN;
    const rows = entries.slice(0, shown).map((entry) => this.item(entry, level));
    if (entries.length > shown) {
      const more = h("button", { class: "button quiet small", type: "button", "data-more": folder }, `Show more of ${entries.length - shown}`);
      rows.push(h("li", { class: "none", role: "none" }, more));
    }
    return rows;
  }

  /** The one that is there already, if it looks as it did: it may be pressed or dragged just now. */
  private item(entry: Entry, level: number): HTMLElement {
    const full = `${this.area}/${entry.path}`;
    const isFolder = entry.kind === "folder";
    const opened = isFolder && this.hooks.folder(full)?.open === true;
    const current = this.hooks.isCurrent(full);
    const name = visibly(entry.name);
    const fresh = h(
      "li",
      {
        role: "treeitem", "data-path": full, "data-kind": entry.kind, "aria-level": level,
        "aria-expanded": isFolder ? String(opened) : null,
        "aria-current": current ? "true" : null,
        "aria-label": isFolder ? `${name}, folder` : entry.kind === "file" ? `${name} ${bytes(entry.size)}` : `${name}, a link or device`,
        tabindex: -1,
      },
      h(
        "div",
        { class: current ? "row current" : "row", style: `--depth:${level - 1}`, draggable: this.hooks.mayEdit && entry.kind !== "other" ? "true" : null },
        h("span", { class: "open", title: name }, picture(entry, opened), h("bdi", { class: "label" }, name)),
        // Or the two are one word to who hears them.
        " ",
        isFolder ? null : h("span", { class: "size" }, bytes(entry.size)),
        h("span", { class: "tools" }, entry.kind === "file" && this.tool("download", `Download ${name}`, entry), this.hooks.mayEdit && this.tool("trash", `Delete ${name}`, entry)),
      ),
    );
    const look = fresh.cloneNode(true);
    const before = this.drawn.get(full);
    const item = before?.look.isEqualNode(look) ? before.item : fresh;
    this.items.set(full, { item, look });
    const row = need<HTMLElement>(item, ":scope > .row");
    arrange(item, opened ? [row, this.inside(item, full, level)] : [row]);
    return item;
  }

  /** What is below an open folder. */
  private inside(item: HTMLElement, full: string, level: number): HTMLElement {
    const entries = this.hooks.entries(full);
    const rows = entries ? this.rows(full, entries, level + 1) : [];
    if (!rows.length) return h("p", { class: "none inside", style: `--depth:${level}` }, entries ? "Empty" : "Loading…");
    const group = item.querySelector<HTMLElement>(":scope > ul") ?? h("ul", { class: "tree", role: "group" });
    arrange(group, rows);
    return group;
  }

  /** For the mouse; the keyboard has Delete, and the bar below the tree has all of it. */
  private tool(kind: "download" | "trash", label: string, entry: Entry): HTMLElement {
    const look = { class: "button quiet small icon-only", title: label, "aria-label": label, tabindex: -1 };
    if (kind === "download") return h("a", { ...look, href: entry.url, download: entry.name }, icon(kind));
    return h("button", { ...look, type: "button", onclick: () => { this.hooks.remove([entry]); } }, icon(kind));
  }

  private mark(): void {
    this.list.setAttribute("aria-multiselectable", "true");
    if (this.list.getAttribute("role") !== "tree") this.list.removeAttribute("aria-multiselectable");
    for (const item of this.list.querySelectorAll<HTMLElement>("[data-path]")) {
      const full = item.dataset["path"] ?? "";
      item.setAttribute("aria-selected", String(this.selection.has(full)));
      item.tabIndex = full === this.focused ? 0 : -1;
    }
    this.hooks.selected();
  }

  private clicked(event: MouseEvent): void {
    if (!(event.target instanceof Element)) return;
    const more = event.target.closest<HTMLElement>("[data-more]");
    if (more) this.hooks.more(more.dataset["more"] ?? "");
    if (event.target.closest(".tools") || !event.target.closest(".row")) return;
    const full = event.target.closest<HTMLElement>("[data-path]")?.dataset["path"] ?? "";
    const entry = this.visible().find((each) => each.full === full)?.entry;
    if (!entry) return;
    if (event.shiftKey) this.extend(full);
    else if (event.ctrlKey || event.metaKey) this.flip(full);
    else {
      this.only(full);
      this.act(entry, full);
    }
    this.focus();
  }

  private act(entry: Entry, full: string): void {
    if (entry.kind === "folder") this.hooks.toggle(full);
    else if (entry.kind === "file") this.hooks.open(entry);
  }

  private flip(full: string): void {
    if (!this.selection.delete(full)) this.selection.add(full);
    this.focused = this.anchor = full;
    this.mark();
  }

  /** Select from the anchor to here. */
  private extend(full: string): void {
    const rows = this.visible().map((each) => each.full);
    const [from, to] = [Math.max(0, rows.indexOf(this.anchor)), rows.indexOf(full)];
    this.selection.clear();
    for (const each of rows.slice(Math.min(from, to), Math.max(from, to) + 1)) this.selection.add(each);
    this.focused = full;
    this.mark();
  }

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || !(event.target instanceof HTMLElement) || event.target.getAttribute("role") !== "treeitem") return;
    const rows = this.visible();
    const at = rows.findIndex((each) => each.full === this.focused);
    const here = rows[at];
    if (!here) return;
    const mod = event.ctrlKey || event.metaKey;
    // It runs the script, here as anywhere on the page.
    if (mod && event.key === "Enter") return;
    const opened = this.hooks.folder(here.full)?.open === true && here.entry.kind === "folder";
    const inside = this.list.contains(this.row(`${this.area}/${above(here.entry.path)}`)) ? `${this.area}/${above(here.entry.path)}` : "";
    const go = (full: string | undefined): void => {
      if (!full) return;
      if (event.shiftKey) this.extend(full);
      else if (mod) {
        this.focused = full;
        this.mark();
      } else this.only(full);
      this.focus(full);
    };
    const actions: Record<string, () => void> = {
      ArrowDown: () => { go(rows[at + 1]?.full); },
      ArrowUp: () => { go(rows[at - 1]?.full); },
      Home: () => { go(rows[0]?.full); },
      End: () => { go(rows.at(-1)?.full); },
      ArrowRight: () => {
        if (here.entry.kind === "folder" && !opened) this.hooks.toggle(here.full);
        else if (opened) go(rows[at + 1]?.full);
      },
      ArrowLeft: () => {
        if (opened) this.hooks.toggle(here.full);
        else go(inside);
      },
      Enter: () => { this.act(here.entry, here.full); },
      " ": () => { this.flip(here.full); },
      Escape: () => { this.clear(); },
      F2: () => { if (this.hooks.mayEdit) this.hooks.rename(here.entry); },
      Delete: () => {
        const chosen = this.selection.has(here.full) ? this.chosen : [here.entry];
        if (this.hooks.mayEdit) this.hooks.remove(chosen);
      },
    };
    const action = actions[event.key];
    if (action) action();
    else if (mod && event.key.toLowerCase() === "a") {
      for (const { full } of rows) this.selection.add(full);
      this.mark();
    } else if (!mod && event.key.length === 1 && !/[$?/]/.test(event.key)) this.seek(event.key, rows, at, go);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Go to the next row whose name begins with what is typed. */
  private seek(key: string, rows: { full: string; entry: Entry }[], at: number, go: (full: string | undefined) => void): void {
    const now = performance.now();
    this.typed = now - this.typedAt < TYPING ? this.typed + key.toLowerCase() : key.toLowerCase();
    this.typedAt = now;
    const from = this.typed.length > 1 ? at : at + 1;
    const turned = [...rows.slice(from), ...rows.slice(0, from)];
    go(turned.find(({ entry }) => entry.name.toLowerCase().startsWith(this.typed))?.full);
  }
}

function picture(entry: Entry, opened: boolean): Element {
  if (entry.kind === "folder") return icon(opened ? "folder-open" : "folder");
  const kind = kindOf(entry.name);
  if (kind === "image" && entry.kind === "file" && entry.size < 4 * 1024 * 1024) {
    return h("img", { class: "thumb", src: `${entry.url}?inline=1&v=${Date.parse(entry.modified_at)}`, alt: "", loading: "lazy", draggable: "false" });
  }
  return icon(ICONS[kind]);
}
