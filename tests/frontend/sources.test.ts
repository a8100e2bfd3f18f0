import { linesWith, query, sourcesIn } from "@/log/sources";

const places = (text: string, script = "model.R"): [string, number | null, string][] =>
  sourcesIn(text, script).map(({ at, length, file, line }) => [file, line, text.slice(at, at + length)]);

describe("places in scripts that the output names", () => {
  it.each([
    ['Error in source("b.R") : b.R:3:3: unexpected symbol', "code/b.R", 3, "b.R:3"],
    ["3: fit(x) at steps/fit.R#12", "code/steps/fit.R", 12, "steps/fit.R#12"],
    ["  1. └─global::f(1) at ./run.R:7:1", "code/run.R", 7, "./run.R:7"],
    ["Error: /input/größe 2.R:1 or /input/größe.R:14:2", "input/größe.R", 14, "/input/größe.R:14"],
  ])("%s", (text, file, line, words) => {
    expect(places(text).at(-1)).toEqual([file, line, words]);
  });

  it.each(["at /usr/lib/R/library/x.R:3", "see ../other.R:3", "model.R is slow", "at 12:30:15", "x".repeat(3000) + " b.R:3"])("are not made up: %#", (text) => {
    expect(places(text)).toEqual([]);
  });

  it("are the call of an error where R says no line, in the script that ran", () => {
    expect(sourcesIn("Error in fit(x, 2) : subscript out of bounds", "model.R")).toEqual([
      { at: 9, length: 9, file: "code/model.R", line: null, call: "fit(x, 2)" },
    ]);
    expect(sourcesIn("Error in fit(x) : no", "")).toEqual([]);
    expect(sourcesIn("no Error in fit(x) : no", "model.R")).toEqual([]);
  });

  it("are what R quotes where it does not understand a script, on one row or on three", () => {
    expect(sourcesIn('Error: unexpected symbol in "y <- "s" z"', "model.R")).toEqual([
      { at: 29, length: 10, file: "code/model.R", line: null, call: 'y <- "s" z' },
    ]);
    expect(sourcesIn(`Error: unexpected 'in' in "in"`, "model.R")).toMatchObject([{ at: 27, call: "in" }]);
    expect(sourcesIn('Error: \'\\d\' is an unrecognized escape in character string starting ""a \\d"', "model.R")).toMatchObject([{ call: '"a \\d' }]);
    const rows = ["Error: unexpected '*' in:", '"y <- function(a) {', '  a +*"'];
    expect(rows.map((row, at) => sourcesIn(row, "model.R", rows.slice(0, at)))).toEqual([
      [], [], [{ at: 2, length: 4, file: "code/model.R", line: null, call: "y <- function(a) {\n  a +*" }],
    ]);
    expect(sourcesIn('  a +*"', "", rows)).toEqual([]);
    expect(sourcesIn('  a +*"', "model.R", ["Error: no", '"y'])).toEqual([]);
    expect(sourcesIn('"', "model.R", rows.slice(0, 2))).toEqual([]);
  });

  it("are found where both quoted lines are, not where the last one is alone", () => {
    const script = "f <- function() {\n}\ng <- function() {\n  x <- c(1,2)\n}}\n}\n";
    expect(linesWith(script, "  x <- c(1,2)\n}}")).toEqual([5]);
    expect(linesWith("a\n}\nb <- 2\n} else 3\n", "b <- 2\n}")).toEqual([4]);
    // The first one is not as it was any more.
    expect(linesWith(script, "  x <- 9\n}}")).toEqual([5]);
  });

  it("are looked for however the call was spaced and quoted, and not in comments", () => {
    const script = "# fit(x, 'a')\nfit <- function(x, y) 1\nz <- fit( x,'a' )\n";
    expect(linesWith(script, 'fit(x, "a")')).toEqual([3]);
    expect(linesWith(script, "gone(1)")).toEqual([]);
    expect(linesWith(script, " ")).toEqual([]);
  });

  it("have an address", () => {
    const [found] = sourcesIn("a b.R:3:1", "");
    expect(found && query(found)).toBe("file=code%2Fb.R&line=3");
  });

  it("do not hold up a row that is full of names", () => {
    const began = performance.now();
    for (const text of ["a/".repeat(999), "a.R".repeat(600), "a-.".repeat(600), "Error in " + " :".repeat(900), "Error: unexpected '" + "' in ".repeat(300), "Error: unexpected " + "in ".repeat(500)]) sourcesIn(text, "m.R");
    expect(performance.now() - began).toBeLessThan(500);
  });
});
