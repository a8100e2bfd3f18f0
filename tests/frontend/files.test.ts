import { above, freeName, join, last, sorted, within } from "@/console/names";
import type { Entry } from "@/console/model";

const entry = (name: string, kind: Entry["kind"] = "file", size = 0, modified = "2026-01-01T00:00:00Z"): Entry => ({ name, path: name, kind, size, modified_at: modified, url: "" });

describe("names of files", () => {
  it("takes paths apart and together", () => {
    expect([above("a/b/c"), above("a"), last("a/b"), last("a"), join("", "a", "", "b")]).toEqual(["a/b", "", "b", "a", "a/b"]);
  });
  it("knows what lies in a folder", () => {
    expect([within("code/a", "code"), within("code", "code"), within("codes/a", "code")]).toEqual([true, true, false]);
  });
  it.each([
    ["plot.png", ["plot.png"], "plot (2).png"],
    ["plot.png", ["plot.png", "plot (2).png"], "plot (3).png"],
    ["plot (2).png", ["plot (2).png"], "plot (3).png"],
    [".gitignore", [".gitignore"], ".gitignore (2)"],
    ["data.tar.gz", ["data.tar.gz"], "data.tar (2).gz"],
  ])("finds a free name for %s", (name, taken, free) => {
    expect(freeName(name, new Set(taken))).toBe(free);
  });
  it("sorts folders first and numbers as numbers", () => {
    const all = [entry("p10"), entry("b", "folder"), entry("p2", "file", 9, "2026-02-01T00:00:00Z")];
    expect(sorted(all, "name").map((each) => each.name)).toEqual(["b", "p2", "p10"]);
    expect(sorted(all, "newest").map((each) => each.name)).toEqual(["b", "p2", "p10"]);
    expect(sorted([entry("small", "file", 1), entry("large", "file", 9)], "largest").map((each) => each.name)).toEqual(["large", "small"]);
  });
});
