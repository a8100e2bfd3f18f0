/** From terminal text to lines: colours, `\r` progress bars, backspaces.

    A line without any of these stays one string, so that 200,000 of them are cheap. */

import Anser from "anser";

export interface Style {
  classes: string;
  /** "r, g, b" of the 256-colour palette and true colour; classes say the other ones */
  fg: string;
  bg: string;
}
export interface Span {
  text: string;
  style: Style | null;
}
export type Line = string | Span[];

// eslint-disable-next-line no-control-regex -- control characters are what this file is about
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/;
// One escape sequence: CSI, OSC (title, links), or two characters.
// eslint-disable-next-line no-control-regex
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[@-Z\\^_=>78])/y;
// eslint-disable-next-line no-control-regex
const UNFINISHED = /\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,2000}\x1b?|[()])?$/;

const LONGEST_ESCAPE = 2100;
const BELL = 7;
const SHIFTS = [14, 15];
const DELETE = 127;

export class LineBuffer {
  /** All lines; the last may still grow. */
  lines: Line[] = [];
  private changed = 0;
  private carry = "";
  private style: Style | null = null;
  private readonly styles = new Map<string, Style>();
  private anser = new Anser();
  // The line that still grows: a plain string, or cells once something moved about in it.
  private plain: string | null = "";
  private cells: string[] = [];
  private cellStyles: (Style | null)[] = [];
  private cursor = 0;
  private open = false;

  write(text: string): void {
    let rest = this.carry + text;
    this.carry = "";
    const cut = UNFINISHED.exec(rest.slice(-LONGEST_ESCAPE));
    if (cut?.[0]) {
      this.carry = cut[0];
      rest = rest.slice(0, -cut[0].length);
    }
    let start = 0;
    if (this.style === null && !this.open && !CONTROL.test(rest)) {
      // The usual case, and the one that has to be fast: whole lines of plain text.
      const until = rest.lastIndexOf("\n");
      if (until >= 0) {
        this.changed = Math.min(this.changed, this.lines.length);
        for (const line of rest.slice(0, until).split("\n")) this.lines.push(line);
        start = until + 1;
      }
    }
    for (let end = rest.indexOf("\n", start); end >= 0; end = rest.indexOf("\n", start)) {
      // "\r\n" ends a line; it does not start over in it.
      this.segment(rest.slice(start, rest.charCodeAt(end - 1) === 13 && end > start ? end - 1 : end));
      this.finish();
      start = end + 1;
    }
    if (start < rest.length) this.segment(rest.slice(start));
    if (this.open || this.isOpen()) this.put(this.snapshot());
  }

  /** Index of the first line that is new or different since the last call. */
  takeChanges(): number {
    const from = this.changed;
    this.changed = this.open ? this.lines.length - 1 : this.lines.length;
    return from;
  }

  /** End the line here although no "\n" came: it is longer than one row of the page. */
  breakLine(): void {
    this.finish();
  }

  /** The lines so far, which are forgotten but for one that still grows: it comes again. */
  take(): { lines: Line[]; open: boolean } {
    const lines = this.lines;
    this.lines = this.open ? lines.slice(-1) : [];
    this.changed = 0;
    return { lines, open: this.open };
  }

  private isOpen(): boolean {
    return this.plain === null ? this.cells.length > 0 : this.plain !== "";
  }

  private put(line: Line): void {
    if (this.open) this.lines[this.lines.length - 1] = line;
    else this.lines.push(line);
    this.open = true;
    this.changed = Math.min(this.changed, this.lines.length - 1);
  }

  private finish(): void {
    this.put(this.snapshot());
    this.open = false;
    this.plain = "";
    this.cells = [];
    this.cellStyles = [];
    this.cursor = 0;
  }

  private segment(text: string): void {
    if (this.plain !== null && this.style === null && !CONTROL.test(text)) {
      this.plain += text;
      return;
    }
    this.toCells();
    let index = 0;
    while (index < text.length) {
      const code = text.charCodeAt(index);
      if (code === 27) index = this.escape(text, index);
      else if (code === 13 || code === 8 || code === BELL || SHIFTS.includes(code)) {
        if (code === 13) this.cursor = 0;
        else if (code === 8) this.cursor = Math.max(0, this.cursor - 1);
        index += 1;
      } else {
        const char = String.fromCodePoint(text.codePointAt(index) ?? 0xfffd);
        this.cells[this.cursor] = visible(char, code);
        this.cellStyles[this.cursor] = this.style;
        this.cursor += 1;
        index += char.length;
      }
    }
  }

  /** Handle the sequence at `index`; returns where the text goes on. */
  private escape(text: string, index: number): number {
    ESCAPE.lastIndex = index;
    const match = ESCAPE.exec(text);
    if (!match) return index + 1;
    const [whole, parameters = "", final = ""] = match;
    const number = Number.parseInt(parameters, 10) || 0;
    if (final === "m") this.style = this.styled(parameters);
    else if (final === "K") this.erase(number);
    else if (final === "G") this.moveTo(number - 1);
    else if (final === "C") this.moveTo(this.cursor + Math.max(1, number));
    else if (final === "D") this.moveTo(this.cursor - Math.max(1, number));
    return index + whole.length;
  }

  private moveTo(column: number): void {
    const wanted = Math.min(Math.max(0, column), 1000);
    while (this.cells.length < wanted) {
      this.cells.push(" ");
      this.cellStyles.push(null);
    }
    this.cursor = wanted;
  }

  private erase(mode: number): void {
    if (mode === 0) {
      this.cells.length = Math.min(this.cells.length, this.cursor);
      this.cellStyles.length = this.cells.length;
    } else {
      const until = mode === 2 ? this.cells.length : Math.min(this.cells.length, this.cursor + 1);
      this.cells.fill(" ", 0, until);
      this.cellStyles.fill(null, 0, until);
    }
  }

  private toCells(): void {
    if (this.plain === null) return;
    this.cells = Array.from(this.plain);
    this.cellStyles = this.cells.map(() => null);
    this.cursor = this.cells.length;
    this.plain = null;
  }

  private styled(parameters: string): Style | null {
    const entry = this.anser.processChunkJson(`${parameters}m`, { use_classes: true }, true);
    const colour = (name: string | null, suffix: string, rgb: string | null): [string, string] => {
      if (!name) return ["", ""];
      if (name === "ansi-truecolor") return ["", rgb ?? ""];
      const palette = /^ansi-palette-(\d+)$/.exec(name);
      return palette ? ["", paletteColour(Number(palette[1]))] : [`${name}-${suffix}`, ""];
    };
    const [fgClass, fg] = colour(entry.fg, "fg", entry.fg_truecolor);
    const [bgClass, bg] = colour(entry.bg, "bg", entry.bg_truecolor);
    const decorations = [...new Set(entry.decorations)].map((name) => `ansi-${name}`);
    const classes = [fgClass, bgClass, ...decorations].filter(Boolean).join(" ");
    if (!classes && !fg && !bg) return null;
    const key = `${classes}|${fg}|${bg}`;
    const known = this.styles.get(key);
    if (known) return known;
    const style = { classes, fg, bg };
    this.styles.set(key, style);
    return style;
  }

  private snapshot(): Line {
    if (this.plain !== null) return this.plain;
    const spans: Span[] = [];
    for (let index = 0; index < this.cells.length; index += 1) {
      const style = this.cellStyles[index] ?? null;
      const char = this.cells[index] ?? " ";
      const last = spans.at(-1);
      if (last?.style === style) last.text += char;
      else spans.push({ text: char, style });
    }
    const only = spans[0];
    if (!only) return "";
    return spans.length === 1 && only.style === null ? only.text : spans;
  }
}

/** What a terminal would not show has a picture: a NUL is seen as ␀. */
function visible(char: string, code: number): string {
  if (code === DELETE) return "\u2421";
  return code < 32 && code !== 9 ? String.fromCharCode(0x2400 + code) : char;
}

export function plainText(line: Line): string {
  return typeof line === "string" ? line : line.map((span) => span.text).join("");
}

/** xterm's 256 colours from 16 on: a cube of 6 × 6 × 6, then 24 greys. */
export function paletteColour(index: number): string {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `${grey}, ${grey}, ${grey}`;
  }
  const level = (value: number): number => (value === 0 ? 0 : 55 + value * 40);
  const cube = index - 16;
  return [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level).join(", ");
}

/** What R itself says about a line, for its colour in the margin. */
export function kindOf(line: Line): "error" | "warning" | "" {
  const text = plainText(line);
  if (/^(Error\b( in .*)?( ?:|$)|Error: |Execution halted|.*: (command )?not found$)/.test(text)) return "error";
  return /^Warning (message|in )/.test(text) ? "warning" : "";
}
