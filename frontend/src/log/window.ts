/** The part of a log that the page holds: consecutive rows around what is looked at, never more than
    so many. What lies before and after is fetched by Range when somebody scrolls there. */

import { ApiError, isRecord, json, request } from "@/lib/api";
import { h } from "@/lib/dom";
import { lineStart, RowReader } from "@/log/rows";
import { LogView, ROW_HEIGHT } from "@/log/view";

export const MOST_ROWS = 20_000;
/** bytes fetched at a time */
const PIECE = 256 * 1024;
/** bytes read before a piece, so that its first row begins where a line does, in that line's colour */
const WARM_UP = 16 * 1024;
/** Browsers draw no box higher than some 16 million pixels: what a scroll bar stands for has a limit. */
const MOST_PIXELS = 6_000_000;
const PIXELS_PER_BYTE = ROW_HEIGHT / 100;
/** pixels before the end of the rows at which more are fetched */
const NEAR = 1500;
/** requests for the number of a line until it is left at that */
const PATIENCE = 10;

export interface Place {
  run: string;
  attempt: number;
}

export class LogWindow {
  readonly view: LogView;
  private readonly before = h("div", { class: "unread", "aria-hidden": "true" });
  private readonly after = h("div", { class: "unread", "aria-hidden": "true" });
  private place: Place = { run: "", attempt: 0 };
  private reader: RowReader | null = new RowReader(0);
  /** where the rows end, while there is no reader */
  private cutAt = 0;
  /** bytes of the log as far as we know */
  known = 0;
  private entering = false;
  private busy = false;
  private asked = 0;
  /** the beginning whose number was asked for */
  private numbering = -1;
  private numberTimer: number | undefined;

  constructor(
    private readonly scroller: HTMLElement,
    link: (number: number) => string,
    private readonly failed: (error: unknown) => void,
  ) {
    scroller.append(this.before);
    this.view = new LogView(scroller, link);
    scroller.append(this.after);
  }

  get start(): number {
    return this.view.start ?? this.end;
  }

  get end(): number {
    return this.reader?.next ?? this.cutAt;
  }

  /** Does what comes next on the socket belong to the end of the rows? */
  get attached(): boolean {
    return this.end >= this.known;
  }

  /** Forget all rows; bytes from `offset` on are to come. */
  reset(place: Place, offset: number): void {
    this.place = place;
    this.asked += 1;
    this.busy = false;
    this.view.clear();
    this.numbering = -1;
    this.reader = new RowReader(offset);
    this.entering = offset > 0;
    this.known = Math.max(offset, 0);
    if (offset === 0) this.view.number(1);
    this.space();
  }

  /** Bytes from the socket. Those that don't follow our last row are left in the log. */
  take(data: Uint8Array, offset: number, following: boolean): void {
    const end = this.end;
    this.known = Math.max(this.known, offset + data.length);
    if (!this.reader || offset > end || offset + data.length <= end) return;
    if (!following && this.view.rows >= MOST_ROWS) return;
    let fresh = data.subarray(end - offset);
    if (this.entering) {
      // Entered in the middle of a line, maybe of a character: begin with the next whole line.
      const first = lineStart(fresh);
      this.reader = new RowReader(end + first.at, first.piece);
      fresh = fresh.subarray(first.at);
      this.entering = false;
    }
    this.reader.push(fresh);
  }

  /** Show what was taken. */
  draw(following: boolean): void {
    if (this.reader) {
      const { rows, replaces } = this.reader.take();
      if (rows.length) this.view.append(rows, replaces, following);
    }
    if (following && this.view.rows > MOST_ROWS) this.view.dropTop(MOST_ROWS - 1000);
    this.space();
    this.nameLines();
  }

  /** Is a place without rows looked at, or nearly so? Then fetch what belongs there. */
  scrolled(): void {
    if (this.busy || !this.view.rows) return;
    const { scrollTop, clientHeight } = this.scroller;
    const top = this.view.top;
    const bottom = top + this.view.height;
    if (this.start > 0 && scrollTop + clientHeight < top) this.jumpSoon((scrollTop / Math.max(1, top)) * this.start);
    else if (this.end < this.known && scrollTop > bottom) {
      const share = (scrollTop - bottom) / Math.max(1, this.after.offsetHeight - clientHeight);
      this.jumpSoon(this.end + Math.min(1, share) * (this.known - this.end));
    } else if (this.start > 0 && scrollTop < top + NEAR) void this.extendUp();
    else if (this.end < this.known && scrollTop + clientHeight > bottom - NEAR) void this.extendDown();
  }

  /** Have the rows around a byte, and it on top. */
  async jump(offset: number): Promise<void> {
    const ticket = (this.asked += 1);
    this.busy = true;
    try {
      const from = Math.max(0, Math.min(offset, this.known - 1) - PIECE / 4);
      const reader = await this.read(from, from + PIECE, ticket);
      if (!reader) return;
      this.view.clear();
      this.entering = false;
      this.reader = reader.reader;
      if (reader.start === 0) this.view.number(1);
      this.view.append(reader.rows, false, true);
      this.space();
      this.view.show(offset, "start");
      this.nameLines();
    } catch (error) {
      this.failed(error);
    } finally {
      if (ticket === this.asked) this.busy = false;
    }
  }

  private jumpTimer: number | undefined;

  /** A scroll bar that is dragged passes many places. */
  private jumpSoon(offset: number): void {
    window.clearTimeout(this.jumpTimer);
    this.jumpTimer = window.setTimeout(() => { void this.jump(Math.floor(offset)); }, 60);
  }

  private async extendUp(): Promise<void> {
    await this.extend(async (ticket) => {
      const end = this.start;
      const read = await this.read(Math.max(0, end - PIECE), end, ticket);
      if (!read) return;
      // A row that was not whole ends where ours begin: they are one line in two rows.
      this.view.keeping(() => {
        this.view.prepend(read.rows);
        if (read.start === 0) this.view.number(1);
        const cut = this.view.dropBottom(MOST_ROWS);
        if (cut !== null) this.cutHere(cut);
        this.space();
      });
    });
  }

  private async extendDown(): Promise<void> {
    await this.extend(async (ticket) => {
      const from = this.end;
      if (this.reader) {
        const data = await this.bytes(from, from + PIECE, ticket);
        if (data && this.end === from) this.reader.push(data);
      } else {
        const read = await this.read(from, from + PIECE, ticket);
        if (!read) return;
        this.reader = read.reader;
        this.view.append(read.rows, false, false);
      }
      this.view.keeping(() => {
        this.draw(false);
        this.view.dropTop(MOST_ROWS);
        this.space();
      });
    });
  }

  private async extend(how: (ticket: number) => Promise<void>): Promise<void> {
    this.busy = true;
    const ticket = this.asked;
    try {
      await how(ticket);
    } catch (error) {
      this.failed(error);
    } finally {
      if (ticket === this.asked) this.busy = false;
    }
  }

  private cutHere(offset: number): void {
    this.reader = null;
    this.cutAt = offset;
  }

  /** Rows of the bytes from about `from` to `to`, and a reader that goes on after them. */
  private async read(from: number, to: number, ticket: number): Promise<{ rows: ReturnType<RowReader["take"]>["rows"]; start: number; reader: RowReader } | null> {
    const warm = Math.max(0, from - WARM_UP);
    const data = await this.bytes(warm, to, ticket);
    if (!data) return null;
    const first = warm > 0 ? lineStart(data) : { at: 0, piece: false };
    const reader = new RowReader(warm + first.at, first.piece);
    reader.push(data.subarray(first.at));
    const all = reader.take().rows;
    // The first row that begins in the part that was asked for.
    let index = all.findIndex((row) => row.offset >= from);
    if (index < 0) index = Math.max(0, all.length - 1);
    const rows = all.slice(index);
    return { rows, start: rows[0]?.offset ?? warm, reader };
  }

  private async bytes(from: number, to: number, ticket: number): Promise<Uint8Array | null> {
    if (to <= from) return null;
    const { run, attempt } = this.place;
    const response = await request(`/api/v1/runs/${run}/log?attempt=${attempt}`, { headers: { Range: `bytes=${from}-${to - 1}` } });
    if (response.status !== 206) {
      void response.body?.cancel();
      throw new ApiError("The portal can't send a part of this log. Download it whole.", response.status);
    }
    const data = new Uint8Array(await response.arrayBuffer());
    return ticket === this.asked ? data : null;
  }

  /** The boxes that stand for what is not here. */
  private space(): void {
    const scale = Math.min(PIXELS_PER_BYTE, MOST_PIXELS / Math.max(1, this.known));
    this.before.style.height = `${Math.round(this.start * scale)}px`;
    this.after.style.height = `${Math.round(Math.max(0, this.known - this.end) * scale)}px`;
  }

  /** Ask which line the first row is of, if we entered in the middle. */
  private nameLines(): void {
    if (this.view.firstNumber !== null || !this.view.rows || this.numbering === this.start) return;
    this.numbering = this.start;
    window.clearTimeout(this.numberTimer);
    // While a log runs past, its beginning changes all the time: nobody reads numbers then.
    this.numberTimer = window.setTimeout(() => { void this.askNumber(this.start, this.asked); }, 200);
  }

  private async askNumber(start: number, asked: number): Promise<void> {
    try {
      const line = (await this.position(`offset=${start}`, asked))?.line;
      if (this.asked !== asked || line === undefined) return;
      if (this.start === start) this.view.keeping(() => { this.view.number(line); });
      else this.nameLines();
    } catch {
      // Numbers are a convenience: without an answer the log is shown without them.
      this.numbering = -1;
    }
  }

  /** Where that line begins. */
  async lineOffset(line: number): Promise<number | null> {
    return (await this.position(`line=${line}`, null))?.offset ?? null;
  }

  /** Counting the lines of a very large log may take the portal several requests. */
  private async position(query: string, asked: number | null): Promise<{ line: number; offset: number } | null> {
    const { run, attempt } = this.place;
    for (let left = PATIENCE; left > 0; left -= 1) {
      try {
        const answer = await json(`/api/v1/runs/${run}/log/position?attempt=${attempt}&${query}`);
        if (!isRecord(answer)) return null;
        const { line, offset } = answer;
        if (typeof line === "number" && typeof offset === "number") return { line, offset };
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 503) || left === 1) throw error;
      }
      await new Promise((done) => { window.setTimeout(done, 500); });
      if (asked !== null && asked !== this.asked) return null;
    }
    return null;
  }
}
