/** Places in scripts that R names in what it prints: "model.R:12:3", "model.R#12"; and what has no line
    but can be looked for: the call in "Error in fit(x) :", and what R quotes where it does not
    understand a script: `unexpected symbol in "x y"`, or, quoted on two rows of their own,

        Error: unexpected '*' in:
        "y <- function(a) {
          a +*" */

export interface Source {
  /** where the words begin in the text, and how long they are */
  at: number;
  length: number;
  /** "code/model.R" */
  file: string;
  /** from 1; null: look for the call */
  line: number | null;
  /** a call, or one or two lines of the script, of which the last ends where R stopped reading */
  call: string;
}

/** A longer row is no message of R's. */
const LONGEST = 2000;
// A path below /code, /input or /output, or relative, then the line. Nothing that goes on to the left:
// "/usr/lib/R/x.R:3" is not ours.
const PLACE =
  /(?<![\p{L}\p{N}_./-])(\.\/|\/(?:code|input|output)\/)?((?:[\p{L}\p{N}_-][\p{L}\p{N}_.-]*\/)*[\p{L}\p{N}_-][\p{L}\p{N}_.-]*\.(?:[Rr]|[Rr]md|qmd|Rnw))[:#](\d{1,7})(?!\d)/gu;
const CALL = /^Error in (.+?) : ?/;
const SYNTAX = /^Error: (?:unexpected (?:'.*?'|[\w ]+?) in|.* is an unrecognized escape in character string(?: starting)?) "(.+)"$/;
const SYNTAX_BEGINS = /^Error: unexpected (?:'.*?'|[\w ]+?) in:$/;

/** `script`: path in /code of what ran; "": a command, whose errors name calls of nobody's script.
    `before`: the rows before this one, the nearest last; two are enough. */
export function sourcesIn(text: string, script: string, before: readonly string[] = []): Source[] {
  if (text.length > LONGEST) return [];
  const found: Source[] = [];
  for (const match of text.matchAll(PLACE)) {
    const [whole, root = "", path = "", line = ""] = match;
    const area = root.startsWith("/") ? root.slice(1) : "code/";
    found.push({ at: match.index, length: whole.length, file: area + path, line: Number(line), call: "" });
  }
  if (found.length || !script) return found;
  const looked = { file: `code/${script}`, line: null };
  const call = CALL.exec(text)?.[1];
  if (call) return [{ at: "Error in ".length, length: call.length, call, ...looked }];
  const code = SYNTAX.exec(text)?.[1];
  if (code) return [{ at: text.length - 1 - code.length, length: code.length, call: code, ...looked }];
  const [begins = "", first = ""] = before.slice(-2);
  const last = text.slice(0, -1);
  if (!text.endsWith('"') || !last.trim() || !first.startsWith('"') || !SYNTAX_BEGINS.test(begins)) return [];
  const at = last.length - last.trimStart().length;
  return [{ at, length: last.length - at, call: `${first.slice(1)}\n${last}`, ...looked }];
}

/** R writes a call in its own way: spaces and quotes don't count. */
function plain(code: string): string {
  return code.replace(/\s+/g, "").replaceAll("'", '"');
}

/** The lines, from 1, that hold the call; of two lines of the script, those that are like the second
    and follow one like the first. */
export function linesWith(text: string, call: string): number[] {
  const lines = text.split("\n");
  const [last = "", first] = call.split("\n").reverse().map(plain);
  if (!last) return [];
  const found = lines.flatMap((line, index) => (plain(line.replace(/^\s*#.*/, "")).includes(last) ? [index + 1] : []));
  if (first === undefined) return found;
  const both = found.filter((line) => plain(lines[line - 1] ?? "").startsWith(last) && plain(lines[line - 2] ?? "").endsWith(first));
  return both.length ? both : found;
}

/** The part of the console's address that opens it. */
export function query(source: Source): string {
  const where: [string, string] = source.line === null ? ["call", source.call] : ["line", String(source.line)];
  return new URLSearchParams([["file", source.file], where]).toString();
}
