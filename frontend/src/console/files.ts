/** The files of the Task: code, input, output as trees, and what can be done with them. */

import { ApiError, json, send } from "@/lib/api";
import { h, icon, need } from "@/lib/dom";
import { visibly } from "@/lib/format";
import { complain, toast } from "@/lib/toast";
import { ActionBar } from "@/console/actions";
import { ask, nameProblem } from "@/console/dialogs";
import { type Dropped, fromDrop, fromInput } from "@/console/dropped";
import { Leaving } from "@/console/leaving";
import { type Area, AREAS, type ConsoleData, type Entry, entriesOf, fileUrl, splitPath } from "@/console/model";
import { above, join, last, type Order, ORDERS, sorted, within } from "@/console/names";
import { placed, Places } from "@/console/taken";
import { Transfers } from "@/console/transfers";
import { type Folder, SHOWN, Tree } from "@/console/tree";

const DRAGGED = "application/x-rcluster-files";
const REMEMBERED = "rcluster:files-order";
const NONE = {
  code: "No script yet: write one, or drop it here.",
  input: "Drop data here, files or folders; scripts read it from /input.",
  output: "What scripts write to /output appears here.",
};

interface Hooks {
  open: (area: Area, entry: Pick<Entry, "name" | "path" | "size">) => void;
  removed: (full: string) => void;
  moved: (from: string, to: string) => void;
}

export class Files {
  /** "code/sub" -> what is known of that folder */
  private readonly folders = new Map<string, Folder>();
  private readonly trees = new Map<Area, Tree>();
  private readonly leaving: Leaving;
  private readonly transfers: Transfers;
  private readonly bar: ActionBar;
  private readonly mayEdit: boolean;
  private order: Order;
  private current = "";
  /** which area the selection is in: there is one at a time */
  private active: Area = "code";

  constructor(
    private readonly root: HTMLElement,
    private readonly data: ConsoleData,
    private readonly hooks: Hooks,
  ) {
    this.mayEdit = data.mayEdit;
    const remembered = localStorage.getItem(REMEMBERED) ?? "";
    this.order = remembered in ORDERS ? (remembered as Order) : "name";
    this.leaving = new Leaving(
      data.api,
      (area) => { this.redraw(area); },
      (area, full) => { this.gone(area, full); },
      (area) => this.refresh([area]),
    );
    this.transfers = new Transfers(() => void this.refresh());
    this.bar = new ActionBar(
      {
        rename: (area, entry) => void this.rename(area, entry),
        move: (area, entries) => void this.askWhere(area, entries),
        download: (area, entries) => { this.download(area, entries); },
        remove: (area, entries) => { this.remove(area, entries); },
        upload: (area, folder) => { this.choose(area, folder, false); },
        newFolder: (area, folder) => void this.newFolder(area, folder),
        clear: () => {
          this.tree(this.active).clear();
          this.tree(this.active).focus();
        },
      },
      this.mayEdit,
    );
    this.root.classList.toggle("read-only", !this.mayEdit);
    this.root.append(h("div", { class: "files-foot" }, this.transfers.element, this.bar.element));
    for (const area of AREAS) {
      this.folders.set(area, { entries: data.areas[area], open: true, shown: SHOWN });
      this.wire(area);
      this.redraw(area);
    }
  }

  /** Mark the file that the editor shows. */
  select(full: string): void {
    this.current = full;
    for (const area of AREAS) this.redraw(area);
  }

  has(area: Area, path: string): Entry | undefined {
    return this.folders.get(join(area, above(path)))?.entries?.find((entry) => entry.path === path);
  }

  /** Ask the server for every folder that is shown. */
  async refresh(areas: readonly Area[] = AREAS): Promise<void> {
    const shown = [...this.folders].filter(([name, folder]) => folder.open && areas.some((area) => within(name, area)));
    await Promise.all(shown.map(async ([name]) => this.load(name)));
    for (const area of areas) this.redraw(area);
  }

  /** Whatever still can be had back is deleted now. */
  settle(): Promise<void> {
    return this.leaving.settle();
  }

  private tree(area: Area): Tree {
    const tree = this.trees.get(area);
    if (!tree) throw new Error(`There is no tree of ${area}.`);
    return tree;
  }

  private section(area: Area): HTMLElement {
    return need(this.root, `[data-area="${area}"]`);
  }

  private wire(area: Area): void {
    const section = this.section(area);
    const list = need<HTMLElement>(section, ".tree");
    this.trees.set(area, new Tree(area, list, {
      entries: (full) => this.shownIn(full),
      folder: (full) => this.folders.get(full),
      isCurrent: (full) => full === this.current,
      mayEdit: this.mayEdit,
      open: (entry) => { this.hooks.open(area, entry); },
      toggle: (full) => void this.toggle(area, full),
      more: (full) => { this.showMore(area, full); },
      selected: () => { this.showSelection(area); },
      remove: (entries) => { this.remove(area, entries); },
      rename: (entry) => void this.rename(area, entry),
    }, NONE[area]));
    need(section, "[data-more-of]").addEventListener("click", (event) => { this.openMenu(area, event.currentTarget as HTMLElement); });
    if (!this.mayEdit) return;
    need(section, "[data-upload]").addEventListener("click", () => { this.choose(area, "", false); });
    need(section, "[data-new-folder]").addEventListener("click", () => void this.newFolder(area, ""));
    need(section, "[data-new-file]").addEventListener("click", () => void this.newFile(area));
    this.wireDrops(area, section);
  }

  // Drag and drop

  private wireDrops(area: Area, section: HTMLElement): void {
    const unmark = (): void => {
      section.classList.remove("drop");
      for (const row of this.root.querySelectorAll(".drop-into")) row.classList.remove("drop-into");
    };
    section.addEventListener("dragstart", (event) => {
      const full = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-path]")?.dataset["path"] : undefined;
      if (!full || !event.dataTransfer) return;
      const tree = this.tree(area);
      if (!tree.selection.has(full)) tree.only(full);
      event.dataTransfer.setData(DRAGGED, area);
      event.dataTransfer.effectAllowed = "move";
    });
    section.addEventListener("dragover", (event) => {
      const types = event.dataTransfer?.types ?? [];
      const moved = types.includes(DRAGGED);
      if (!event.dataTransfer || !(moved || types.includes("Files"))) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = moved ? "move" : "copy";
      const { path, row } = this.tree(area).folderAt(event.target);
      unmark();
      section.classList.toggle("drop", !path);
      row?.classList.toggle("drop-into", path !== "");
    });
    section.addEventListener("dragleave", (event) => {
      if (!(event.relatedTarget instanceof Node && section.contains(event.relatedTarget))) unmark();
    });
    section.addEventListener("drop", (event) => {
      event.preventDefault();
      unmark();
      if (!event.dataTransfer) return;
      const { path } = this.tree(area).folderAt(event.target);
      const from = event.dataTransfer.getData(DRAGGED) as Area | "";
      if (from) void this.move(from, this.tree(from).chosen, area, path);
      else void this.upload(area, path, fromDrop(event.dataTransfer));
    });
  }

  // What is shown

  private shownIn(full: string): Entry[] | null {
    const folder = this.folders.get(full);
    const [area = "code"] = full.split("/");
    const entries = folder?.entries?.filter((entry) => !this.leaving.has(`${area}/${entry.path}`));
    return entries ? sorted(entries, this.order) : null;
  }

  private redraw(area: Area): void {
    this.tree(area).draw();
  }

  private showSelection(area: Area): void {
    const tree = this.tree(area);
    if (tree.selection.size && this.active !== area) {
      const before = this.active;
      this.active = area;
      this.tree(before).clear();
    }
    if (this.active === area) this.bar.show(area, tree.chosen);
  }

  private async load(name: string): Promise<void> {
    const [area = "code", ...rest] = name.split("/");
    try {
      const entries = entriesOf(await json(rest.length ? `${fileUrl(this.data.api, area as Area, rest.join("/"))}/` : fileUrl(this.data.api, area as Area, "")));
      const known = this.folders.get(name);
      this.folders.set(name, { entries, open: known?.open ?? true, shown: known?.shown ?? SHOWN });
    } catch (error) {
      // A folder that is gone leaves the tree; the others stay.
      if (error instanceof ApiError && (error.status === 404 || error.status === 400) && rest.length) this.folders.delete(name);
      else complain(error);
    }
  }

  private async toggle(area: Area, full: string): Promise<void> {
    const folder = this.folders.get(full);
    if (folder) folder.open = !folder.open;
    else this.folders.set(full, { entries: null, open: true, shown: SHOWN });
    this.redraw(area);
    if (!this.folders.get(full)?.open) return;
    await this.load(full);
    this.redraw(area);
  }

  private async reveal(area: Area, path: string): Promise<void> {
    for (let folder = path; folder; folder = above(folder)) {
      const known = this.folders.get(`${area}/${folder}`);
      this.folders.set(`${area}/${folder}`, { entries: known?.entries ?? null, open: true, shown: known?.shown ?? SHOWN });
    }
    await this.refresh([area]);
  }

  private showMore(area: Area, full: string): void {
    const folder = this.folders.get(full);
    if (folder) folder.shown += SHOWN;
    this.redraw(area);
  }

  // The menu of an area

  private openMenu(area: Area, button: HTMLElement): void {
    const act = (label: string, picture: string, run: () => void, more: Record<string, string> = {}): HTMLElement =>
      h("button", { type: "button", role: "menuitem", ...more, onclick: () => { menu.hidePopover(); run(); } }, picture ? icon(picture) : h("span", { class: "icon" }), label);
    const orders = (Object.keys(ORDERS) as Order[]).map((order) =>
      act(ORDERS[order], order === this.order ? "check" : "", () => { this.sortBy(order); }, { role: "menuitemradio", "aria-checked": String(order === this.order) }));
    const menu = h(
      "div",
      { class: "menu area-menu", popover: "auto", role: "menu", "aria-label": `More for ${area}` },
      this.mayEdit && act("Upload a folder…", "upload", () => { this.choose(area, "", true); }),
      act("Download all as a zip", "download", () => { follow(`${fileUrl(this.data.api, area, "")}?zip=1`); }),
      h("hr", {}),
      ...orders,
    );
    const { bottom, right } = button.getBoundingClientRect();
    menu.style.setProperty("top", `${Math.min(bottom + 2, window.innerHeight - 220)}px`);
    menu.style.setProperty("left", `${Math.max(8, right - 220)}px`);
    menu.addEventListener("toggle", (event) => { if ((event).newState === "closed") menu.remove(); });
    menu.addEventListener("keydown", (event) => {
      const items = [...menu.querySelectorAll<HTMLElement>("button")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      items.at((items.indexOf(document.activeElement as HTMLElement) + step) % items.length)?.focus();
    });
    button.after(menu);
    menu.showPopover();
    menu.querySelector("button")?.focus();
  }

  private sortBy(order: Order): void {
    this.order = order;
    localStorage.setItem(REMEMBERED, order);
    for (const area of AREAS) this.redraw(area);
  }

  // New files and folders, uploads

  private async newFile(area: Area): Promise<void> {
    const name = await ask({ title: "New file", label: `Name in /${area}`, value: area === "code" ? "script.R" : "new.txt", button: "Create", check: nameProblem });
    if (!name) return;
    const there = this.has(area, name);
    if (there) toast(`${name} is there already.`);
    this.hooks.open(area, there ?? { name: last(name), path: name, size: -1 });
  }

  private async newFolder(area: Area, folder: string): Promise<void> {
    const name = await ask({ title: "New folder", label: `Name in /${join(area, folder)}`, button: "Create", check: nameProblem });
    if (!name) return;
    try {
      await send("POST", folder ? `${fileUrl(this.data.api, area, folder)}/` : fileUrl(this.data.api, area, ""), { folder: name });
      await this.reveal(area, folder);
      this.tree(area).only(`${area}/${join(folder, name)}`);
      this.tree(area).focus();
    } catch (error) {
      complain(error);
    }
  }

  private choose(area: Area, folder: string, folders: boolean): void {
    const input = need<HTMLInputElement>(this.root, "#upload-input");
    input.webkitdirectory = folders;
    input.onchange = () => {
      void this.upload(area, folder, Promise.resolve(fromInput(input.files ?? [])));
      input.value = "";
    };
    input.click();
  }

  private async upload(area: Area, folder: string, reading: Promise<Dropped>): Promise<void> {
    try {
      const dropped = await reading;
      const places = new Places(this.data.api, area);
      const wanted = dropped.files.map(({ path, file }) => ({ what: file, path: join(folder, path) }));
      const goes = await placed(wanted, places, area, () => true);
      if (dropped.unreadable.length) complain(`Your browser can't read ${dropped.unreadable.slice(0, 3).join(", ")}${dropped.unreadable.length > 3 ? " and more" : ""}. The rest is uploaded.`);
      for (const path of dropped.folders) await this.emptyFolder(area, join(folder, path));
      if (folder) await this.reveal(area, folder);
      if (!goes.length) await this.refresh([area]);
      this.transfers.add(
        goes.map(({ what, path, replace }) => ({ address: fileUrl(this.data.api, area, path), name: join(area, path), file: what, replace })),
        wanted.length - goes.length,
      );
    } catch (error) {
      complain(error);
    }
  }

  private async emptyFolder(area: Area, path: string): Promise<void> {
    await send("POST", fileUrl(this.data.api, area, ""), { folder: path });
  }

  // Rename, move, download, delete

  private async rename(area: Area, entry: Entry): Promise<void> {
    const dot = entry.kind === "file" ? entry.name.lastIndexOf(".") : -1;
    const name = await ask({
      title: `Rename ${visibly(entry.name)}`, label: "New name", value: entry.name, button: "Rename",
      selected: dot > 0 ? dot : entry.name.length,
      check: (value) => (value.includes("/") ? "A name has no slash in it. Use Move for another folder." : nameProblem(value)),
    });
    const tree = this.tree(area);
    if (!name || name === entry.name) {
      tree.focus();
      return;
    }
    const path = join(above(entry.path), name);
    try {
      await this.patch(area, entry.path, area, path, false);
      await this.refresh([area]);
      tree.only(`${area}/${path}`);
    } catch (error) {
      complain(error);
    }
    tree.focus();
  }

  private async askWhere(area: Area, entries: Entry[]): Promise<void> {
    const [first] = entries;
    if (!first) return;
    const from = join(area, above(first.path));
    const known = [...this.folders].flatMap(([name, folder]) => [name, ...(folder.entries ?? []).filter((entry) => entry.kind === "folder").map((entry) => join(name.split("/")[0] ?? "", entry.path))]);
    const answer = await ask({
      title: entries.length === 1 ? `Move ${visibly(first.name)}` : `Move ${entries.length} items`,
      label: "To the folder (code, input or output, or one in them)",
      value: from, button: "Move", suggestions: [...new Set(known)].sort(),
      check: (value) => (placeOf(value) ? "" : "Begin with code, input or output, for example output/plots."),
    });
    const place = answer ? placeOf(answer) : null;
    if (place && join(place.area, place.path) !== from) await this.move(area, entries, place.area, place.path);
    else this.tree(area).focus();
  }

  private async move(from: Area, entries: Entry[], to: Area, folder: string): Promise<void> {
    const going = entries.filter((entry) => !(from === to && (above(entry.path) === folder || within(folder, entry.path))));
    if (!going.length) return;
    const done: { from: string; to: string }[] = [];
    try {
      const wanted = going.map((entry) => ({ what: entry, path: join(folder, entry.name) }));
      for (const { what, path, replace } of await placed(wanted, new Places(this.data.api, to), to, (entry) => entry.kind === "file")) {
        await this.patch(from, what.path, to, path, replace);
        // What replaced something can't be put back with it.
        if (!replace) done.push({ from: what.path, to: path });
      }
    } catch (error) {
      complain(error);
    }
    await this.refresh([from]);
    await this.reveal(to, folder);
    const [first] = done;
    if (!first) return;
    this.tree(to).only(`${to}/${first.to}`);
    toast(`Moved ${done.length === 1 ? last(first.to) : `${done.length} items`} to /${join(to, folder)}.`, {
      action: { label: "Undo", run: () => void this.moveBack(from, to, done) },
    });
  }

  private async moveBack(from: Area, to: Area, done: { from: string; to: string }[]): Promise<void> {
    try {
      for (const each of done) await this.patch(to, each.to, from, each.from, false);
    } catch (error) {
      complain(error);
    }
    await this.refresh();
  }

  private async patch(from: Area, path: string, to: Area, target: string, replace: boolean): Promise<void> {
    await send("PATCH", fileUrl(this.data.api, from, path), { area: to, path: target, replace });
    // Folders that were open stay open under their new name.
    for (const [name, folder] of [...this.folders]) {
      if (!within(name, `${from}/${path}`)) continue;
      this.folders.delete(name);
      this.folders.set(`${to}/${target}${name.slice(`${from}/${path}`.length)}`, { ...folder, entries: null });
    }
    this.hooks.moved(`${from}/${path}`, `${to}/${target}`);
  }

  private download(area: Area, entries: Entry[]): void {
    const [first] = entries;
    if (first && entries.length === 1) {
      follow(first.kind === "folder" ? `${fileUrl(this.data.api, area, first.path)}/?zip=1` : first.url, first.name);
      return;
    }
    const groups = new Map<string, string[]>();
    for (const entry of entries) groups.set(above(entry.path), [...(groups.get(above(entry.path)) ?? []), entry.name]);
    for (const [folder, names] of groups) {
      const only = names.map((name) => `&only=${encodeURIComponent(name)}`).join("");
      follow(`${fileUrl(this.data.api, area, folder)}${folder ? "/" : ""}?zip=1${only}`);
    }
  }

  private remove(area: Area, entries: Entry[]): void {
    if (!entries.length) return;
    this.leaving.remove(area, entries);
    this.tree(area).focus();
  }

  private gone(area: Area, full: string): void {
    for (const name of [...this.folders.keys()]) if (within(name, full) && name !== area) this.folders.delete(name);
    this.hooks.removed(full);
  }
}

/** "output/plots" or "/output/plots/" -> area and path */
function placeOf(text: string): { area: Area; path: string } | null {
  const clean = text.replace(/^\/+|\/+$/g, "");
  const area = AREAS.find((each) => each === clean);
  if (area) return { area, path: "" };
  const place = splitPath(clean);
  return place && !nameProblem(place.path) ? place : null;
}

function follow(address: string, name = ""): void {
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
