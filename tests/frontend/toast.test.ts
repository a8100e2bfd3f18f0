/** A message with "Undo" waits for whoever is on their way to the button. */

import { h } from "@/lib/dom";
import { toast } from "@/lib/toast";

beforeEach(() => {
  vi.useFakeTimers();
  document.body.replaceChildren(h("div", { id: "toasts" }));
});
afterEach(() => vi.useRealTimers());

const shown = (): HTMLElement | null => document.querySelector(".toast");

describe("a message with a way back", () => {
  it("goes by itself", () => {
    const gone = vi.fn();
    toast("Removed.", { action: { label: "Undo", run: () => undefined }, gone });
    vi.advanceTimersByTime(6100);
    expect(shown()).toBeNull();
    expect(gone).toHaveBeenCalledOnce();
  });

  it("stays while its button has the focus, and as long again afterwards", () => {
    toast("Removed.", { action: { label: "Undo", run: () => undefined } });
    const button = shown()?.querySelector("button");
    button?.focus();
    vi.advanceTimersByTime(60_000);
    expect(shown()).not.toBeNull();
    button?.blur();
    vi.advanceTimersByTime(5_900);
    expect(shown()).not.toBeNull();
    vi.advanceTimersByTime(300);
    expect(shown()).toBeNull();
  });

  it("does what it says once, and is then not told as gone", () => {
    const run = vi.fn(), gone = vi.fn();
    toast("Removed.", { action: { label: "Undo", run }, gone });
    shown()?.querySelector("button")?.click();
    vi.advanceTimersByTime(10_000);
    expect(run).toHaveBeenCalledOnce();
    expect(gone).not.toHaveBeenCalled();
  });
});
