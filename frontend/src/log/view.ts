/** Shows many lines with few nodes: blocks of lines, of which only those near the viewport are
    filled; the others are empty boxes of the same height. */

import { h } from "@/lib/dom";
import { kindOf, type Line, type Span } from "@/log/lines";

const BLOCK = 200;
const LINE_HEIGHT = 20;
const LONGEST = 10_000;
const NEAR = "600px 0px";

interface Block {
  element: HTMLElement;
  index: number;
  filled: boolean;
  /** shown lines, when filled */
  count: number;
}

export class LogView {
  private readonly holder = h("div");
  private readonly blocks: Block[] = [];
  private readonly byElement = new Map<Element, Block>();
  private readonly observer: IntersectionObserver;
  private lines: readonly Line[] = [];
  /** number of the first line; null: not known, since the log was entered in its middle */
  private first: number | null = 1;
  private marked = -1;
  private markClass = "target";

  constructor(private readonly scroller: HTMLElement) {
    scroller.append(this.holder);
    this.observer = new IntersectionObserver((entries) => { this.seen(entries); }, { root: scroller, rootMargin: NEAR });
  }

  clear(): void {
    this.observer.disconnect();
    this.blocks.length = 0;
    this.byElement.clear();
    this.holder.replaceChildren();
    this.lines = [];
    this.marked = -1;
  }

  /** Show `lines`, of which those from `from` on are new or different. */
  update(lines: readonly Line[], from: number, first: number | null, atEnd: boolean): void {
    this.lines = lines;
    this.first = first;
    const digits = first === null ? 0 : Math.max(3, String(lines.length + first).length);
    this.scroller.style.setProperty("--digits", `${digits + 1}ch`);
    const needed = Math.ceil(lines.length / BLOCK);
    while (this.blocks.length > needed) this.dropLast();
    const start = Math.min(Math.max(0, Math.floor(from / BLOCK)), this.blocks.length);
    for (let index = start; index < needed; index += 1) {
      const block = this.blocks[index] ?? this.add(index);
      // The last ones at once, since an observer tells only after they were painted empty.
      if (block.filled || (atEnd && index >= needed - 2)) this.fill(block, from);
      else this.reserve(block);
    }
  }

  /** Mark a line and bring it into view. */
  reveal(index: number, markClass: "target" | "found"): void {
    const block = this.blocks[Math.floor(index / BLOCK)];
    if (!block) return;
    this.unmark();
    this.marked = index;
    this.markClass = markClass;
    this.fill(block, block.index * BLOCK);
    const line = block.element.children[index - block.index * BLOCK];
    line?.scrollIntoView({ block: "center" });
  }

  unmark(): void {
    const before = this.blocks[Math.floor(this.marked / BLOCK)];
    const line = before?.filled ? before.element.children[this.marked - before.index * BLOCK] : undefined;
    line?.classList.remove("target", "found");
    this.marked = -1;
  }

  private add(index: number): Block {
    const block: Block = { element: h("div", { class: "block" }), index, filled: false, count: 0 };
    this.blocks.push(block);
    this.byElement.set(block.element, block);
    this.holder.append(block.element);
    this.observer.observe(block.element);
    return block;
  }

  private dropLast(): void {
    const block = this.blocks.pop();
    if (!block) return;
    this.observer.unobserve(block.element);
    this.byElement.delete(block.element);
    block.element.remove();
  }

  private size(block: Block): number {
    return Math.min(BLOCK, this.lines.length - block.index * BLOCK);
  }

  private reserve(block: Block): void {
    block.element.style.height = `${this.size(block) * LINE_HEIGHT}px`;
  }

  private fill(block: Block, from: number): void {
    const start = block.index * BLOCK;
    const keep = block.filled ? Math.max(0, Math.min(block.count, from - start)) : 0;
    while (block.element.children.length > keep) block.element.lastElementChild?.remove();
    const size = this.size(block);
    const fresh = document.createDocumentFragment();
    for (let index = keep; index < size; index += 1) fresh.append(this.row(start + index));
    block.element.append(fresh);
    block.element.style.height = "";
    block.filled = true;
    block.count = size;
  }

  private row(index: number): HTMLElement {
    const line = this.lines[index] ?? "";
    const kind = kindOf(line);
    const classes = ["ln", kind, index === this.marked ? this.markClass : ""].filter(Boolean).join(" ");
    const number = this.first === null ? null : this.first + index;
    return h(
      "div",
      { class: classes, id: number === null ? null : `L${number}` },
      number === null ? null : h("a", { class: "no", href: `#L${number}`, "data-n": number, "aria-label": `Line ${number}`, tabindex: -1 }),
      text(line),
    );
  }

  private seen(entries: IntersectionObserverEntry[]): void {
    // Nothing is near while the log is on another tab of a phone.
    if (!this.scroller.clientHeight) return;
    for (const entry of entries) {
      const block = this.byElement.get(entry.target);
      if (!block) continue;
      if (entry.isIntersecting && !block.filled) this.fill(block, 0);
      else if (!entry.isIntersecting && block.filled && this.blocks.length > 2) this.empty(block);
    }
  }

  private empty(block: Block): void {
    const height = block.element.offsetHeight;
    if (!height) return;
    block.element.replaceChildren();
    block.element.style.height = `${height}px`;
    block.filled = false;
    block.count = 0;
  }
}

function text(line: Line): HTMLElement {
  const place = h("span", { class: "tx" });
  let left = LONGEST;
  for (const span of typeof line === "string" ? [{ text: line, style: null }] : line) {
    if (left <= 0) break;
    place.append(styled(span.text.length > left ? { ...span, text: span.text.slice(0, left) } : span));
    left -= span.text.length;
  }
  if (left < 0) place.append(h("em", { class: "muted" }, " … this line is longer: download the output to read it whole"));
  return place;
}

function styled(span: Span): Node {
  if (span.style === null) return document.createTextNode(span.text);
  const element = h("span", { class: span.style.classes || null }, span.text);
  if (span.style.fg) element.style.color = `rgb(${span.style.fg})`;
  if (span.style.bg) element.style.backgroundColor = `rgb(${span.style.bg})`;
  return element;
}
