/** The file in the middle: opened, edited, saved; a newer one elsewhere is noticed, never overwritten
    unasked. */

import type { EditorState } from "@codemirror/state";
import { ApiError, isRecord, json, request } from "@/lib/api";
import { h, need } from "@/lib/dom";
import { complain } from "@/lib/toast";
import { Editor } from "@/console/editor";
import { type Area, type ConsoleData, type Entry, entriesOf, fileUrl, kindOf } from "@/console/model";
import { preview } from "@/console/preview";

const EDITABLE = 2 * 1024 * 1024;

interface OpenFile {
  area: Area;
  path: string;
  state: EditorState;
  saved: string;
  /** of the file as it was opened or saved; "" while it does not exist */
  modifiedAt: string;
}

interface Hooks {
  shown: (full: string, isScript: boolean) => void;
  written: (area: Area) => void;
  run: () => void;
}

export class Documents {
  private readonly editor: Editor;
  private readonly host: HTMLElement;
  private readonly looking = h("div", { hidden: true, style: "height:100%" });
  private readonly open = new Map<string, OpenFile>();
  private current: OpenFile | null = null;
  private asked = 0;

  constructor(
    private readonly data: ConsoleData,
    private readonly hooks: Hooks,
  ) {
    this.host = need(document, "#editor");
    this.editor = new Editor(this.host, {
      changed: () => { this.mark(); },
      save: () => void this.save(),
      run: () => { this.hooks.run(); },
    });
    this.host.append(this.looking);
    need(document, "#save").addEventListener("click", () => void this.save());
    need(document, "#conflict-mine").addEventListener("click", () => void this.save(true));
    need(document, "#conflict-theirs").addEventListener("click", () => void this.reload());
    window.addEventListener("beforeunload", (event) => { if (this.anyDirty()) event.preventDefault(); });
    window.addEventListener("focus", () => void this.lookForNewer());
  }

  /** The script to run: the open one, if it is R code of the Task. */
  get script(): string | null {
    const file = this.current;
    return file?.area === "code" && /\.r$/i.test(file.path) ? file.path : null;
  }

  /** `size` -1: a new file, which exists once it is saved. */
  async show(area: Area, entry: Pick<Entry, "name" | "path" | "size">): Promise<void> {
    const full = `${area}/${entry.path}`;
    const asked = ++this.asked;
    this.keep();
    const known = this.open.get(full);
    if (known) {
      this.put(full, known);
      void this.lookForNewer();
      return;
    }
    const kind = kindOf(entry.name);
    try {
      if ((kind === "code" || kind === "text") && entry.size <= EDITABLE) {
        const file = entry.size < 0 ? this.fresh(area, entry.path) : await this.fetch(area, entry.path);
        if (asked === this.asked) this.put(full, file);
      } else {
        const box = await preview(kind === "code" || kind === "text" ? "binary" : kind, entry.name, fileUrl(this.data.api, area, entry.path), entry.size);
        if (asked === this.asked) this.putPreview(full, box);
      }
    } catch (error) {
      complain(error);
    }
  }

  /** Write the text. False: it was not saved, and the person knows why. */
  async save(overwrite = false): Promise<boolean> {
    this.keep();
    const file = this.current;
    if (!file) return true;
    const text = file.state.doc.toString();
    try {
      if (!overwrite && (await this.isNewer(file))) {
        this.conflict(true);
        return false;
      }
      const address = fileUrl(this.data.api, file.area, file.path);
      const entry = await json(address, { method: "PUT", body: text, headers: { "Content-Type": "application/octet-stream" } });
      file.saved = text;
      file.modifiedAt = isRecord(entry) ? String(entry["modified_at"]) : "";
      this.conflict(false);
      this.mark();
      this.say("Saved");
      this.hooks.written(file.area);
      return true;
    } catch (error) {
      complain(error);
      return false;
    }
  }

  /** Save if there is something to save. */
  async settle(): Promise<boolean> {
    this.keep();
    const file = this.current;
    return !file || (!dirty(file) && file.modifiedAt !== "") ? true : this.save();
  }

  forget(full: string): void {
    const file = this.open.get(full);
    if (!file) return;
    file.modifiedAt = "";
    file.saved = "";
    this.mark();
  }

  goTo(line: number): void {
    this.editor.goTo(line);
  }

  private fresh(area: Area, path: string): OpenFile {
    return { area, path, state: this.editor.stateFor(path, ""), saved: "", modifiedAt: "" };
  }

  private async fetch(area: Area, path: string): Promise<OpenFile> {
    const [response, modifiedAt] = await Promise.all([request(fileUrl(this.data.api, area, path)), this.modifiedAt(area, path)]);
    const text = await response.text();
    return { area, path, state: this.editor.stateFor(path, text), saved: text, modifiedAt };
  }

  private async modifiedAt(area: Area, path: string): Promise<string> {
    const slash = path.lastIndexOf("/");
    const folder = slash < 0 ? "" : path.slice(0, slash);
    try {
      const entries = entriesOf(await json(`${fileUrl(this.data.api, area, folder)}/`));
      return entries.find((entry) => entry.path === path)?.modified_at ?? "";
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return "";
      throw error;
    }
  }

  private async isNewer(file: OpenFile): Promise<boolean> {
    const now = await this.modifiedAt(file.area, file.path);
    return now !== "" && now !== file.modifiedAt;
  }

  private async lookForNewer(): Promise<void> {
    const file = this.current;
    if (!file) return;
    try {
      if (!(await this.isNewer(file)) || file !== this.current) return;
      this.keep();
      if (dirty(file)) this.conflict(true);
      else await this.reload();
    } catch {
      // Only a look ahead: saving says it if the portal is away.
    }
  }

  private async reload(): Promise<void> {
    const file = this.current;
    if (!file) return;
    try {
      const fresh = await this.fetch(file.area, file.path);
      this.put(`${file.area}/${file.path}`, fresh);
      this.conflict(false);
    } catch (error) {
      complain(error);
    }
  }

  private put(full: string, file: OpenFile): void {
    this.open.set(full, file);
    this.current = file;
    this.looking.hidden = true;
    this.editor.view.dom.hidden = false;
    this.editor.show(file.state);
    this.conflict(false);
    this.shown(full, file.path, true);
    this.mark();
    // A new file is there to be written in.
    if (!file.modifiedAt) this.editor.view.focus();
  }

  private putPreview(full: string, box: HTMLElement): void {
    this.current = null;
    this.editor.view.dom.hidden = true;
    this.looking.hidden = false;
    this.looking.replaceChildren(box);
    this.conflict(false);
    this.shown(full, full.slice(full.indexOf("/") + 1), false);
    this.mark();
  }

  private shown(full: string, name: string, editable: boolean): void {
    const area = full.slice(0, full.indexOf("/")) as Area;
    need(document, "#file-name").textContent = area === "code" ? name : full;
    need<HTMLElement>(document, "#save").hidden = !editable;
    const download = need<HTMLAnchorElement>(document, "#file-download");
    download.hidden = editable;
    download.href = fileUrl(this.data.api, area, full.slice(area.length + 1));
    this.hooks.shown(full, this.script !== null);
  }

  /** The view's present text back into the open file. */
  private keep(): void {
    if (this.current) this.current.state = this.editor.view.state;
  }

  private mark(): void {
    this.keep();
    const unsaved = this.current !== null && dirty(this.current);
    need<HTMLElement>(document, "#dirty").hidden = !unsaved;
    need<HTMLButtonElement>(document, "#save").disabled = !unsaved;
    if (unsaved) this.say("");
  }

  private anyDirty(): boolean {
    this.keep();
    return [...this.open.values()].some(dirty);
  }

  private conflict(there: boolean): void {
    need<HTMLElement>(document, "#conflict").hidden = !there;
  }

  private say(text: string): void {
    need(document, "#editor-status").textContent = text;
  }
}

function dirty(file: OpenFile): boolean {
  return file.state.doc.toString() !== file.saved;
}
