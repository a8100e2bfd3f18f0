/** The commands of this Task, each once, oldest first: what the server knows and what was typed here. */

const KEPT = 500;

export class CommandHistory {
  private readonly lines: string[] = [];
  private at: number;
  private draft = "";
  /** what somebody made of a command without running it, by the command as it was run */
  private readonly edits = new Map<string, string>();

  constructor(lines: readonly string[]) {
    for (const line of lines) this.put(line);
    this.at = this.lines.length;
  }

  /** The person ran it: back to the end of the list, and each command is again what was run. */
  add(line: string): void {
    this.put(line);
    this.at = this.lines.length;
    this.draft = "";
    this.edits.clear();
  }

  /** It was run elsewhere: whoever steps through the list here stays where they are. */
  learn(line: string): void {
    const atEnd = this.at === this.lines.length;
    const before = this.lines.indexOf(line);
    if (before >= 0 && before === this.at) return;
    this.put(line);
    if (atEnd) this.at = this.lines.length;
    else if (before >= 0 && before < this.at) this.at -= 1;
  }

  /** One command back (-1) or forth (1); null: there is none. `present`, what the line holds now, is
      there again when one comes back to it. */
  step(by: -1 | 1, present: string): string | null {
    const wanted = this.at + by;
    if (wanted < 0 || wanted > this.lines.length) return null;
    this.keep(present);
    this.at = wanted;
    const line = this.lines[wanted];
    return line === undefined ? this.draft : (this.edits.get(line) ?? line);
  }

  /** It was found in the list and is in the line now: stepping goes on from there. */
  visit(line: string): void {
    const found = this.lines.indexOf(line);
    if (found >= 0) this.at = found;
  }

  /** Those that have all the words, in any order and case; the newest first. */
  search(words: string, most: number): string[] {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const found: string[] = [];
    for (let at = this.lines.length - 1; at >= 0 && found.length < most; at--) {
      const line = this.lines[at] ?? "";
      const text = line.toLowerCase();
      if (wanted.every((word) => text.includes(word))) found.push(line);
    }
    return found;
  }

  private keep(present: string): void {
    const line = this.lines[this.at];
    if (line === undefined) this.draft = present;
    else if (present === line) this.edits.delete(line);
    else this.edits.set(line, present);
  }

  private put(line: string): void {
    const before = this.lines.indexOf(line);
    if (before >= 0) this.lines.splice(before, 1);
    this.lines.push(line);
    if (this.lines.length > KEPT) {
      const oldest = this.lines.shift();
      if (oldest !== undefined) this.edits.delete(oldest);
      this.at = Math.max(0, this.at - 1);
    }
  }
}
