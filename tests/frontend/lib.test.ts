import { bytes, duration, relative, visibly } from "@/lib/format";
import { concerns } from "@/lib/changes";
import { next } from "@/lib/theme";
import { eventOf } from "@/log/protocol";
import { ApiError, json } from "@/lib/api";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

describe("words for numbers", () => {
  it("writes sizes as the server does", () => {
    expect([bytes(12), bytes(2048), bytes(5 * 1024 ** 2), bytes(1024 ** 3), bytes(1.5 * 1024 ** 3)]).toEqual(["12 bytes", "2 kB", "5 MB", "1 GB", "1.5 GB"]);
  });
  it("writes durations as the server does", () => {
    expect([duration(5), duration(300), duration(5400), duration(187200)]).toEqual(["5 s", "5 min", "1 h 30 min", "2 d 4 h"]);
  });
  it("says how long ago", () => {
    const now = new Date(2026, 4, 10, 12, 0, 0);
    const before = (seconds: number): string => relative(new Date(now.getTime() - seconds * 1000), now);
    expect([before(3), before(120), before(7200), before(86400 + 7200), before(5 * 86400)]).toEqual(["just now", "2 min ago", "2 h ago", "yesterday", "5 May"]);
  });
});

/** As Python shows them: both sides read this file. */
const names = JSON.parse(readFileSync(resolve(import.meta.dirname, "../fixtures/names.json"), "utf8")) as { name: string; shown: string }[];

describe("names of files", () => {
  it.each(names)("show what would not be seen: $shown", ({ name, shown }) => {
    expect(visibly(name)).toBe(shown);
  });
});

describe("live parts", () => {
  const change = { run: "r", task: "t", state: "running" };
  it("refresh only for what concerns them", () => {
    expect(concerns("*", change)).toBe(true);
    expect(concerns("task:t", change)).toBe(true);
    expect(concerns("task:u", change)).toBe(false);
    expect(concerns("run:r", change)).toBe(true);
    expect(concerns("end:r", change)).toBe(false);
    expect(concerns("end:r", { ...change, state: "failed" })).toBe(true);
  });
});

describe("colours", () => {
  it("go round", () => {
    expect([next(""), next("light"), next("dark"), next("nonsense")]).toEqual(["light", "dark", "", ""]);
  });
});

describe("events", () => {
  it("are understood by their type", () => {
    expect(eventOf('{"type":"end","attempt":1,"size":5,"state":"failed"}')).toEqual({ type: "end", attempt: 1, size: 5, state: "failed" });
    expect(eventOf('{"type":"new thing"}')).toBeNull();
    expect(eventOf("7")).toBeNull();
  });
});

describe("requests", () => {
  afterEach(() => { vi.unstubAllGlobals(); });
  const answer = (status: number, body: string): void => {
    vi.stubGlobal("fetch", vi.fn(() => Promise.resolve(new Response(body, { status }))));
  };

  it("turn problem documents into their sentence", async () => {
    answer(400, JSON.stringify({ title: "Bad", detail: "Not so.", errors: { cpus: ["Ask for fewer CPUs."] } }));
    await expect(json("/x")).rejects.toThrow("Ask for fewer CPUs.");
  });
  it("say something of use without a problem document", async () => {
    answer(502, "<html>");
    await expect(json("/x")).rejects.toThrow("Try again");
  });
  it("say so when the portal is away", async () => {
    vi.stubGlobal("fetch", vi.fn(() => Promise.reject(new TypeError("network"))));
    const error: unknown = await json("/x").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).status).toBe(0);
  });
  it("tell the page when the session has ended", async () => {
    answer(401, "{}");
    const ended = vi.fn();
    document.addEventListener("rcluster:session-ended", ended, { once: true });
    await expect(json("/x")).rejects.toThrow();
    expect(ended).toHaveBeenCalledOnce();
  });
});
