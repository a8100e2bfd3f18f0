/** Shows rows with few nodes: blocks of rows, of which only those near the viewport are filled; the
    others are empty boxes of the same height. Blocks come and go at both ends. */

import { h } from "@/lib/dom";
import { kindOf, plainText, type Span } from "@/log/lines";
import type { Row } from "@/log/rows";
import type { Source } from "@/log/sources";

const BLOCK = 200;
export const ROW_HEIGHT = 20;
const NEAR = "600px 0px";

interface Block {
  element: HTMLElement;
  rows: Row[];
  filled: boolean;
}

export class LogView {
  private readonly holder = h("div", { class: "rows" });
  private blocks: Block[] = [];
  private readonly byElement = new Map<Element, Block>();
  private readonly observer: IntersectionObserver;
  private marked: { offset: number; kind: "target" | "found" } | null = null;
  /** number of the line that the first row is of; null: not known */
  private first: number | null = 1;
  rows = 0;
  /** told of the element of the row that was found, each time that it is made anew */
  remade: ((row: HTMLElement) => void) | null = null;
  /** the places in scripts that a line names, given the two before it, and the links to them */
  sources: ((text: string, before: string[]) => { source: Source; href: string }[]) | null = null;

  constructor(
    private readonly scroller: HTMLElement,
    /** the link to a line */
    private readonly link: (number: number) => string,
  ) {
    scroller.append(this.holder);
    this.observer = new IntersectionObserver((entries) => { this.seen(entries); }, { root: scroller, rootMargin: NEAR });
  }

  clear(): void {
    this.observer.disconnect();
    this.blocks = [];
    this.byElement.clear();
    this.holder.replaceChildren();
    this.rows = 0;
    this.first = null;
  }

  /** The offset at which the first row begins; null: there is none. */
  get start(): number | null {
    return this.blocks[0]?.rows[0]?.offset ?? null;
  }

  get firstNumber(): number | null {
    return this.first;
  }

  get height(): number {
    return this.holder.offsetHeight;
  }

  /** Where the rows begin in the scroller. */
  get top(): number {
    return this.holder.offsetTop;
  }

  number(first: number | null): void {
    if (this.first === first) return;
    this.first = first;
    this.widen();
    for (const block of this.blocks) if (block.filled) this.fill(block);
  }

  append(rows: Row[], replaces: boolean, atEnd: boolean): void {
    let rest = rows;
    let last = this.blocks.at(-1);
    if (replaces && last) {
      last.rows.pop();
      this.rows -= 1;
    }
    const changed = new Set<Block>();
    if (replaces && last) changed.add(last);
    while (rest.length) {
      if (!last || last.rows.length >= BLOCK) last = this.add(this.blocks.length);
      const room = BLOCK - last.rows.length;
      for (const row of rest.slice(0, room)) last.rows.push(row);
      this.rows += Math.min(room, rest.length);
      rest = rest.slice(room);
      changed.add(last);
    }
    this.widen();
    const end = this.blocks.length - 2;
    for (const block of changed) {
      // The last ones at once, since an observer tells only after they were painted empty.
      if (block.filled || (atEnd && this.blocks.indexOf(block) >= end)) this.refill(block);
      else this.reserve(block);
    }
  }

  /** Rows that lie before all others. */
  prepend(rows: Row[]): void {
    if (!rows.length) return;
    if (this.first !== null) this.first -= lines(rows) - (rows[0]?.piece ? 0 : 1) + (this.blocks[0]?.rows[0]?.piece ? 0 : 1);
    for (let end = rows.length; end > 0; end -= BLOCK) {
      const block = this.add(0);
      block.rows = rows.slice(Math.max(0, end - BLOCK), end);
      this.reserve(block);
    }
    this.rows += rows.length;
    this.widen();
  }

  /** Forget whole blocks at the beginning until no more than `most` rows are left. */
  dropTop(most: number): void {
    while (this.rows > most && this.blocks.length > 2) {
      const block = this.blocks[0];
      if (!block) return;
      const next = this.blocks[1]?.rows[0];
      if (this.first !== null) this.first += lines(block.rows) - (block.rows[0]?.piece ? 0 : 1) + (next?.piece ? 0 : 1);
      this.remove(this.blocks.shift());
    }
  }

  /** Forget whole blocks at the end; returns where the rows end then, null if nothing was forgotten. */
  dropBottom(most: number): number | null {
    let end: number | null = null;
    while (this.rows > most && this.blocks.length > 2) {
      const block = this.blocks.pop();
      end = block?.rows[0]?.offset ?? end;
      this.remove(block);
    }
    return end;
  }

  /** The row that holds the byte; null if it lies outside. */
  rowAt(offset: number): Row | null {
    return this.find(offset)?.row ?? null;
  }

  /** Offset of the first row that is (partly) seen. */
  topOffset(): number | null {
    const edge = this.scroller.getBoundingClientRect().top + 1;
    for (const block of this.blocks) {
      const box = block.element.getBoundingClientRect();
      if (box.bottom < edge) continue;
      const index = Math.max(0, Math.floor(((edge - box.top) / Math.max(1, box.height)) * block.rows.length));
      return block.rows[Math.min(index, block.rows.length - 1)]?.offset ?? null;
    }
    return null;
  }

  /** Mark the row that holds the byte and bring it into view; its element. */
  reveal(offset: number, kind: "target" | "found"): HTMLElement | null {
    this.unmark();
    const element = this.show(offset, "center");
    const found = this.find(offset);
    if (found) this.marked = { offset: found.row.offset, kind };
    element?.classList.add(kind);
    return element;
  }

  /** Bring a row into view. */
  show(offset: number, where: "start" | "center"): HTMLElement | null {
    const found = this.find(offset);
    if (!found) return null;
    if (!found.block.filled) this.fill(found.block);
    const element = found.block.element.children[found.index];
    if (!(element instanceof HTMLElement)) return null;
    const inner = element.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top;
    const space = where === "center" ? (this.scroller.clientHeight - element.offsetHeight) / 2 : 0;
    this.scroller.scrollTop += inner - Math.max(0, space);
    return element;
  }

  unmark(): void {
    this.marked = null;
    for (const each of this.holder.querySelectorAll(".target, .found")) each.classList.remove("target", "found");
  }

  /** Do something that changes heights above the viewport; what is seen stays where it is. */
  keeping(change: () => void): void {
    const edge = this.scroller.getBoundingClientRect().top;
    const anchor = this.blocks.find((each) => each.element.getBoundingClientRect().bottom > edge)?.element;
    const before = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (anchor?.isConnected) this.scroller.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  private find(offset: number): { block: Block; row: Row; index: number } | null {
    const start = this.start;
    if (start === null || offset < start) return null;
    let block: Block | undefined;
    for (const each of this.blocks) {
      if ((each.rows[0]?.offset ?? Infinity) > offset) break;
      block = each;
    }
    if (!block) return null;
    let index = block.rows.length - 1;
    while (index > 0 && (block.rows[index]?.offset ?? 0) > offset) index -= 1;
    const row = block.rows[index];
    return row ? { block, row, index } : null;
  }

  private widen(): void {
    const digits = this.first === null ? 0 : Math.max(3, String(this.first + this.rows).length);
    this.scroller.style.setProperty("--digits", `${digits + 1}ch`);
  }

  private add(index: number): Block {
    const block: Block = { element: h("div", { class: "block" }), rows: [], filled: false };
    const before = this.blocks[index]?.element ?? null;
    this.blocks.splice(index, 0, block);
    this.byElement.set(block.element, block);
    this.holder.insertBefore(block.element, before);
    this.observer.observe(block.element);
    return block;
  }

  private remove(block: Block | undefined): void {
    if (!block) return;
    this.rows -= block.rows.length;
    this.observer.unobserve(block.element);
    this.byElement.delete(block.element);
    block.element.remove();
  }

  private reserve(block: Block): void {
    block.element.style.height = `${block.rows.length * ROW_HEIGHT}px`;
  }

  /** Only what is new in a block that only grew. */
  private refill(block: Block): void {
    const there = block.element.children.length;
    if (!block.filled || there === 0 || there > block.rows.length + 1) {
      this.fill(block);
      return;
    }
    const keep = Math.max(0, Math.min(there, block.rows.length) - 1);
    while (block.element.children.length > keep) block.element.lastElementChild?.remove();
    this.addRows(block, keep);
  }

  private fill(block: Block): void {
    block.element.replaceChildren();
    this.addRows(block, 0);
    block.element.style.height = "";
    block.filled = true;
  }

  private addRows(block: Block, from: number): void {
    let number = this.first;
    if (number !== null) {
      for (const each of this.blocks) {
        if (each === block) break;
        number += lines(each.rows);
      }
      number += lines(block.rows.slice(0, from)) - (this.blocks[0]?.rows[0]?.piece ? 0 : 1);
    }
    const fresh = document.createDocumentFragment();
    let before = [...(this.blocks[this.blocks.indexOf(block) - 1]?.rows.slice(-2) ?? []), ...block.rows.slice(Math.max(0, from - 2), from)].slice(-2);
    for (const row of block.rows.slice(from)) {
      if (!row.piece && number !== null) number += 1;
      fresh.append(this.element(row, row.piece ? null : number, before));
      before = [...before.slice(-1), row];
    }
    block.element.append(fresh);
    const found = block.element.querySelector<HTMLElement>(".found");
    if (found) this.remade?.(found);
  }

  private element(row: Row, number: number | null, before: readonly Row[]): HTMLElement {
    const mark = this.marked?.offset === row.offset ? this.marked.kind : "";
    const classes = ["ln", row.piece ? "piece" : kindOf(row.line), mark].filter(Boolean).join(" ");
    const label = number === null
      ? h("span", { class: "no", "aria-hidden": "true" })
      : h("a", { class: "no", href: this.link(number), "data-n": number, "aria-label": `Line ${number}`, tabindex: -1 });
    return h("div", { class: classes, id: number === null ? null : `L${number}`, "data-offset": row.offset }, label, this.text(row, before));
  }

  private text(row: Row, before: readonly Row[]): HTMLElement {
    const place = h("span", { class: "tx" });
    if (typeof row.line !== "string") for (const span of row.line) place.append(styled(span));
    else if (CAP_MARK.test(row.line)) {
      place.classList.add("cap");
      place.append(row.line);
    } else this.linked(place, row.line, before.map((each) => plainText(each.line)));
    return place;
  }

  private linked(place: HTMLElement, line: string, before: string[]): void {
    let done = 0;
    for (const { source, href } of this.sources?.(line, before) ?? []) {
      const { at, length, file } = source;
      const title = source.line === null ? `Look for it in ${file}` : `Line ${source.line} of ${file}`;
      place.append(line.slice(done, at), h("a", { class: "source", href, title, "data-source": file, "data-line": source.line, "data-call": source.call || null }, line.slice(at, at + length)));
      done = at + length;
    }
    place.append(line.slice(done));
  }

  private seen(entries: IntersectionObserverEntry[]): void {
    // Nothing is near while the log is on another tab of a phone.
    if (!this.scroller.clientHeight) return;
    this.keeping(() => {
      for (const entry of entries) {
        const block = this.byElement.get(entry.target);
        if (!block) continue;
        if (entry.isIntersecting && !block.filled) this.fill(block);
        else if (!entry.isIntersecting && block.filled && this.blocks.length > 2) this.empty(block);
      }
    });
  }

  private empty(block: Block): void {
    const height = block.element.offsetHeight;
    if (!height) return;
    block.element.replaceChildren();
    block.element.style.height = `${height}px`;
    block.filled = false;
  }
}

/** How many lines begin in these rows. */
function lines(rows: Row[]): number {
  let found = 0;
  for (const row of rows) if (!row.piece) found += 1;
  return found;
}

const CAP_MARK = /^\[rcluster: the log reached its limit of (\d+) bytes; further output is dropped\]$/;

function styled(span: Span): Node {
  if (span.style === null) return document.createTextNode(span.text);
  const element = h("span", { class: span.style.classes || null }, span.text);
  if (span.style.fg) element.style.color = `rgb(${span.style.fg})`;
  if (span.style.bg) element.style.backgroundColor = `rgb(${span.style.bg})`;
  return element;
}
