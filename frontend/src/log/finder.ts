/** Search in the whole log, on the server, from where one looks onwards and around. */

import { ApiError, isRecord, json } from "@/lib/api";
import { need } from "@/lib/dom";
import { count } from "@/lib/format";
import type { Place } from "@/log/window";

/** Matches that are gathered by themselves; more only as somebody steps to them. */
const ENOUGH = 5000;
const LIMIT = 500;
const PAUSE = 150;

export class Finder {
  private readonly input: HTMLInputElement;
  private readonly output: HTMLOutputElement;
  private readonly steps: HTMLElement;
  /** matches at and after where the search began, then those before it */
  private ahead: number[] = [];
  private around: number[] = [];
  private origin = 0;
  private next: number | null = 0;
  private wrapped = false;
  private at = -1;
  private size = 1;
  private search = 0;
  private timer: number | undefined;

  constructor(
    private readonly root: HTMLElement,
    private readonly place: () => Place,
    private readonly from: () => number,
    private readonly reveal: (offset: number, words: string) => void,
    private readonly closed: () => void,
  ) {
    this.input = need(root, "[data-search]");
    this.output = need(root, "[data-search-count]");
    this.steps = need(root, "[data-search-steps]");
    need(root, "[data-search-open]").addEventListener("click", () => {
      if (this.input.hidden) this.open();
      else this.close();
    });
    need(root, "[data-search-previous]").addEventListener("click", () => { this.step(-1); });
    need(root, "[data-search-next]").addEventListener("click", () => { this.step(1); });
    this.input.addEventListener("input", () => {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => { this.begin(); }, PAUSE);
    });
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
    this.input.hidden = this.output.hidden = this.steps.hidden = false;
    this.input.focus();
    this.input.select();
  }

  /** Another log: what was found is not in it. */
  forget(): void {
    if (!this.input.hidden && this.input.value) this.begin();
  }

  private close(): void {
    this.input.hidden = this.output.hidden = this.steps.hidden = true;
    this.input.value = "";
    this.begin();
    need<HTMLElement>(this.root, "[data-log]").focus();
  }

  private begin(): void {
    window.clearTimeout(this.timer);
    // Answers to an older search find that they are no longer wanted.
    this.search += 1;
    this.ahead = [];
    this.around = [];
    this.at = -1;
    this.wrapped = false;
    this.origin = this.next = this.from();
    this.closed();
    this.say();
    if (this.input.value) void this.gather(ENOUGH);
  }

  private get found(): number {
    return this.ahead.length + this.around.length;
  }

  private async gather(enough: number): Promise<void> {
    const search = this.search;
    const words = this.input.value;
    const { run, attempt } = this.place();
    try {
      while (this.next !== null && this.found < enough) {
        const query = new URLSearchParams({ q: words, attempt: String(attempt), from: String(this.next), limit: String(LIMIT) });
        const answer = await json(`/api/v1/runs/${run}/log/search?${query}`);
        if (search !== this.search || !isRecord(answer)) return;
        this.took(answer);
        if (this.at < 0 && this.found) this.step(1);
        this.say();
      }
    } catch (error) {
      if (search !== this.search) return;
      this.next = null;
      this.output.textContent = error instanceof ApiError ? error.message : String(error);
    }
  }

  private took(answer: Record<string, unknown>): void {
    const matches = Array.isArray(answer["matches"]) ? answer["matches"] : [];
    const offsets = matches.filter(isRecord).map((each) => Number(each["offset"]));
    this.size = Math.max(1, Number(answer["size"]));
    this.next = typeof answer["next"] === "number" ? answer["next"] : null;
    if (!this.wrapped) this.ahead.push(...offsets);
    else {
      this.around.push(...offsets.filter((each) => each < this.origin));
      if (offsets.some((each) => each >= this.origin) || (this.next ?? 0) >= this.origin) this.next = null;
    }
    if (this.next === null && !this.wrapped && this.origin > 0) {
      this.wrapped = true;
      this.next = 0;
    }
  }

  private step(by: number): void {
    if (!this.found) return;
    const last = this.at === this.found - 1;
    if (by > 0 && last && this.next !== null) {
      void this.gather(this.found + 1).then(() => { if (this.at < this.found - 1) this.step(1); });
      return;
    }
    this.at = (this.at + by + this.found) % this.found;
    const offset = this.at < this.ahead.length ? this.ahead[this.at] : this.around[this.at - this.ahead.length];
    this.reveal(offset ?? 0, this.input.value);
    this.say();
  }

  private say(): void {
    if (!this.input.value) {
      this.output.textContent = "";
      return;
    }
    const whole = this.next === null;
    if (!this.found) {
      this.output.textContent = whole ? "not found" : `searching, ${this.percent()} %`;
      return;
    }
    // In the order of the file, once it is known how many lie before.
    const number = this.at < this.ahead.length ? this.around.length + this.at : this.at - this.ahead.length;
    const shown = whole ? `${count(number + 1)} of ${count(this.found)}` : `${count(this.at + 1)} of ${count(this.found)}+`;
    this.output.textContent = shown;
  }

  private percent(): number {
    const done = this.wrapped ? this.size - this.origin + (this.next ?? 0) : (this.next ?? 0) - this.origin;
    return Math.max(0, Math.min(99, Math.floor((done / this.size) * 100)));
  }
}
