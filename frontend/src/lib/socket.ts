/** A WebSocket that comes back after cuts, with growing, jittered pauses. */

export type Connection = "connecting" | "open" | "waiting" | "closed";

interface Handlers {
  /** Asked anew for each connection, so that it can name where to go on. */
  address: () => string;
  message: (data: string | ArrayBuffer) => void;
  status?: (now: Connection, attempt: number) => void;
  /** Close codes after which there is nothing to come back for. */
  final?: (code: number) => boolean;
}

const FIRST = 400;
const LONGEST = 15_000;

/** Milliseconds before the next try: grows twofold, and half of it is chance, so that the
    browsers of a whole team don't come back in one moment. */
export function pause(attempt: number, random: () => number = Math.random): number {
  const full = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 10));
  return full / 2 + (full / 2) * random();
}

export class LiveSocket {
  private socket: WebSocket | null = null;
  private timer: number | undefined;
  private attempt = 0;
  private stopped = false;

  constructor(private readonly handlers: Handlers) {
    window.addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    this.connect();
  }

  /** Drop the connection and make a new one, which asks for its address again. */
  restart(): void {
    this.socket?.close();
    this.detach();
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    window.clearTimeout(this.timer);
    window.removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    this.socket?.close();
    this.detach();
  }

  private readonly hurry = (): void => {
    if (this.socket || this.stopped || document.hidden) return;
    this.connect();
  };

  private detach(): void {
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket = null;
  }

  private connect(): void {
    window.clearTimeout(this.timer);
    if (this.stopped) return;
    this.handlers.status?.("connecting", this.attempt);
    const socket = new WebSocket(new URL(this.handlers.address(), location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      this.attempt = 0;
      this.handlers.message(event.data);
    };
    socket.onopen = () => this.handlers.status?.("open", this.attempt);
    socket.onclose = (event) => {
      this.detach();
      if (this.handlers.final?.(event.code)) {
        this.stop();
        this.handlers.status?.("closed", this.attempt);
        return;
      }
      this.attempt += 1;
      this.handlers.status?.("waiting", this.attempt);
      this.timer = window.setTimeout(() => { this.connect(); }, pause(this.attempt));
    };
  }
}
