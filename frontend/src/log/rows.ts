/** From the bytes of a log to rows of the page, each with the offset at which it begins.

    A row is a line, or a piece of one that is very long: a line of 10 MB is many rows. */

import { type Line, LineBuffer } from "@/log/lines";

export interface Row {
  /** of its first byte in the log */
  offset: number;
  line: Line;
  /** goes on with the line of the row before */
  piece: boolean;
}

export const LONGEST_ROW = 16 * 1024;
const NEWLINE = 10;
const RETURN = 13;

export class RowReader {
  private readonly buffer = new LineBuffer();
  private readonly decoder = new TextDecoder();
  private begins: { offset: number; piece: boolean }[];
  /** bytes of the present line since its row began, or since the last return in it */
  private held = 0;
  private returned = false;
  private wasOpen = false;

  constructor(
    /** offset of the next byte */
    public next: number,
    piece = false,
  ) {
    this.begins = [{ offset: next, piece }];
  }

  push(data: Uint8Array): void {
    let written = 0;
    let at = 0;
    while (at < data.length) {
      const newline = data.indexOf(NEWLINE, at);
      const end = newline < 0 ? data.length : newline + 1;
      if (this.held + end - at > LONGEST_ROW) {
        this.write(data.subarray(written, at));
        at = written = this.cut(data, at);
        continue;
      }
      this.held += end - at;
      if (newline < 0) this.returned ||= data.subarray(at).includes(RETURN);
      else this.begin(this.next + end, false);
      at = end;
    }
    this.write(data.subarray(written));
    this.next += data.length;
  }

  /** Rows that are new; the first one takes the place of the last one given, if that had not ended. */
  take(): { rows: Row[]; replaces: boolean } {
    const { lines, open } = this.buffer.take();
    const rows = lines.map((line, index) => ({ line, ...(this.begins[index] ?? { offset: this.next, piece: false }) }));
    const replaces = this.wasOpen;
    this.wasOpen = open;
    this.begins = this.begins.slice(open ? lines.length - 1 : lines.length);
    return { rows, replaces };
  }

  private write(data: Uint8Array): void {
    if (data.length) this.buffer.write(this.decoder.decode(data, { stream: true }));
  }

  private begin(offset: number, piece: boolean): void {
    this.begins.push({ offset, piece });
    this.held = 0;
    this.returned = false;
  }

  /** Write a piece of a long line; returns where it goes on. A line that returns to its beginning
      (a progress bar) stays one row, however many bytes it was. */
  private cut(data: Uint8Array, at: number): number {
    const end = characterEnd(data, at, at + LONGEST_ROW - this.held);
    const piece = data.subarray(at, end);
    this.write(piece);
    if (this.returned || piece.includes(RETURN)) {
      this.held = 0;
      this.returned = false;
    } else {
      this.buffer.breakLine();
      this.begin(this.next + end, true);
    }
    return end;
  }
}

/** `end`, or up to 3 bytes before it, so that no character is cut. */
function characterEnd(data: Uint8Array, start: number, end: number): number {
  for (let back = 0; back < 4 && end - back > start; back += 1) {
    if (((data[end - back] ?? 0) & 0xc0) !== 0x80) return end - back;
  }
  return end;
}

/** Where the first whole line of `data` begins; where a character does if that is far. */
export function lineStart(data: Uint8Array): { at: number; piece: boolean } {
  const newline = data.indexOf(NEWLINE);
  if (newline >= 0 && newline < Math.min(LONGEST_ROW, data.length - 1)) return { at: newline + 1, piece: false };
  let at = 0;
  while (at < 4 && ((data[at] ?? 0) & 0xc0) === 0x80) at += 1;
  return { at, piece: true };
}

export function countLines(data: Uint8Array): number {
  let lines = 0;
  for (let at = data.indexOf(NEWLINE); at >= 0; at = data.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}
