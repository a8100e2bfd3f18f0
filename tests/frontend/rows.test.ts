import { plainText } from "@/log/lines";
import { countLines, lineStart, LONGEST_ROW, type Row, RowReader } from "@/log/rows";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** All rows of a log that comes in pieces, as the page would hold them. */
function read(pieces: Uint8Array[], from = 0): Row[] {
  const reader = new RowReader(from);
  const rows: Row[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    const taken = reader.take();
    if (taken.replaces) rows.pop();
    rows.push(...taken.rows);
  }
  return rows;
}
const shown = (rows: Row[]): [number, string][] => rows.map((row) => [row.offset, plainText(row.line)]);

describe("rows of a log", () => {
  it("know where in the log they begin, in bytes", () => {
    expect(shown(read([encode("é\n\nab\nc")], 100))).toEqual([[100, "é"], [103, ""], [104, "ab"], [107, "c"]]);
  });

  it("are the same however the bytes come, with colours, returns and characters cut anywhere", () => {
    const whole = encode("é世\x1b[31mred\x1b[0m\n10%\r50%\r100%\r\nend");
    const expected = read([whole]);
    expect(expected.map((row) => plainText(row.line))).toEqual(["é世red", "100%", "end"]);
    for (let cut = 1; cut < whole.length; cut += 1) {
      expect(read([whole.subarray(0, cut), whole.subarray(cut)])).toEqual(expected);
    }
  });

  it("are many where one line is very long, and lose nothing of it", () => {
    const long = "世界".repeat(100_000);
    const rows = read([encode(`a\n${long.slice(0, 70_001)}`), encode(`${long.slice(70_001)}\nz`)]);
    expect(rows.length).toBeGreaterThan(30);
    expect(rows.filter((row) => !row.piece).map((row) => row.offset)).toEqual([0, 2, 2 + 600_000 + 1]);
    expect(rows.slice(1, -1).map((row) => plainText(row.line)).join("")).toBe(long);
    for (const row of rows) expect(plainText(row.line).length).toBeLessThanOrEqual(LONGEST_ROW);
  });

  it("keep a progress bar of a megabyte in one row", () => {
    const bar = Array.from({ length: 60_000 }, (_, step) => `\rstep ${step} of 60000`).join("");
    const rows = read([encode(bar.slice(0, 333_333)), encode(bar.slice(333_333)), encode("\ndone\n")]);
    expect(rows.map((row) => plainText(row.line))).toEqual(["step 59999 of 60000", "done"]);
  });

  it("show bytes that are no text", () => {
    const rows = read([Uint8Array.of(0x63, 0xe9, 0xff, 0, 1, 0x7f, 7, 0x0a)]);
    expect(shown(rows)).toEqual([[0, "c��␀␁␡"]]);
  });

  it("hold a log of NULs in rows", () => {
    const rows = read([new Uint8Array(100_000)]);
    expect(rows.length).toBe(7);
    expect(plainText(rows[0]?.line ?? "")).toBe("␀".repeat(LONGEST_ROW));
  });
});

describe("a place in the middle of a log", () => {
  it("begins with the next whole line, or else with a whole character", () => {
    expect(lineStart(encode("alf\nnext\n"))).toEqual({ at: 4, piece: false });
    expect(lineStart(encode("世界").subarray(1))).toEqual({ at: 2, piece: true });
  });

  it("counts lines", () => {
    expect(countLines(encode("a\n\nb"))).toBe(2);
  });
});
