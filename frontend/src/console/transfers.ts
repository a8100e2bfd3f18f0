/** Uploads: several at a time, each and all with progress, cancel and retry. */

import { ApiError } from "@/lib/api";
import { arrange, h, icon } from "@/lib/dom";
import { bytes, count, visibly } from "@/lib/format";
import { toast } from "@/lib/toast";
import { upload } from "@/console/upload";

const AT_ONCE = 3;
const LISTED = 50;
/** ms between two redraws of the list */
const PACE = 100;

export interface Transfer {
  address: string;
  /** as shown: input/flows/a.csv */
  name: string;
  file: File;
  replace: boolean;
}

interface Item extends Transfer {
  state: "waiting" | "sending" | "failed" | "done";
  sent: number;
  problem: string;
  stop: AbortController;
}

interface Row {
  element: HTMLElement;
  failed: boolean;
  bar: HTMLProgressElement;
}

export class Transfers {
  readonly element: HTMLElement;
  private items: Item[] = [];
  private rows = new Map<Item, Row>();
  private skipped = 0;
  private timer = 0;
  private readonly summary = h("span", { class: "grow" });
  private readonly bar = h("progress", { max: 1, value: 0, "aria-label": "All uploads" });
  private readonly list = h("ul", { class: "transfer-list", "aria-label": "Uploads" });
  private readonly stopAll = h("button", { class: "button quiet small", type: "button", onclick: () => { this.cancelAll(); } }, "Cancel all");
  private readonly again = h("button", { class: "button quiet small", type: "button", onclick: () => { this.retryAll(); } }, "Try again");
  private readonly close = h("button", { class: "button quiet small icon-only", type: "button", title: "Close", "aria-label": "Close the list of uploads", onclick: () => { this.clear(); } }, icon("close"));

  /** `arrived` is told after some files are there, not for each one. */
  constructor(private readonly arrived: () => void) {
    this.element = h(
      "section",
      { class: "transfers", "aria-label": "Uploads", hidden: true },
      h("div", { class: "transfer-head" }, this.summary, this.again, this.stopAll, this.close),
      this.bar,
      this.list,
    );
    window.addEventListener("beforeunload", (event) => { if (this.busy) event.preventDefault(); });
  }

  get busy(): boolean {
    return this.items.some((item) => item.state === "waiting" || item.state === "sending");
  }

  /** `skipped`: how many the person left out, for the sentence at the end. */
  add(transfers: Transfer[], skipped = 0): void {
    if (!this.busy) this.items = this.items.filter((item) => item.state === "failed");
    this.skipped = skipped;
    this.items.push(...transfers.map((each): Item => ({ ...each, state: "waiting", sent: 0, problem: "", stop: new AbortController() })));
    this.next();
  }

  private next(): void {
    const sending = this.items.filter((item) => item.state === "sending").length;
    const waiting = this.items.filter((item) => item.state === "waiting");
    for (const item of waiting.slice(0, AT_ONCE - sending)) void this.send(item);
    this.draw();
  }

  private async send(item: Item): Promise<void> {
    item.state = "sending";
    item.sent = 0;
    item.problem = "";
    try {
      await upload(item.address, item.file, {
        replace: item.replace,
        signal: item.stop.signal,
        progress: (sent) => {
          item.sent = sent;
          this.draw();
        },
      });
      item.sent = item.file.size;
      item.state = "done";
    } catch (error) {
      item.state = "failed";
      item.problem = error instanceof Error ? error.message : String(error);
      if (error instanceof ApiError && error.status === -1) this.items = this.items.filter((each) => each !== item);
      if (error instanceof ApiError && error.status === 412) item.problem = "A file of that name came there meanwhile. Try again to replace it.";
    }
    this.next();
    if (!this.busy) this.finished();
    else if (this.items.filter((each) => each.state === "done").length % 20 === 0) this.arrived();
  }

  private finished(): void {
    const done = this.items.filter((item) => item.state === "done").length;
    this.arrived();
    if (this.items.some((item) => item.state === "failed")) return;
    if (done) toast(`Uploaded ${files(done)}${this.skipped ? `, skipped ${count(this.skipped)}` : ""}.`);
    this.clear();
  }

  private cancel(item: Item): void {
    if (item.state === "sending") item.stop.abort();
    else this.items = this.items.filter((each) => each !== item);
    this.next();
    if (!this.items.length) this.clear();
  }

  private cancelAll(): void {
    const sending = this.items.filter((item) => item.state === "sending");
    this.items = this.items.filter((item) => item.state !== "waiting");
    for (const item of sending) item.stop.abort();
  }

  private retry(item: Item): void {
    // Whoever tries again after "it is there already" means it.
    item.replace ||= item.problem.includes("Try again to replace");
    item.state = "waiting";
    item.stop = new AbortController();
  }

  private retryAll(): void {
    for (const item of this.items) if (item.state === "failed") this.retry(item);
    this.next();
  }

  private clear(): void {
    this.items = [];
    this.draw();
  }

  private draw(): void {
    this.timer ||= window.setTimeout(() => {
      this.timer = 0;
      this.drawNow();
    }, PACE);
  }

  private drawNow(): void {
    const done = this.items.filter((item) => item.state === "done");
    const failed = this.items.filter((item) => item.state === "failed");
    const total = this.items.reduce((sum, item) => sum + item.file.size, 0);
    const sent = this.items.reduce((sum, item) => sum + Math.min(item.sent, item.file.size), 0);
    this.element.hidden = !this.items.length;
    const amount = `${bytes(sent)} of ${bytes(total)}`;
    this.summary.textContent = this.busy
      ? `${count(done.length)} of ${files(this.items.length)}, ${amount}${failed.length ? `, ${count(failed.length)} failed` : ""}`
      : `${files(failed.length)} could not be uploaded`;
    this.bar.value = total ? sent / total : done.length / Math.max(1, this.items.length);
    this.bar.hidden = this.stopAll.hidden = !this.busy;
    this.again.hidden = this.close.hidden = this.busy || !failed.length;
    const order = { failed: 0, sending: 1, waiting: 2, done: 3 };
    const shown = this.items.filter((item) => item.state !== "done").sort((a, b) => order[a.state] - order[b.state]);
    const focused = document.activeElement instanceof HTMLElement && this.list.contains(document.activeElement) ? document.activeElement.dataset["of"] : "";
    const rows = shown.slice(0, LISTED).map((item) => this.row(item));
    if (shown.length > LISTED) rows.push(h("li", { class: "muted" }, `and ${count(shown.length - LISTED)} more`));
    arrange(this.list, rows);
    for (const item of [...this.rows.keys()]) if (!shown.includes(item)) this.rows.delete(item);
    if (focused && !this.list.contains(document.activeElement)) this.list.querySelector<HTMLElement>(`[data-of="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Kept from one redraw to the next, or its buttons would vanish under the pointer. */
  private row(item: Item): HTMLElement {
    const failed = item.state === "failed";
    let row = this.rows.get(item);
    if (row?.failed !== failed) {
      const bar = h("progress", { max: Math.max(1, item.file.size), "aria-label": `Upload of ${visibly(item.name)}` });
      row = { element: this.made(item, bar), failed, bar };
      this.rows.set(item, row);
    }
    row.bar.value = item.sent;
    return row.element;
  }

  private made(item: Item, bar: HTMLProgressElement): HTMLElement {
    const failed = item.state === "failed";
    const name = visibly(item.name);
    return h(
      "li",
      { class: failed ? "transfer failed" : "transfer" },
      h("span", { class: "grow truncate", dir: "auto", title: name }, name),
      failed && h("button", { class: "button quiet small", type: "button", "data-of": `again ${item.name}`, "aria-label": `Try ${name} again`, onclick: () => { this.retry(item); this.next(); } }, "Try again"),
      h("button", { class: "button quiet small icon-only", type: "button", "data-of": `stop ${item.name}`, title: failed ? "Leave it" : "Cancel", "aria-label": `${failed ? "Leave" : "Cancel"} ${name}`, onclick: () => { this.cancel(item); } }, icon("close")),
      failed
        ? h("span", { class: "problem", role: "alert" }, item.problem)
        : bar,
    );
  }
}

function files(number: number): string {
  return number === 1 ? "1 file" : `${count(number)} files`;
}
