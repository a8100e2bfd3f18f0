/** The bytes of a Run log in order, each once, whatever the connection does. */

import { type Connection, LiveSocket } from "@/lib/socket";
import { bytesOf, type EndEvent, eventOf, type StateEvent } from "@/log/protocol";

const NO_SUCH_RUN = 4404;
const NOT_SIGNED_IN = 4401;

export interface Sink {
  bytes: (data: Uint8Array, offset: number) => void;
  /** Forget what was shown; bytes follow from `offset`. */
  reset: (attempt: number, offset: number) => void;
  /** What lies before `offset` and was not received is left out. */
  skip: (offset: number) => void;
  state: (event: StateEvent) => void;
  end: (event: EndEvent) => void;
  connection: (now: Connection | "gone" | "signed-out" | "silent") => void;
}

export class LogStream {
  private readonly socket: LiveSocket;

  constructor(
    private readonly run: string,
    private attempt: number,
    /** offset of the next byte that is wanted */
    private next: number,
    private readonly sink: Sink,
  ) {
    this.socket = new LiveSocket({
      address: () => `/ws/runs/${this.run}/?attempt=${this.attempt}&offset=${this.next}&skip=1`,
      message: (data) => { this.take(data); },
      status: (now) => { this.sink.connection(now); },
      final: (code) => {
        if (code === NO_SUCH_RUN) this.sink.connection("gone");
        if (code === NOT_SIGNED_IN) this.sink.connection("signed-out");
        return code === NO_SUCH_RUN || code === NOT_SIGNED_IN;
      },
    });
  }

  stop(): void {
    this.socket.stop();
  }

  private take(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      this.takeBytes(bytesOf(data));
      return;
    }
    const event = eventOf(data);
    if (event?.type === "state") {
      // An attempt that was not known yet is the one that we follow from now on.
      if (this.attempt === 0) this.attempt = event.attempt;
      this.sink.state(event);
    } else if (event?.type === "reset") {
      this.attempt = event.attempt;
      this.next = event.offset;
      this.sink.reset(event.attempt, event.offset);
    } else if (event?.type === "skip") {
      this.next = event.offset;
      this.sink.skip(event.offset);
    } else if (event?.type === "storage") {
      this.sink.connection(event.answers ? "open" : "silent");
    } else if (event?.type === "end") {
      this.socket.stop();
      this.sink.end(event);
    }
  }

  private takeBytes({ offset, data }: { offset: number; data: Uint8Array }): void {
    if (offset > this.next) {
      // A gap must not happen; asking again from the right place heals it.
      this.socket.restart();
      return;
    }
    const fresh = data.subarray(this.next - offset);
    if (!fresh.length) return;
    const at = this.next;
    this.next += fresh.length;
    this.sink.bytes(fresh, at);
  }
}
