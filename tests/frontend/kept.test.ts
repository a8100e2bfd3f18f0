/** What the pointer is on stays the same element while the list around it is drawn anew: else the
    press that began on it would be no click in the end. */

import { arrange, h, need } from "@/lib/dom";
import type { Entry } from "@/console/model";
import { type Folder, Tree } from "@/console/tree";
import { Transfers } from "@/console/transfers";
import { upload } from "@/console/upload";

vi.mock("@/console/upload", () => ({ upload: vi.fn() }));

describe("children of an element", () => {
  it.each([
    ["a b c", "a b c"],
    ["a b c", "c a b"],
    ["a b c", "b"],
    ["a b c", "x a b y c"],
    ["", "a b"],
    ["a b", ""],
  ])("go from %j to %j", (from, to) => {
    const letters = new Map(`${from} ${to}`.split(" ").map((each) => [each, h("i", {}, each)]));
    const all = (words: string): HTMLElement[] => words.split(" ").flatMap((each) => letters.get(each) ?? []);
    const place = h("p", {}, "text of before");
    arrange(place, all(from));
    arrange(place, all(to));
    expect([...place.childNodes].map((each) => each.textContent).join(" ")).toBe(to);
  });

  it("are not taken out and put back", () => {
    const [first, kept] = [h("i"), h("b")];
    const place = h("p", {}, first, kept);
    const insert = vi.spyOn(place, "insertBefore");
    arrange(place, [kept]);
    arrange(place, [kept, first]);
    expect(insert.mock.calls.map(([node]) => node)).toEqual([first]);
  });
});

describe("uploads", () => {
  it("keep their buttons while their bars grow", async () => {
    vi.useFakeTimers();
    const told: ((sent: number) => void)[] = [];
    vi.mocked(upload).mockImplementation(async (_address, _file, sending) => {
      told.push(sending.progress);
      return new Promise(() => undefined);
    });
    const transfers = new Transfers(() => undefined);
    document.body.append(transfers.element);
    transfers.add([{ address: "/a", name: "input/a", file: new File(["x".repeat(100)], "a"), replace: false }]);
    await vi.runOnlyPendingTimersAsync();
    const button = need<HTMLButtonElement>(transfers.element, '[aria-label="Cancel input/a"]');
    told[0]?.(40);
    await vi.runOnlyPendingTimersAsync();
    expect(button.isConnected).toBe(true);
    expect(need<HTMLProgressElement>(transfers.element, "li progress").value).toBe(40);
    vi.useRealTimers();
  });
});

describe("the tree of files", () => {
  const entry = (path: string, kind: Entry["kind"] = "file", size = 1): Entry => ({
    name: path.split("/").at(-1) ?? path, path, kind, size, modified_at: "2026-01-01T00:00:00Z", url: `/${path}`,
  });
  const treeOf = (known: Record<string, Entry[]>): { tree: Tree; row: (full: string) => HTMLElement } => {
    const list = h("ul");
    const folder = (full: string): Folder | undefined => (known[full] ? { entries: known[full], open: true, shown: 500 } : undefined);
    const tree = new Tree("output", list, {
      entries: (full) => known[full] ?? null, folder, isCurrent: () => false, mayEdit: true,
      open: vi.fn(), toggle: vi.fn(), more: vi.fn(), selected: vi.fn(), remove: vi.fn(), rename: vi.fn(),
    }, "Nothing.");
    tree.draw();
    return { tree, row: (full) => need(list, `[data-path="${full}"]`) };
  };

  it("keeps the rows that look as they did, in open folders, too", () => {
    const known: Record<string, Entry[]> = { output: [entry("plots", "folder"), entry("b")], "output/plots": [entry("plots/p")] };
    const { tree, row } = treeOf(known);
    const [folder, inside, file] = [row("output/plots"), row("output/plots/p"), row("output/b")];
    known["output"] = [entry("plots", "folder"), entry("a"), entry("b", "file", 2000)];
    known["output/plots"] = [entry("plots/o"), entry("plots/p")];
    tree.draw();
    expect(row("output/plots")).toBe(folder);
    expect(row("output/plots/p")).toBe(inside);
    expect(row("output/b")).not.toBe(file);
    expect(row("output/b").textContent).toContain("2 kB");
    expect([...folder.querySelectorAll("[role=treeitem]")].map((each) => each.textContent.trim())).toEqual(["o 1 byte", "p 1 byte"]);
  });

  it("leaves the page its shortcuts, and has keys of its own", () => {
    const { row } = treeOf({ output: [entry("a"), entry("b")] });
    document.body.replaceChildren(row("output/a").parentElement ?? "");
    row("output/a").focus();
    const reached: string[] = [];
    const listen = (event: KeyboardEvent): void => { if (!event.defaultPrevented) reached.push(event.key); };
    document.addEventListener("keydown", listen);
    const press = (key: string, more: KeyboardEventInit = {}): void => { row("output/a").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more })); };
    for (const held of [{ ctrlKey: true }, { metaKey: true }]) for (const key of ["Enter", "s", "k"]) press(key, held);
    for (const key of ["?", "/", "$"]) press(key);
    expect(reached).toEqual(["Enter", "s", "k", "Enter", "s", "k", "?", "/", "$"]);
    for (const key of ["Enter", " ", "b", "ArrowDown"]) press(key);
    expect(reached).toHaveLength(9);
    document.removeEventListener("keydown", listen);
  });

  it("shows a name that would turn its letters, with its own direction", () => {
    const { row } = treeOf({ output: [entry("may\u202egpj.exe")] });
    const found = row("output/may\u202egpj.exe");
    expect(found.querySelector("bdi")?.textContent).toBe("may\\u202egpj.exe");
    expect(found.getAttribute("aria-label")).toBe("may\\u202egpj.exe 1 byte");
    expect(found.querySelector("a")?.getAttribute("download")).toBe("may\u202egpj.exe");
  });
});
