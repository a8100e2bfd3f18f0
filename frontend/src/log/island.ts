/** The Run log of the console and of the Run page: live, resumable, searchable, of any size. */

import { h, need } from "@/lib/dom";
import { bytes as inBytes, count } from "@/lib/format";
import * as keys from "@/lib/keys";
import type { Connection } from "@/lib/socket";
import { complain } from "@/lib/toast";
import { Finder } from "@/log/finder";
import { bringSideways, highlight } from "@/log/highlight";
import type { EndEvent, StateEvent } from "@/log/protocol";
import { countLines } from "@/log/rows";
import { query, sourcesIn } from "@/log/sources";
import { LogStream } from "@/log/stream";
import { LogWindow, MOST_ROWS } from "@/log/window";

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
const WHOLE = 1024 * 1024;
const TAIL = 256 * 1024;
/** Of more bytes than these at once only the last are shown: nobody reads what runs past. */
const MOST_AT_ONCE = 1024 * 1024;

export interface Watcher {
  /** address of the Task, where the lines that R names are shown */
  task?: string;
  state?: (event: StateEvent) => void;
  end?: (event: EndEvent) => void;
}
interface Piece {
  data: Uint8Array;
  offset: number;
}

export class LogIsland {
  private readonly scroller: HTMLElement;
  private readonly rows: LogWindow;
  private readonly top = h("div", { class: "log-note", role: "status" });
  private readonly bottom = h("div", { class: "log-note" });
  private readonly finder: Finder;
  private log: LogOf | null = null;
  private stream: LogStream | null = null;
  private queue: Piece[] = [];
  private frame = 0;
  private following = true;
  private unseen = 0;
  private lastTop = 0;
  private ended = false;
  private shownHash = "";
  /** what was searched for */
  private words = "";

  constructor(
    private readonly root: HTMLElement,
    private readonly watcher: Watcher = {},
  ) {
    this.scroller = need(root, "[data-log]");
    this.scroller.append(this.top);
    this.rows = new LogWindow(this.scroller, (number) => `#L${number}`, complain);
    this.scroller.append(this.bottom);
    this.finder = new Finder(
      root,
      () => ({ run: this.log?.run ?? "", attempt: this.log?.attempt ?? 0 }),
      () => this.rows.view.topOffset() ?? 0,
      (offset, words) => { void this.reveal(offset, "found", words); },
      () => {
        this.words = "";
        this.rows.view.unmark();
        highlight(null, "");
      },
    );
    this.rows.view.remade = (row) => { highlight(row, this.words); };
    const { task } = watcher;
    if (task) this.rows.view.sources = (text, before) => sourcesIn(text, this.log?.script ?? "", before).map((source) => ({ source, href: `${task}?${query(source)}` }));
    this.tools();
    this.scroller.addEventListener("scroll", () => { this.scrolled(); }, { passive: true });
    this.scroller.addEventListener("keydown", (event) => { this.pressed(event); });
    new ResizeObserver(() => { if (this.following) this.toEnd(); }).observe(this.scroller);
    window.addEventListener("hashchange", () => { void this.toHash(); });
  }

  openSearch(): void {
    this.finder.open();
  }

  /** Show the log of another Run, from its beginning, or near its end if it is large. */
  show(log: LogOf): void {
    this.log = log;
    this.ended = false;
    this.shownHash = "";
    this.top.textContent = "";
    const wantsLine = /^#L\d+$/.test(location.hash);
    this.enter(log.size > WHOLE ? log.size - TAIL : 0);
    this.following = !(log.final && wantsLine);
    this.showFollowing();
    const download = this.root.querySelector<HTMLAnchorElement>("[data-download]");
    if (download) download.href = `/api/v1/runs/${log.run}/log`;
    this.finder.forget();
  }

  /** Forget what is shown and follow the log from `offset` on. */
  private enter(offset: number): void {
    const { log } = this;
    if (!log) return;
    this.stream?.stop();
    this.forget(offset);
    const { ended } = this;
    this.stream = new LogStream(log.run, log.attempt, offset, {
      bytes: (data, at) => {
        this.queue.push({ data, offset: at });
        this.soon();
      },
      reset: (attempt, at) => { this.reset(attempt, at); },
      skip: (at) => {
        this.queue = [];
        if (this.following) this.forget(at);
        else this.unseen = Infinity;
      },
      state: (event) => {
        // A page that was opened while the Run waited has none yet: what begins is no other attempt.
        log.attempt ||= event.attempt;
        if (event.log_dropped) this.bottom.textContent = `The log's limit was reached: ${inBytes(event.log_dropped)} of further output were dropped.`;
        // A second look at the end is no news.
        if (!ended) this.watcher.state?.(event);
      },
      end: (event) => {
        this.ended = true;
        this.connection("open");
        this.soon();
        if (!ended) this.watcher.end?.(event);
      },
      connection: (now) => { this.connection(now); },
    });
    this.sayEmpty();
  }

  private reset(attempt: number, offset: number): void {
    if (!this.log) return;
    const words = attempt === this.log.attempt
      ? "The log was cut short by something that wrote to its file. This is what it holds now."
      : "";
    this.log.attempt = attempt;
    this.log.size = 0;
    this.rows.known = 0;
    this.forget(offset);
    this.top.textContent = words;
    this.finder.forget();
  }

  private forget(offset: number): void {
    const { log } = this;
    if (!log) return;
    this.queue = [];
    this.unseen = 0;
    this.rows.reset({ run: log.run, attempt: log.attempt }, offset);
    this.rows.known = Math.max(offset, log.size);
    this.showUnseen();
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
    const { queue } = this;
    this.queue = [];
    this.leaveOut(queue);
    if (!this.following) for (const { data } of queue) this.unseen += countLines(data);
    for (const { data, offset } of queue) this.rows.take(data, offset, this.following);
    if (this.log) this.log.size = Math.max(this.log.size, this.rows.known);
    this.rows.draw(this.following);
    this.sayEmpty();
    if (this.following) this.toEnd();
    else this.showUnseen();
    void this.toHash();
  }

  /** More came in one moment than can be shown without a pause: show its end. */
  private leaveOut(queue: Piece[]): void {
    let bytes = 0;
    for (const { data } of queue) bytes += data.length;
    if (!this.following || bytes <= MOST_AT_ONCE) return;
    let dropped = 0;
    while (queue.length > 1 && bytes > MOST_AT_ONCE / 2) {
      const length = queue.shift()?.data.length ?? 0;
      bytes -= length;
      dropped += length;
    }
    const next = queue[0];
    if (!next || !dropped) return;
    const { known } = this.rows;
    this.rows.reset({ run: this.log?.run ?? "", attempt: this.log?.attempt ?? 0 }, next.offset);
    this.rows.known = Math.max(known, next.offset);
  }

  private sayEmpty(): void {
    const empty = !this.rows.view.rows && this.log !== null && this.log.size === 0;
    if (empty) this.bottom.textContent = this.ended ? "This Run printed nothing." : "Nothing printed yet.";
    else if (this.bottom.classList.contains("empty")) this.bottom.textContent = "";
    this.bottom.classList.toggle("empty", empty);
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
    need(this.root, "[data-start]").addEventListener("click", () => { void this.toStart(); });
    need(this.root, "[data-newlines] button").addEventListener("click", () => {
      this.follow(true);
      this.scroller.focus({ preventScroll: true });
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.root.classList.contains("full")) need<HTMLButtonElement>(this.root, "[data-full]").click();
    });
    keys.list("Home", "To the start of the output (in the output)");
    keys.list("End", "To the end of the output, and follow it");
    keys.list("Mod-F", "Search the whole output (in the output)");
    if (remembered() || innerWidth < 640) need<HTMLButtonElement>(this.root, "[data-wrap]").click();
  }

  private pressed(event: KeyboardEvent): void {
    const mod = event.ctrlKey || event.metaKey;
    if (mod && event.key.toLowerCase() === "f") this.openSearch();
    else if (!mod && event.key === "Home") void this.toStart();
    else if (!mod && event.key === "End") this.follow(true);
    else return;
    event.preventDefault();
  }

  private wrap(on: boolean): void {
    this.rows.view.keeping(() => { this.scroller.classList.toggle("wrap", on); });
    if (innerWidth >= 640) localStorage.setItem("rcluster:wrap", on ? "1" : "");
    if (this.following) this.toEnd();
  }

  private follow(on: boolean): void {
    this.following = on;
    if (on) {
      this.unseen = 0;
      if (!this.rows.attached || this.rows.view.rows > MOST_ROWS) this.enter(Math.max(0, this.rows.known - TAIL));
      this.toEnd();
    }
    this.showFollowing();
  }

  private showFollowing(): void {
    need(this.root, "[data-follow]").setAttribute("aria-pressed", String(this.following));
    this.showUnseen();
  }

  private async toStart(): Promise<void> {
    this.follow(false);
    if (this.rows.start > 0) await this.rows.jump(0);
    this.scroller.scrollTop = 0;
  }

  private toEnd(): void {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.lastTop = this.scroller.scrollTop;
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (!clientHeight) return;
    const below = scrollHeight - scrollTop - clientHeight;
    if (below < 4 && this.rows.attached) {
      if (!this.following) this.follow(true);
    } else if (this.following && scrollTop < this.lastTop - 2 && below > 24) this.follow(false);
    this.lastTop = scrollTop;
    if (!this.following) this.rows.scrolled();
  }

  private showUnseen(): void {
    const place = need<HTMLElement>(this.root, "[data-newlines]");
    place.hidden = this.following || !this.rows.view.rows;
    const some = this.unseen > 0 && Number.isFinite(this.unseen);
    const words = some ? `${count(this.unseen)} new ${this.unseen === 1 ? "line" : "lines"}` : "Jump to the end";
    const said = need(place, "span");
    if (said.textContent !== words) said.textContent = words;
  }

  private async reveal(offset: number, kind: "target" | "found", words = ""): Promise<void> {
    this.follow(false);
    if (this.rows.view.rowAt(offset) === null || offset >= this.rows.end) await this.rows.jump(offset);
    this.words = words;
    const row = this.rows.view.reveal(offset, kind);
    highlight(row, words);
    bringSideways(row);
    this.lastTop = this.scroller.scrollTop;
  }

  /** The line that the address names, once it is there. */
  private async toHash(): Promise<void> {
    const match = /^#L(\d+)$/.exec(location.hash);
    const { log } = this;
    if (!match || !log || this.shownHash === location.hash) return;
    if (this.rows.start === 0 && this.rows.attached && !document.getElementById(`L${match[1]}`) && !this.ended) return;
    if (!this.rows.view.rows) return;
    this.shownHash = location.hash;
    try {
      const offset = await this.rows.lineOffset(Number(match[1]));
      if (offset !== null && log === this.log) await this.reveal(offset, "target");
    } catch (error) {
      complain(error);
    }
  }
}

function remembered(): boolean {
  return localStorage.getItem("rcluster:wrap") === "1";
}
