/** Places in scripts that R names in what it prints: "model.R:12:3", "model.R#12", and the call in
    "Error in fit(x) :", which has no line but can be looked for. */

export interface Source {
  /** where the words begin in the text, and how long they are */
  at: number;
  length: number;
  /** "code/model.R" */
  file: string;
  /** from 1; null: look for the call */
  line: number | null;
  call: string;
}

/** A longer row is no message of R's. */
const LONGEST = 2000;
// A path below /code, /input or /output, or relative, then the line. Nothing that goes on to the left:
// "/usr/lib/R/x.R:3" is not ours.
const PLACE =
  /(?<![\p{L}\p{N}_./-])(\.\/|\/(?:code|input|output)\/)?((?:[\p{L}\p{N}_-][\p{L}\p{N}_.-]*\/)*[\p{L}\p{N}_-][\p{L}\p{N}_.-]*\.(?:[Rr]|[Rr]md|qmd|Rnw))[:#](\d{1,7})(?!\d)/gu;
const CALL = /^Error in (.+?) : ?/;

/** `script`: path in /code of what ran; "": a command, whose errors name calls of nobody's script. */
export function sourcesIn(text: string, script: string): Source[] {
  if (text.length > LONGEST) return [];
  const found: Source[] = [];
  for (const match of text.matchAll(PLACE)) {
    const [whole, root = "", path = "", line = ""] = match;
    const area = root.startsWith("/") ? root.slice(1) : "code/";
    found.push({ at: match.index, length: whole.length, file: area + path, line: Number(line), call: "" });
  }
  const call = CALL.exec(text)?.[1];
  if (!found.length && call && script) found.push({ at: "Error in ".length, length: call.length, file: `code/${script}`, line: null, call });
  return found;
}

/** R writes a call in its own way: spaces and quotes don't count. */
function plain(code: string): string {
  return code.replace(/\s+/g, "").replaceAll("'", '"');
}

/** The lines, from 1, that hold the call. */
export function linesWith(text: string, call: string): number[] {
  const wanted = plain(call);
  if (!wanted) return [];
  return text.split("\n").flatMap((line, index) => (plain(line.replace(/^\s*#.*/, "")).includes(wanted) ? [index + 1] : []));
}

/** The part of the console's address that opens it. */
export function query(source: Source): string {
  const where: [string, string] = source.line === null ? ["call", source.call] : ["line", String(source.line)];
  return new URLSearchParams([["file", source.file], where]).toString();
}
