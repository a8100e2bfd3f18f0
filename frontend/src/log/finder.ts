/** Search in the output: all lines, also those that have no nodes now. */

import { need } from "@/lib/dom";
import { count } from "@/lib/format";
import { type Line, plainText } from "@/log/lines";

/** Indexes of the lines that hold `wanted`; small letters find capitals, capitals only themselves. */
export function find(lines: readonly Line[], wanted: string): number[] {
  if (!wanted) return [];
  const exact = wanted !== wanted.toLowerCase();
  const found: number[] = [];
  lines.forEach((line, index) => {
    const text = plainText(line);
    if ((exact ? text : text.toLowerCase()).includes(wanted)) found.push(index);
  });
  return found;
}

export class Finder {
  private readonly input: HTMLInputElement;
  private readonly output: HTMLOutputElement;
  private found: number[] = [];
  private at = -1;
  private searched = 0;

  constructor(
    root: HTMLElement,
    private readonly lines: () => readonly Line[],
    private readonly reveal: (index: number) => void,
    private readonly closed: () => void,
  ) {
    this.input = need(root, "[data-search]");
    this.output = need(root, "[data-search-count]");
    need(root, "[data-search-open]").addEventListener("click", () => {
      if (this.input.hidden) this.open();
      else this.close();
    });
    this.input.addEventListener("input", () => { this.search(); });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        this.close();
      } else if (event.key === "Enter") {
        event.preventDefault();
        this.step(event.shiftKey ? -1 : 1);
      }
    });
  }

  open(): void {
    this.input.hidden = this.output.hidden = false;
    this.input.focus();
    this.input.select();
  }

  /** Lines may have come. Looks again only when there is something to look for. */
  refresh(): void {
    if (this.input.hidden || !this.input.value || this.searched === this.lines().length) return;
    this.searched = this.lines().length;
    this.found = find(this.lines(), this.input.value);
    this.say();
  }

  private close(): void {
    this.input.hidden = this.output.hidden = true;
    this.input.value = "";
    this.found = [];
    this.closed();
  }

  private search(): void {
    this.searched = this.lines().length;
    this.found = find(this.lines(), this.input.value);
    this.at = -1;
    if (this.found.length) this.step(1);
    else this.closed();
    this.say();
  }

  private step(by: number): void {
    if (!this.found.length) return;
    this.at = (this.at + by + this.found.length) % this.found.length;
    this.reveal(this.found[this.at] ?? 0);
    this.say();
  }

  private say(): void {
    if (!this.input.value) this.output.textContent = "";
    else if (!this.found.length) this.output.textContent = "not found";
    else this.output.textContent = `${this.at + 1} of ${count(this.found.length)}`;
  }
}
