/** The files of a Dataset: one folder at a time, with upload, new folder, and delete with undo. */

import { ApiError, isRecord, json, onlyAsSeen, portalTime, request, send } from "@/lib/api";
import { arrange, h, icon, need } from "@/lib/dom";
import { bytes, count, relative, visibly } from "@/lib/format";
import { complain, toast } from "@/lib/toast";
import { ask, askAboutTaken, type Choice, confirmByName, nameProblem } from "@/console/dialogs";
import { type Dropped, fromDrop, fromInput } from "@/console/dropped";
import { entriesOf, type Entry } from "@/console/model";
import { freeName, join, last, sorted } from "@/console/names";
import { type Transfer, Transfers } from "@/console/transfers";

const UNDO = 6000;
const SHOWN = 1000;

export interface FilesOf {
  name: string;
  /** /api/v1/datasets/<id> */
  api: string;
  /** why this person can't change them, in a sentence; "": they can */
  fixed: string;
  most: number;
}

/** Address of a file or folder of a Dataset. */
export function addressOf(api: string, path: string): string {
  return [api, "files", ...(path ? path.split("/").map(encodeURIComponent) : [])].join("/");
}

export class DatasetFiles {
  private folder = "";
  private entries: Entry[] = [];
  private cut = false;
  /** what was drawn, by path, with how it looked then */
  private rows = new Map<string, { row: HTMLElement; look: Node }>();
  /** deleted, as far as the person is concerned, until the undo has run out */
  private readonly leaving = new Map<string, () => void>();
  private readonly transfers = new Transfers(() => void this.load());
  private readonly input: HTMLInputElement;

  constructor(
    private readonly root: HTMLElement,
    private readonly data: FilesOf,
  ) {
    this.input = need<HTMLInputElement>(root, "[data-input]");
    if (!data.fixed) this.wire();
    window.addEventListener("hashchange", () => void this.show(decodeURIComponent(location.hash.slice(1))));
    addEventListener("pagehide", () => { for (const finish of this.leaving.values()) finish(); });
  }

  /** The folder of that path; "" is the Dataset itself. Other hashes of the page are none of ours. */
  async show(path: string): Promise<void> {
    if (path && !path.startsWith("/")) return this.load();
    this.folder = path.replace(/^\/+|\/+$/g, "");
    await this.load();
  }

  private wire(): void {
    need<HTMLElement>(this.root, "[data-tools]").hidden = false;
    need(this.root, "[data-transfers]").append(this.transfers.element);
    need(this.root, "[data-upload]").addEventListener("click", () => { this.choose(false); });
    need(this.root, "[data-upload-folder]").addEventListener("click", () => { this.choose(true); });
    need(this.root, "[data-new-folder]").addEventListener("click", () => void this.newFolder());
    this.root.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.root.classList.add("drop");
    });
    this.root.addEventListener("dragleave", (event) => {
      if (!(event.relatedTarget instanceof Node && this.root.contains(event.relatedTarget))) this.root.classList.remove("drop");
    });
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      this.root.classList.remove("drop");
      if (event.dataTransfer) void fromDrop(event.dataTransfer).then((dropped) => this.upload(dropped));
    });
  }

  private choose(folders: boolean): void {
    this.input.webkitdirectory = folders;
    this.input.onchange = () => {
      void this.upload(fromInput(this.input.files ?? []));
      this.input.value = "";
    };
    this.input.click();
  }

  private async load(): Promise<void> {
    try {
      const answer = await json(`${addressOf(this.data.api, this.folder)}${this.folder ? "/" : ""}`);
      this.entries = sorted(entriesOf(answer), "name");
      this.cut = isRecord(answer) && answer["truncated"] === true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404 && this.folder) {
        toast(`The folder ${this.folder} is not there any more.`);
        location.hash = "";
        return;
      }
      complain(error);
    }
    this.draw();
  }

  private draw(): void {
    const shown = this.entries.filter((entry) => !this.leaving.has(entry.path));
    const before = this.rows;
    this.rows = new Map();
    const rows = shown.slice(0, SHOWN).map((entry) => {
      const fresh = this.row(entry);
      const look = fresh.cloneNode(true);
      const known = before.get(entry.path);
      // The one that is there already, if it looks as it did: it may be pressed just now.
      const row = known?.look.isEqualNode(look) ? known.row : fresh;
      this.rows.set(entry.path, { row, look });
      return row;
    });
    arrange(need(this.root, "[data-rows]"), rows);
    const none = need<HTMLElement>(this.root, "[data-none]");
    const hidden = shown.length - SHOWN;
    none.hidden = shown.length > 0 && hidden <= 0 && !this.cut;
    if (!shown.length) none.textContent = this.data.fixed || this.folder ? "This folder is empty." : "No file yet: upload some, or drop files and folders here.";
    else if (this.cut) none.textContent = `It holds more than ${count(this.data.most)} entries; the first of them are shown.`;
    else none.textContent = `${count(hidden)} more are not shown here.`;
    this.crumbs();
  }

  private crumbs(): void {
    const parts = this.folder ? this.folder.split("/") : [];
    const links = parts.map((part, at) =>
      at === parts.length - 1
        ? h("span", { "aria-current": "location" }, h("bdi", {}, visibly(part)))
        : h("a", { href: `#/${parts.slice(0, at + 1).map(encodeURIComponent).join("/")}` }, h("bdi", {}, visibly(part))),
    );
    const top = parts.length ? h("a", { href: "#/" }, this.data.name) : null;
    const nav = need<HTMLElement>(this.root, "[data-crumbs]");
    nav.hidden = !top;
    nav.replaceChildren(...[top, ...links].flatMap((each, at) => (each ? [...(at ? [slash()] : []), each] : [])));
  }

  private row(entry: Entry): HTMLElement {
    const shown = visibly(entry.name);
    const name = h("bdi", {}, shown);
    const changed = new Date(entry.modified_at);
    const what = {
      folder: () => h("a", { href: `#/${entry.path.split("/").map(encodeURIComponent).join("/")}` }, icon("folder"), name),
      file: () => h("a", { href: entry.url, download: entry.name }, icon("file"), name),
      other: () => h("span", { class: "muted", title: "A link or a special file: it is not shown." }, icon("warn"), name),
    }[entry.kind]();
    return h(
      "tr",
      {},
      h("td", { class: "name" }, what),
      h("td", { class: "num nowrap" }, entry.kind === "file" ? bytes(entry.size) : ""),
      h("td", { class: "num muted nowrap wide", title: changed.toLocaleString() }, relative(changed, new Date())),
      h(
        "td",
        { class: "num nowrap" },
        entry.kind === "folder" && h("a", { class: "button quiet small icon-only", href: `${entry.url}?zip=1`, download: `${entry.name}.zip`, title: `Download ${shown} as a zip`, "aria-label": `Download ${shown} as a zip` }, icon("download")),
        !this.data.fixed && h("button", { class: "button quiet small icon-only", type: "button", title: `Delete ${shown}`, "aria-label": `Delete ${shown}`, onclick: () => void this.remove(entry) }, icon("trash")),
      ),
    );
  }

  private async newFolder(): Promise<void> {
    const name = await ask({ title: "New folder", label: `Name in ${join(this.data.name, this.folder)}`, button: "Create", check: nameProblem });
    if (!name) return;
    try {
      await send("POST", `${addressOf(this.data.api, this.folder)}${this.folder ? "/" : ""}`, { folder: name });
      await this.load();
    } catch (error) {
      complain(error);
    }
  }

  private async upload(dropped: Dropped): Promise<void> {
    for (const path of dropped.unreadable) toast(`${path} could not be read.`, { bad: true });
    const taken = new Map(this.entries.map((entry) => [entry.name, entry.kind]));
    const clashes = dropped.files.filter(({ path }) => taken.has(path)).length;
    const transfers: Transfer[] = [];
    let forAll: Choice | null = null;
    let asked = 0;
    for (const { path, file } of dropped.files) {
      let [name, replace] = [path, false];
      if (taken.has(path)) {
        const canReplace = taken.get(path) === "file";
        asked += 1;
        let choice: Choice;
        if (forAll && (forAll !== "replace" || canReplace)) choice = forAll;
        else {
          const answer = await askAboutTaken(path, join(this.data.name, this.folder), clashes - asked, canReplace);
          choice = answer.choice;
          if (answer.forAll) forAll = choice;
        }
        if (choice === "skip") continue;
        replace = choice === "replace";
        if (choice === "both") name = freeName(path, new Set(taken.keys()));
        taken.set(name, "file");
      }
      const target = join(this.folder, name);
      transfers.push({ address: addressOf(this.data.api, target), name: target, file, replace });
    }
    try {
      for (const path of dropped.folders) await send("POST", addressOf(this.data.api, ""), { folder: join(this.folder, path) });
    } catch (error) {
      complain(error);
    }
    if (transfers.length) this.transfers.add(transfers, dropped.files.length - transfers.length);
    else await this.load();
  }

  /** A file goes at once and can be had back for a while; a folder with something in it can't. */
  private async remove(entry: Entry): Promise<void> {
    let at = portalTime();
    if (entry.kind === "folder") {
      try {
        const inside = entriesOf(await json(`${addressOf(this.data.api, entry.path)}/`)).length;
        at = portalTime();
        if (inside && !(await confirmByName(`Delete ${entry.name}?`, "The folder and everything in it are deleted for good.", entry.name))) return;
        if (inside) {
          await this.erase(entry, at);
          return;
        }
      } catch (error) {
        complain(error);
        return;
      }
    }
    let timer = 0;
    const finish = (): void => {
      window.clearTimeout(timer);
      if (this.leaving.delete(entry.path)) void this.erase(entry, at);
    };
    this.leaving.set(entry.path, finish);
    this.draw();
    timer = window.setTimeout(finish, UNDO);
    toast(`Deleted ${last(entry.path)}.`, {
      lasts: UNDO,
      action: {
        label: "Undo",
        run: () => {
          window.clearTimeout(timer);
          this.leaving.delete(entry.path);
          this.draw();
        },
      },
    });
  }

  private async erase(entry: Entry, at: Date): Promise<void> {
    try {
      // keepalive: it is sent even when the page is just being left.
      await request(addressOf(this.data.api, entry.path), { method: "DELETE", keepalive: true, headers: onlyAsSeen(entry, at) });
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) toast(`${entry.name} was changed meanwhile: it is kept.`, { bad: true });
      else if (!(error instanceof ApiError && error.status === 404)) complain(error);
    }
    await this.load();
  }
}

function slash(): HTMLElement {
  return h("span", { "aria-hidden": "true" }, "/");
}
