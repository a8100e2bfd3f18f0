import { LogStream, type Sink } from "@/log/stream";
import { pause } from "@/lib/socket";

class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  binaryType = "";
  constructor(readonly address: URL) {
    FakeSocket.all.push(this);
  }
  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (!socket) throw new Error("no socket");
    return socket;
  }
  close(): void {
    this.onclose?.({ code: 1000 });
  }
  bytes(offset: number, text: string): void {
    const body = new TextEncoder().encode(text);
    const frame = new Uint8Array(8 + body.length);
    new DataView(frame.buffer).setBigUint64(0, BigInt(offset));
    frame.set(body, 8);
    this.onmessage?.({ data: frame.buffer });
  }
  event(event: object): void {
    this.onmessage?.({ data: JSON.stringify(event) });
  }
  cut(code = 1006): void {
    this.onclose?.({ code });
  }
}

interface Seen {
  text: string;
  told: string[];
}

function start(attempt = 1, next = 0): { stream: LogStream; seen: Seen } {
  const seen: Seen = { text: "", told: [] };
  const decoder = new TextDecoder();
  const sink: Sink = {
    bytes: (data) => { seen.text += decoder.decode(data, { stream: true }); },
    reset: (now, offset) => { seen.text = ""; seen.told.push(`reset ${now} ${offset}`); },
    skip: (offset) => { seen.told.push(`skip ${offset}`); },
    state: (event) => { seen.told.push(event.state); },
    end: (event) => { seen.told.push(`end ${event.size}`); },
    connection: (now) => { seen.told.push(now); },
  };
  return { stream: new LogStream("r1", attempt, next, sink), seen };
}

beforeEach(() => {
  FakeSocket.all = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the stream of a log", () => {
  it("goes on after a cut where it was, each byte once", () => {
    const { stream, seen } = start();
    FakeSocket.last.bytes(0, "hello ");
    FakeSocket.last.cut();
    expect(seen.told).toContain("waiting");
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all.length).toBe(2);
    expect(FakeSocket.last.address.search).toBe("?attempt=1&offset=6&skip=1");
    // The server may send a part again.
    FakeSocket.last.bytes(3, "lo world");
    expect(seen.text).toBe("hello world");
    stream.stop();
  });

  it("asks again when a piece is missing", () => {
    const { stream, seen } = start();
    FakeSocket.last.bytes(0, "abc");
    FakeSocket.last.bytes(10, "xyz");
    expect(seen.text).toBe("abc");
    expect(FakeSocket.last.address.search).toBe("?attempt=1&offset=3&skip=1");
    stream.stop();
  });

  it("begins anew on reset", () => {
    const { stream, seen } = start();
    FakeSocket.last.bytes(0, "first attempt");
    FakeSocket.last.event({ type: "reset", attempt: 2, offset: 0 });
    FakeSocket.last.bytes(0, "second");
    expect(seen.text).toBe("second");
    FakeSocket.last.cut();
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.last.address.search).toBe("?attempt=2&offset=6&skip=1");
    stream.stop();
  });

  it("goes on near the end when the portal leaves something out", () => {
    const { stream, seen } = start();
    FakeSocket.last.bytes(0, "begin");
    FakeSocket.last.event({ type: "skip", attempt: 1, offset: 5000 });
    FakeSocket.last.bytes(5000, "end");
    expect(seen.text).toBe("beginend");
    expect(seen.told).toContain("skip 5000");
    FakeSocket.last.cut();
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.last.address.search).toBe("?attempt=1&offset=5003&skip=1");
    stream.stop();
  });

  it("stays away after the end, and when the Run is not ours to see", () => {
    start();
    FakeSocket.last.event({ type: "end", attempt: 1, size: 0, state: "succeeded" });
    FakeSocket.last.cut(1000);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all.length).toBe(1);

    const second = start();
    FakeSocket.last.cut(4404);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all.length).toBe(2);
    expect(second.seen.told).toContain("gone");
  });

  it("ignores events that it does not know", () => {
    const { stream, seen } = start();
    FakeSocket.last.event({ type: "news", more: 1 });
    expect(seen.told.filter((each) => !["connecting", "open"].includes(each))).toEqual([]);
    stream.stop();
  });
});

describe("pauses between tries", () => {
  it("grow, have chance in them, and have an end", () => {
    expect(pause(1, () => 1)).toBe(800);
    expect(pause(1, () => 0)).toBe(400);
    expect(pause(3, () => 1)).toBe(3200);
    expect(pause(50, () => 1)).toBe(15_000);
  });
});
