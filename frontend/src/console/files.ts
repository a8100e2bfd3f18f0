/** The files of the Task: code, input, output as trees; upload, folders, delete with undo. */

import { ApiError, json, request, send } from "@/lib/api";
import { h, icon, need } from "@/lib/dom";
import { bytes } from "@/lib/format";
import { complain, toast } from "@/lib/toast";
import { ask, confirmByName, nameProblem } from "@/console/dialogs";
import { type Area, AREAS, type ConsoleData, type Entry, entriesOf, fileUrl, kindOf } from "@/console/model";
import { upload } from "@/console/upload";

const UNDO = 6000;
const SHOWN = 500;
const ICONS = { code: "code", image: "image", table: "data", text: "file", binary: "file" } as const;

interface Folder {
  entries: Entry[] | null;
  open: boolean;
}

export class Files {
  /** "code/sub" -> what is known of that folder */
  private readonly folders = new Map<string, Folder>();
  /** deleted, as far as the person is concerned, until the undo has run out */
  private readonly leaving = new Map<string, () => void>();
  private current = "";

  constructor(
    private readonly root: HTMLElement,
    private readonly data: ConsoleData,
    private readonly open: (area: Area, entry: Pick<Entry, "name" | "path" | "size">) => void,
    private readonly removed: (full: string) => void,
  ) {
    for (const area of AREAS) {
      this.folders.set(area, { entries: data.areas[area], open: true });
      this.wire(area);
      this.draw(area);
    }
    addEventListener("pagehide", () => { for (const finish of this.leaving.values()) finish(); });
  }

  /** Mark the file that the editor shows. */
  select(full: string): void {
    this.current = full;
    for (const area of AREAS) this.draw(area);
  }

  has(area: Area, path: string): Entry | undefined {
    const folder = path.includes("/") ? `${area}/${path.slice(0, path.lastIndexOf("/"))}` : area;
    return this.folders.get(folder)?.entries?.find((entry) => entry.path === path);
  }

  /** Ask the server for every folder that is shown. */
  async refresh(areas: readonly Area[] = AREAS): Promise<void> {
    const shown = [...this.folders].filter(([name, folder]) => folder.open && areas.some((area) => name === area || name.startsWith(`${area}/`)));
    await Promise.all(shown.map(async ([name]) => this.load(name)));
    for (const area of areas) this.draw(area);
  }

  private section(area: Area): HTMLElement {
    return need(this.root, `[data-area="${area}"]`);
  }

  private wire(area: Area): void {
    const section = this.section(area);
    const input = need<HTMLInputElement>(this.root, "#upload-input");
    need(section, "[data-upload]").addEventListener("click", () => {
      input.onchange = () => {
        void this.upload(area, "", [...(input.files ?? [])]);
        input.value = "";
      };
      input.click();
    });
    need(section, "[data-new-folder]").addEventListener("click", () => void this.newFolder(area));
    section.querySelector("[data-new-file]")?.addEventListener("click", () => void this.newFile(area));
    section.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      section.classList.add("drop");
    });
    section.addEventListener("dragleave", (event) => {
      if (!(event.relatedTarget instanceof Node && section.contains(event.relatedTarget))) section.classList.remove("drop");
    });
    section.addEventListener("drop", (event) => {
      event.preventDefault();
      section.classList.remove("drop");
      void this.upload(area, "", [...(event.dataTransfer?.files ?? [])]);
    });
  }

  private async load(name: string): Promise<void> {
    const [area = "code", ...rest] = name.split("/");
    try {
      const entries = entriesOf(await json(fileUrl(this.data.api, area as Area, rest.join("/"))));
      this.folders.set(name, { entries, open: this.folders.get(name)?.open ?? true });
    } catch (error) {
      // A folder that is gone leaves the tree; the others stay.
      if (error instanceof ApiError && error.status === 404 && rest.length) this.folders.delete(name);
      else complain(error);
    }
  }

  private draw(area: Area): void {
    const tree = need(this.section(area), ".tree");
    const entries = this.folders.get(area)?.entries ?? [];
    tree.replaceChildren(...this.rows(area, entries, 0));
    if (!tree.childElementCount) {
      const none = { code: "No script yet: write one, or drop it here.", input: "Drop data here; scripts read it from /input.", output: "What scripts write to /output appears here." };
      tree.append(h("li", { class: "none" }, none[area]));
    }
  }

  private rows(area: Area, entries: Entry[], depth: number): HTMLElement[] {
    const shown = entries.filter((entry) => !this.leaving.has(`${area}/${entry.path}`));
    const rows = shown.slice(0, SHOWN).map((entry) => this.row(area, entry, depth));
    if (shown.length > SHOWN) rows.push(h("li", { class: "none" }, `${shown.length - SHOWN} more are not shown here. Use the command line: ls`));
    return rows;
  }

  private row(area: Area, entry: Entry, depth: number): HTMLElement {
    const full = `${area}/${entry.path}`;
    const folder = entry.kind === "folder";
    const opened = folder && this.folders.get(full)?.open === true;
    const row = h(
      "div",
      { class: full === this.current ? "row current" : "row", style: `--depth:${depth}` },
      h(
        "button",
        {
          class: "open", type: "button", title: entry.name, "data-path": full,
          "aria-expanded": folder ? String(opened) : null,
          "aria-current": full === this.current ? "true" : null,
          disabled: entry.kind === "other",
          onclick: () => { if (folder) void this.toggle(area, full); else this.open(area, entry); },
        },
        picture(entry, opened),
        h("span", { class: "label" }, entry.name),
      ),
      folder ? null : h("span", { class: "size" }, bytes(entry.size)),
      h(
        "span",
        { class: "tools" },
        entry.kind === "file" && h("a", { class: "button quiet small icon-only", href: entry.url, download: entry.name, title: `Download ${entry.name}` }, icon("download")),
        h("button", { class: "button quiet small icon-only", type: "button", title: `Delete ${entry.name}`, "aria-label": `Delete ${entry.name}`, onclick: () => void this.remove(area, entry) }, icon("trash")),
      ),
    );
    const item = h("li", {}, row);
    if (opened) item.append(h("ul", { class: "tree" }, ...this.rows(area, this.folders.get(full)?.entries ?? [], depth + 1)));
    return item;
  }

  private async toggle(area: Area, full: string): Promise<void> {
    const folder = this.folders.get(full);
    if (folder) folder.open = !folder.open;
    else this.folders.set(full, { entries: null, open: true });
    if (this.folders.get(full)?.open) await this.load(full);
    this.draw(area);
    this.section(area).querySelector<HTMLElement>(`[data-path="${CSS.escape(full)}"]`)?.focus();
  }

  private async newFile(area: Area): Promise<void> {
    const name = await ask({ title: "New file", label: `Name in /${area}`, value: "script.R", button: "Create", check: nameProblem });
    if (!name) return;
    if (this.has(area, name)) toast(`${name} is there already.`);
    this.open(area, { name, path: name, size: -1 });
  }

  private async newFolder(area: Area): Promise<void> {
    const name = await ask({ title: "New folder", label: `Name in /${area}`, button: "Create", check: nameProblem });
    if (!name) return;
    try {
      await send("POST", fileUrl(this.data.api, area, ""), { folder: name });
      await this.refresh([area]);
    } catch (error) {
      complain(error);
    }
  }

  private async upload(area: Area, folder: string, files: File[]): Promise<void> {
    const place = need(this.section(area), ".uploads");
    for (const file of files) {
      const path = folder ? `${folder}/${file.name}` : file.name;
      const bar = h("progress", { max: 100, value: 0 });
      const line = h("div", { class: "uploading" }, h("span", {}, file.name), bar);
      place.append(line);
      try {
        await upload(fileUrl(this.data.api, area, path), file, (percent) => { bar.value = percent; });
        await this.load(area);
        this.draw(area);
      } catch (error) {
        complain(error instanceof ApiError ? new ApiError(`${file.name}: ${error.message}`, error.status) : error);
      } finally {
        line.remove();
      }
    }
  }

  /** A file or an empty folder goes at once and can be had back for a while; a full folder can't. */
  private async remove(area: Area, entry: Entry): Promise<void> {
    const full = `${area}/${entry.path}`;
    if (entry.kind === "folder") {
      await this.load(full);
      const inside = this.folders.get(full)?.entries?.length ?? 0;
      if (inside && !(await confirmByName(`Delete ${entry.name}?`, "The folder and everything in it are deleted for good.", entry.name))) return;
      if (inside) {
        await this.erase(area, entry);
        return;
      }
    }
    let timer = 0;
    const finish = (): void => {
      window.clearTimeout(timer);
      if (this.leaving.delete(full)) void this.erase(area, entry);
    };
    this.leaving.set(full, finish);
    this.draw(area);
    timer = window.setTimeout(finish, UNDO);
    toast(`Deleted ${entry.name}.`, {
      lasts: UNDO,
      action: {
        label: "Undo",
        run: () => {
          window.clearTimeout(timer);
          this.leaving.delete(full);
          this.draw(area);
        },
      },
    });
  }

  private async erase(area: Area, entry: Entry): Promise<void> {
    try {
      // keepalive: it is sent even when the page is just being left.
      await request(fileUrl(this.data.api, area, entry.path), { method: "DELETE", keepalive: true });
      this.removed(`${area}/${entry.path}`);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) complain(error);
    }
    await this.refresh([area]);
  }
}

function picture(entry: Entry, opened: boolean): Element {
  if (entry.kind === "folder") return icon(opened ? "folder-open" : "folder");
  const kind = kindOf(entry.name);
  if (kind === "image" && entry.kind === "file" && entry.size < 4 * 1024 * 1024) {
    return h("img", { class: "thumb", src: `${entry.url}?inline=1&v=${Date.parse(entry.modified_at)}`, alt: "", loading: "lazy" });
  }
  return icon(ICONS[kind]);
}
