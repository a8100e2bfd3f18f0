/** The Run log of the console and of the Run page: live, resumable, searchable. */

import { ApiError, request } from "@/lib/api";
import { h, need } from "@/lib/dom";
import { bytes as inBytes, count } from "@/lib/format";
import type { Connection } from "@/lib/socket";
import { complain } from "@/lib/toast";
import { Finder } from "@/log/finder";
import { LineBuffer } from "@/log/lines";
import type { EndEvent, StateEvent } from "@/log/protocol";
import { LogStream } from "@/log/stream";
import { LogView } from "@/log/view";

/** jobs/views/tasks.py, log_of() */
export interface LogOf {
  run: string;
  number: number;
  attempt: number;
  size: number;
  final: boolean;
  page: string;
  script: string;
}

/** A larger log is entered near its end. */
const WHOLE = 2 * 1024 * 1024;
const PIECE = 1024 * 1024;
/** More lines than these are not kept in the page; the download has all. */
const MOST_LINES = 400_000;
const NEWLINE = 10;

export interface Watcher {
  state?: (event: StateEvent) => void;
  end?: (event: EndEvent) => void;
}

export class LogIsland {
  private readonly scroller: HTMLElement;
  private readonly view: LogView;
  private readonly top = h("div", { class: "log-note" });
  private readonly bottom = h("div", { class: "log-note" });
  private readonly finder: Finder;
  private log: LogOf | null = null;
  private stream: LogStream | null = null;
  private buffer = new LineBuffer();
  private decoder = new TextDecoder();
  /** offset of the first byte that is shown */
  private start = 0;
  private first: number | null = 1;
  private skipping = false;
  private queue: Uint8Array[] = [];
  private frame = 0;
  private following = true;
  private unseen = 0;
  private lastTop = 0;
  private ended = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly watcher: Watcher = {},
  ) {
    this.scroller = need(root, "[data-log]");
    this.scroller.append(this.top);
    this.view = new LogView(this.scroller);
    this.scroller.append(this.bottom);
    this.finder = new Finder(root, () => this.buffer.lines, (index) => {
      this.follow(false);
      this.view.reveal(index, "found");
    }, () => { this.view.unmark(); });
    this.tools();
    this.scroller.addEventListener("scroll", () => { this.scrolled(); }, { passive: true });
    new ResizeObserver(() => { if (this.following) this.toEnd(); }).observe(this.scroller);
    window.addEventListener("hashchange", () => { this.toHash(); });
  }

  openSearch(): void {
    this.finder.open();
  }

  /** Show the log of another Run, from its beginning, or near its end if it is large. */
  show(log: LogOf): void {
    this.stream?.stop();
    this.log = log;
    const wantsLine = /^#L\d+$/.test(location.hash);
    const from = log.size > WHOLE && !wantsLine ? log.size - PIECE : 0;
    this.forget(from);
    this.ended = false;
    this.follow(!(log.final && wantsLine));
    const download = this.root.querySelector<HTMLAnchorElement>("[data-download]");
    if (download) download.href = `/api/v1/runs/${log.run}/log`;
    this.sayEmpty();
    this.stream = new LogStream(log.run, log.attempt, from, {
      bytes: (data, offset) => { this.take(data, offset); },
      reset: (attempt, offset) => {
        if (this.log) this.log.attempt = attempt;
        this.forget(offset);
      },
      state: (event) => {
        if (event.log_dropped) this.bottom.textContent = `${inBytes(event.log_dropped)} of output were beyond the limit and are lost.`;
        this.watcher.state?.(event);
      },
      end: (event) => {
        this.ended = true;
        this.connection("open");
        this.soon();
        this.watcher.end?.(event);
      },
      connection: (now) => { this.connection(now); },
    });
  }

  private forget(from: number): void {
    this.buffer = new LineBuffer();
    this.decoder = new TextDecoder();
    this.queue = [];
    this.start = from;
    this.first = from === 0 ? 1 : null;
    this.skipping = from > 0;
    this.unseen = 0;
    this.top.replaceChildren();
    this.bottom.textContent = "";
    this.view.clear();
    this.showUnseen();
  }

  private take(data: Uint8Array, offset: number): void {
    let fresh = data;
    if (this.skipping) {
      // Entered in the middle of a line, maybe of a character: begin with the next whole line.
      const end = fresh.indexOf(NEWLINE);
      if (end < 0) return;
      fresh = fresh.subarray(end + 1);
      this.start = offset + end + 1;
      this.skipping = false;
      this.offerEarlier();
    }
    this.queue.push(fresh);
    this.soon();
  }

  /** All that came since the last frame is one change of the page. */
  private soon(): void {
    if (!this.frame) {
      // A page in the background gets no frames; it must not pile up bytes either.
      this.frame = document.hidden ? window.setTimeout(() => { this.draw(); }, 250) : requestAnimationFrame(() => { this.draw(); });
    }
  }

  private draw(): void {
    this.frame = 0;
    const before = this.buffer.lines.length;
    for (const data of this.queue) this.buffer.write(this.decoder.decode(data, { stream: true }));
    this.queue = [];
    const added = this.buffer.lines.length - before;
    if (this.buffer.lines.length > MOST_LINES) this.dropEarliest();
    this.view.update(this.buffer.lines, this.buffer.takeChanges(), this.first, this.following);
    this.sayEmpty();
    if (this.following) this.toEnd();
    else if (added > 0) {
      this.unseen += added;
      this.showUnseen();
    }
    this.finder.refresh();
    this.toHash();
  }

  private dropEarliest(): void {
    const excess = this.buffer.lines.length - MOST_LINES + MOST_LINES / 10;
    this.buffer.dropFirst(excess);
    if (this.first !== null) this.first += excess;
    this.top.replaceChildren("Earlier lines are not shown here. ", this.downloadLink());
    this.view.clear();
  }

  private sayEmpty(): void {
    if (this.buffer.lines.length || !this.log) {
      if (this.bottom.classList.contains("empty")) {
        this.bottom.textContent = "";
        this.bottom.classList.remove("empty");
      }
      return;
    }
    this.bottom.classList.add("empty");
    this.bottom.textContent = this.ended ? "This Run printed nothing." : "Nothing printed yet.";
  }

  private downloadLink(): HTMLElement {
    return h("a", { href: `/api/v1/runs/${this.log?.run ?? ""}/log`, download: true }, "Download the whole output");
  }

  private offerEarlier(): void {
    if (this.start === 0) {
      this.top.replaceChildren();
      return;
    }
    const button = h("button", { class: "button small", type: "button", onclick: () => { void this.loadEarlier(button); } }, "Show earlier lines");
    this.top.replaceChildren(button, ` ${inBytes(this.start)} lie before this. `, this.downloadLink());
  }

  private async loadEarlier(button: HTMLButtonElement): Promise<void> {
    const log = this.log;
    if (!log) return;
    button.disabled = true;
    const from = Math.max(0, this.start - PIECE);
    try {
      const range = { Range: `bytes=${from}-${this.start - 1}` };
      const response = await request(`/api/v1/runs/${log.run}/log?attempt=${log.attempt}`, { headers: range });
      if (response.status !== 206) throw new ApiError("The portal can't send a part of this log. Download it whole.", response.status);
      let piece = new Uint8Array(await response.arrayBuffer());
      if (from > 0) {
        const cut = piece.indexOf(NEWLINE) + 1;
        piece = piece.subarray(cut);
        this.start = from + cut;
      } else this.start = 0;
      const earlier = new LineBuffer();
      earlier.write(new TextDecoder().decode(piece));
      this.follow(false);
      const height = this.scroller.scrollHeight;
      this.buffer.prepend(earlier.lines);
      if (this.start === 0) this.first = 1;
      this.view.clear();
      this.view.update(this.buffer.lines, 0, this.first, false);
      this.offerEarlier();
      this.scroller.scrollTop += this.scroller.scrollHeight - height;
    } catch (error) {
      button.disabled = false;
      complain(error);
    }
  }

  private connection(now: Connection | "gone" | "signed-out" | "silent"): void {
    const place = need<HTMLElement>(this.root, "[data-connection]");
    if (now === "signed-out") document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
    // A first "connecting" is too short to be worth a word.
    if (now === "connecting") return;
    const words = {
      open: "",
      closed: "",
      waiting: "Reconnecting…",
      gone: "This Run is gone.",
      silent: "The storage does not answer. The log goes on as soon as it does.",
      "signed-out": "Signed out",
    }[now];
    place.hidden = !words;
    if (place.textContent !== words) place.textContent = words;
  }

  private tools(): void {
    const press = (selector: string, act: (pressed: boolean) => void): void => {
      const button = need<HTMLButtonElement>(this.root, selector);
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(pressed));
        act(pressed);
      });
    };
    press("[data-wrap]", (on) => { this.wrap(on); });
    press("[data-follow]", (on) => { this.follow(on); });
    press("[data-full]", (on) => { this.root.classList.toggle("full", on); });
    need(this.root, "[data-newlines] button").addEventListener("click", () => { this.follow(true); });
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.root.classList.contains("full")) need<HTMLButtonElement>(this.root, "[data-full]").click();
    });
    if (remembered() || innerWidth < 640) need<HTMLButtonElement>(this.root, "[data-wrap]").click();
  }

  private wrap(on: boolean): void {
    this.scroller.classList.toggle("wrap", on);
    if (innerWidth >= 640) localStorage.setItem("rcluster:wrap", on ? "1" : "");
    if (this.following) this.toEnd();
  }

  private follow(on: boolean): void {
    this.following = on;
    need(this.root, "[data-follow]").setAttribute("aria-pressed", String(on));
    if (on) {
      this.unseen = 0;
      this.view.update(this.buffer.lines, this.buffer.lines.length - 1, this.first, true);
      this.toEnd();
    }
    this.showUnseen();
  }

  private toEnd(): void {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.lastTop = this.scroller.scrollTop;
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (!clientHeight) return;
    const below = scrollHeight - scrollTop - clientHeight;
    if (below < 4) {
      if (!this.following) this.follow(true);
    } else if (this.following && scrollTop < this.lastTop - 2 && below > 24) this.follow(false);
    this.lastTop = scrollTop;
  }

  private showUnseen(): void {
    const place = need<HTMLElement>(this.root, "[data-newlines]");
    place.hidden = this.following || this.unseen === 0;
    need(place, "span").textContent = `${count(this.unseen)} new ${this.unseen === 1 ? "line" : "lines"}`;
  }

  private shownHash = "";

  /** The line that the address names, once it is there. */
  private toHash(): void {
    const match = /^#L(\d+)$/.exec(location.hash);
    if (!match || this.first === null || this.shownHash === location.hash) return;
    const index = Number(match[1]) - this.first;
    if (index < 0 || index >= this.buffer.lines.length) return;
    this.shownHash = location.hash;
    this.follow(false);
    this.view.reveal(index, "target");
  }
}

function remembered(): boolean {
  return localStorage.getItem("rcluster:wrap") === "1";
}
