/** The file in the middle: opened, edited, saved; a newer one elsewhere is noticed, never overwritten
    unasked. */

import type { EditorState } from "@codemirror/state";
import { ApiError, request } from "@/lib/api";
import { h, need } from "@/lib/dom";
import { visibly } from "@/lib/format";
import { complain } from "@/lib/toast";
import { Editor } from "@/console/editor";
import { type Area, type ConsoleData, type Entry, fileUrl, kindOf } from "@/console/model";
import { last, within } from "@/console/names";
import { preview } from "@/console/preview";
import { linesWith } from "@/log/sources";

const EDITABLE = 2 * 1024 * 1024;

interface OpenFile {
  area: Area;
  path: string;
  state: EditorState;
  saved: string;
  /** the file's ETag as it was opened or saved; "" while it does not exist */
  etag: string;
  /** its lines end as on Windows, and shall go on doing so */
  crlf: boolean;
}

/** A text that would not be the same after it was saved. */
class NotText extends Error {}

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
  /** Saves come one after the other: the next one needs the ETag that this one gets. */
  private saving: Promise<unknown> = Promise.resolve();

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
      const editable = kind === "code" || kind === "text";
      if (editable && entry.size <= EDITABLE && (this.data.mayEdit || entry.size < 0)) {
        const file = entry.size < 0 ? this.fresh(area, entry.path) : await this.fetch(area, entry.path);
        if (asked === this.asked) this.put(full, file);
      } else {
        const why = entry.size > EDITABLE ? `${entry.name} is too large to edit here: change it on your machine and upload it.` : "";
        await this.look(full, entry, kind, why, asked);
      }
    } catch (error) {
      if (error instanceof NotText) await this.look(full, entry, "text", error.message, asked).catch(complain);
      else complain(error);
    }
  }

  private async look(full: string, entry: Pick<Entry, "name" | "path" | "size">, kind: ReturnType<typeof kindOf>, why: string, asked: number): Promise<void> {
    const area = full.slice(0, full.indexOf("/")) as Area;
    const box = await preview(kind, entry.name, fileUrl(this.data.api, area, entry.path), entry.size, why);
    if (asked === this.asked) this.putPreview(full, box);
  }

  /** Write the text. False: it was not saved, and the person knows why. */
  async save(overwrite = false): Promise<boolean> {
    const file = this.current;
    if (!file) return true;
    const done = this.saving.then(() => this.write(file, overwrite));
    this.saving = Promise.allSettled([done]);
    return done;
  }

  private async write(file: OpenFile, overwrite: boolean): Promise<boolean> {
    this.keep();
    const text = file.state.doc.toString();
    // Only over what was opened, or over nothing: the server compares, so nobody slips in between.
    const condition: Record<string, string> = overwrite ? {} : file.etag ? { "If-Match": file.etag } : { "If-None-Match": "*" };
    try {
      const response = await request(fileUrl(this.data.api, file.area, file.path), {
        method: "PUT",
        body: file.crlf ? text.replaceAll("\n", "\r\n") : text,
        headers: { "Content-Type": "application/octet-stream", ...condition },
      });
      file.saved = text;
      file.etag = response.headers.get("ETag") ?? "";
      this.mark();
      if (file === this.current) {
        this.conflict(false);
        this.say("Saved");
      }
      this.hooks.written(file.area);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 412)) complain(error);
      else if (file === this.current) this.conflict(true);
      else complain(new Error(`${last(file.path)} was changed elsewhere meanwhile. Open it to choose which one to keep.`));
      return false;
    }
  }

  /** Save if there is something to save. */
  async settle(): Promise<boolean> {
    await this.saving;
    this.keep();
    const file = this.current;
    return !file || (!dirty(file) && file.etag !== "") ? true : this.save();
  }

  /** It was deleted: what is open of it is unsaved text again. */
  forget(full: string): void {
    for (const [name, file] of this.open) {
      if (!within(name, full)) continue;
      file.etag = "";
      file.saved = "";
    }
    this.mark();
  }

  /** It has another name or place: what is open of it goes along, unsaved changes too. */
  moved(from: string, to: string): void {
    this.keep();
    for (const [name, file] of [...this.open]) {
      if (!within(name, from)) continue;
      const full = to + name.slice(from.length);
      this.open.delete(name);
      this.open.set(full, file);
      file.area = full.slice(0, full.indexOf("/")) as Area;
      file.path = full.slice(file.area.length + 1);
      if (file === this.current) this.shown(full, file.path, true);
    }
  }

  /** The open file's lines with the call; the first is shown. null: another file is open, or none to edit. */
  goToCall(full: string, call: string): number[] | null {
    if (!this.isOpen(full)) return null;
    const lines = linesWith(this.editor.text, call);
    if (lines[0] !== undefined) this.editor.goTo(lines[0]);
    return lines;
  }

  /** Nothing if another file is open, or none to edit. */
  goTo(full: string, line: number): void {
    if (this.isOpen(full)) this.editor.goTo(line);
  }

  private isOpen(full: string): boolean {
    return this.current !== null && `${this.current.area}/${this.current.path}` === full;
  }

  private fresh(area: Area, path: string): OpenFile {
    return { area, path, state: this.editor.stateFor(path, ""), saved: "", etag: "", crlf: false };
  }

  private async fetch(area: Area, path: string): Promise<OpenFile> {
    // Content and ETag of one answer belong together.
    const response = await request(fileUrl(this.data.api, area, path));
    const text = decoded(await response.arrayBuffer(), last(path));
    // The editor has lines, not line ends: what was saved is what it shows.
    const state = this.editor.stateFor(path, text);
    return { area, path, state, saved: state.doc.toString(), etag: response.headers.get("ETag") ?? "", crlf: text.includes('\r\n') && !/[^\r]\n|^\n/.test(text) };
  }

  private async isNewer(file: OpenFile): Promise<boolean> {
    // What is being saved from here is nothing newer, whether it arrives before the question or after.
    await this.saving;
    const { etag } = file;
    try {
      const response = await request(fileUrl(this.data.api, file.area, file.path), { method: "HEAD" });
      await this.saving;
      return file.etag === etag && response.headers.get("ETag") !== etag;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    }
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
    if (!file.etag) this.editor.view.focus();
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
    const label = need<HTMLElement>(document, "#file-name");
    label.textContent = label.title = visibly(area === "code" ? name : full);
    // What was said was said of another file.
    this.say("");
    need<HTMLElement>(document, "#save").hidden = !editable || !this.data.mayEdit;
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

/** Throws NotText: saving would replace the bytes that are no UTF-8. */
function decoded(content: ArrayBuffer, name: string): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    if (!text.includes("\0")) return text;
  } catch {
    // As below.
  }
  throw new NotText(`${name} is not UTF-8 text, so it can be looked at here and not changed: saving would damage it.`);
}

function dirty(file: OpenFile): boolean {
  return file.state.doc.toString() !== file.saved;
}
