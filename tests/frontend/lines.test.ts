import { kindOf, LineBuffer, paletteColour, plainText, type Span } from "@/log/lines";

function after(...pieces: string[]): LineBuffer {
  const buffer = new LineBuffer();
  for (const piece of pieces) buffer.write(piece);
  return buffer;
}
const texts = (buffer: LineBuffer): string[] => buffer.lines.map(plainText);

describe("lines", () => {
  it("keeps plain lines as strings, the last one open", () => {
    const buffer = after("one\ntwo\nthr", "ee");
    expect(buffer.lines).toEqual(["one", "two", "three"]);
  });

  it("keeps empty lines", () => {
    expect(texts(after("a\n\n\nb\n"))).toEqual(["a", "", "", "b"]);
  });

  it("ends lines at \\r\\n, also when it comes in two pieces", () => {
    expect(texts(after("one\r\ntwo\r", "\nthree"))).toEqual(["one", "two", "three"]);
  });

  it("lets a progress bar overwrite its line", () => {
    expect(texts(after("  10%", "\r  50%", "\r 100%\ndone\n"))).toEqual([" 100%", "done"]);
  });

  it("leaves what a shorter text does not overwrite", () => {
    expect(texts(after("abcdef\rXY\n"))).toEqual(["XYcdef"]);
  });

  it("obeys backspace and erase to the end of the line", () => {
    expect(texts(after("abc\b\bX\n", "long text\r\x1b[Kok\n"))).toEqual(["aXc", "ok"]);
  });

  it("does not grow with a million updates of one line", () => {
    const buffer = new LineBuffer();
    for (let percent = 0; percent < 10_000; percent += 1) buffer.write(`\rstep ${percent}`);
    expect(texts(buffer)).toEqual(["step 9999"]);
  });

  it("colours a part of a line and goes on in the next", () => {
    const buffer = after("a \x1b[1;31mred\nstill\x1b[0m plain\n");
    const [first, second] = buffer.lines as Span[][];
    expect(first?.map((span) => span.text)).toEqual(["a ", "red"]);
    expect(first?.[1]?.style?.classes).toBe("ansi-red-fg ansi-bold");
    expect(second?.[0]?.style?.classes).toBe("ansi-red-fg ansi-bold");
    expect(second?.[1]?.style).toBeNull();
  });

  it("understands an escape sequence that is cut anywhere", () => {
    const whole = "x\x1b[38;5;196mred\x1b[0my\n";
    const expected = after(whole).lines;
    for (let cut = 1; cut < whole.length; cut += 1) {
      expect(after(whole.slice(0, cut), whole.slice(cut)).lines).toEqual(expected);
    }
  });

  it("knows the 256 colours", () => {
    expect(paletteColour(196)).toBe("255, 0, 0");
    expect(paletteColour(255)).toBe("238, 238, 238");
    const [line] = after("\x1b[38;5;196mred\n").lines as Span[][];
    expect(line?.[0]?.style?.fg).toBe("255, 0, 0");
  });

  it("drops titles, links and other sequences that are not text", () => {
    expect(texts(after("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b[2Jc\n"))).toEqual(["abc"]);
  });

  it("says from which line on something changed", () => {
    const buffer = after("one\ntwo\nthr");
    expect(buffer.takeChanges()).toBe(0);
    buffer.write("ee\nfour\n");
    expect(buffer.takeChanges()).toBe(2);
    expect(buffer.takeChanges()).toBe(4);
  });

  it("takes 200,000 lines in well under a second", () => {
    const text = Array.from({ length: 200_000 }, (_, index) => `line ${index}\n`).join("");
    const started = performance.now();
    const buffer = after(text);
    expect(buffer.lines.length).toBe(200_000);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it("sees R's errors and warnings", () => {
    expect(kindOf("Error in f(x) : object 'y' not found")).toBe("error");
    expect(kindOf("Error: unexpected symbol")).toBe("error");
    expect(kindOf("Execution halted")).toBe("error");
    expect(kindOf("Warning message:")).toBe("warning");
    expect(kindOf("Errors were 3 in all")).toBe("");
    expect(kindOf("No error here")).toBe("");
  });
});
