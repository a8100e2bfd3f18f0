/** What was deleted goes when its undo has run out, and only as it was seen. */

import { onlyAsSeen, portalTime, request } from "@/lib/api";
import { h } from "@/lib/dom";
import { Leaving } from "@/console/leaving";
import type { Entry } from "@/console/model";

const entry = (name: string, kind: Entry["kind"], etag: string | null): Entry => ({
  name, path: name, kind, size: 1, modified_at: "2026-01-01T00:00:00Z", etag, url: `/${name}`,
});

describe("deleting", () => {
  let sent: { address: string; headers: Headers }[] = [];
  let status = 204;

  beforeEach(() => {
    vi.useFakeTimers({ now: new Date("2026-01-01T12:00:00Z") });
    sent = [];
    status = 204;
    document.body.replaceChildren(h("div", { id: "toasts" }));
    vi.stubGlobal("fetch", vi.fn(async (address: string, init: RequestInit) => {
      sent.push({ address, headers: new Headers(init.headers) });
      // The portal's clock is five minutes ahead.
      const headers = { Date: new Date(Date.now() + 300_000).toUTCString() };
      return Promise.resolve(new Response(status === 204 ? null : JSON.stringify({ detail: "no" }), { status, headers }));
    }));
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("takes only what was shown, when it was clicked, by the portal's clock", async () => {
    await request("/anything");
    const leaving = new Leaving("/api", vi.fn(), vi.fn(), vi.fn());
    leaving.remove("output", [entry("a", "file", '"1-2-3"'), entry("plots", "folder", null), entry("link", "other", null)]);
    await vi.advanceTimersByTimeAsync(8000);
    const [, file, folder, link] = sent;
    expect(file?.headers.get("If-Match")).toBe('"1-2-3"');
    expect(folder?.headers.get("If-Unmodified-Since")).toBe("Thu, 01 Jan 2026 12:05:00 GMT");
    expect(folder?.headers.has("If-Match")).toBe(false);
    expect(link?.address).toBe("/api/files/output/link");
    expect(link?.headers.has("If-Match")).toBe(false);
  });

  it("says what was kept because it was changed meanwhile", async () => {
    status = 412;
    const [removed, refresh] = [vi.fn(), vi.fn()];
    new Leaving("/api", vi.fn(), removed, refresh).remove("output", [entry("a", "file", '"1-2-3"')]);
    await vi.advanceTimersByTimeAsync(8000);
    expect(document.body.textContent).toContain("a was changed meanwhile: it is kept.");
    expect(removed).not.toHaveBeenCalled();
    expect(refresh).toHaveBeenCalledWith("output");
  });

  it("asks for nothing where nothing is known", () => {
    expect(onlyAsSeen({ kind: "file" }, portalTime())).toEqual({});
  });
});
