/** The commands of this Task, each once, oldest first: what the server knows and what was typed here. */

const KEPT = 500;

export class CommandHistory {
  private readonly lines: string[] = [];
  private at: number;
  private draft = "";

  constructor(lines: readonly string[]) {
    for (const line of lines) this.put(line);
    this.at = this.lines.length;
  }

  /** The person ran it: back to the end of the list. */
  add(line: string): void {
    this.put(line);
    this.at = this.lines.length;
    this.draft = "";
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

  /** One line back (-1) or forth (1); null: there is none. What was begun is kept. */
  step(by: -1 | 1, present: string): string | null {
    const wanted = this.at + by;
    if (wanted < 0 || wanted > this.lines.length) return null;
    if (this.at === this.lines.length) this.draft = present;
    this.at = wanted;
    return this.lines[wanted] ?? this.draft;
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

  private put(line: string): void {
    const before = this.lines.indexOf(line);
    if (before >= 0) this.lines.splice(before, 1);
    this.lines.push(line);
    if (this.lines.length > KEPT) {
      this.lines.shift();
      this.at = Math.max(0, this.at - 1);
    }
  }
}
