import { type FoundTask, has, ranked } from "@/lib/palette";

const task = (name: string, day: number, archived = false): FoundTask => ({
  id: name, name, owner: "anna", used_at: day ? `2026-11-${String(day).padStart(2, "0")}T00:00:00Z` : null,
  archived_at: archived ? "2026-11-20T00:00:00Z" : null,
});
const names = (tasks: FoundTask[]): string[] => tasks.map(({ name }) => name);

describe("what the palette finds", () => {
  it("has every word somewhere, whatever the case", () => {
    expect(has("River levels, daily", "daily RIV")).toBe(true);
    expect(has("River levels", "river pollen")).toBe(false);
    expect(has("River levels", "")).toBe(true);
  });

  it("is sorted by the beginning of the name, then by last use, the archive last", () => {
    const tasks = [task("Old rivers", 9), task("River A", 1), task("River B", 5), task("River gone", 8, true), task("River never", 0), task("Pollen", 10)];
    expect(names(ranked(tasks, "riv"))).toEqual(["River B", "River A", "River never", "Old rivers", "River gone"]);
    expect(names(ranked(tasks, ""))).toEqual(["Pollen", "Old rivers", "River B", "River A", "River never", "River gone"]);
  });
});
