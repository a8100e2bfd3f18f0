/** A look at a file that is not to be edited: an image, the head of a table, or its size. */

import { request } from "@/lib/api";
import { h } from "@/lib/dom";
import { bytes } from "@/lib/format";
import type { Kind } from "@/console/model";

const HEAD = 64 * 1024;
const ROWS = 200;

/** Rows of CSV or TSV text; a last row that may be cut off is left out if `cut`. */
export function parseTable(text: string, separator: string, cut: boolean): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  for (let index = 0; index < text.length && rows.length < ROWS; index += 1) {
    const char = text.charAt(index);
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text.charAt(index + 1) === '"') {
        cell += '"';
        index += 1;
      } else quoted = false;
    } else if (char === '"' && cell === "") quoted = true;
    else if (char === separator) {
      row.push(cell);
      cell = "";
    } else if (char === "\n") {
      row.push(cell.replace(/\r$/, ""));
      rows.push(row);
      row = [];
      cell = "";
    } else cell += char;
  }
  if (!cut && (cell || row.length) && rows.length < ROWS) rows.push([...row, cell]);
  return rows;
}

export function separatorOf(name: string, text: string): string {
  if (/\.tsv$/i.test(name)) return "\t";
  const head = text.slice(0, text.indexOf("\n") + 1 || undefined);
  const count = (char: string): number => head.split(char).length;
  return count(";") > count(",") ? ";" : ",";
}

export async function preview(kind: Kind, name: string, url: string, size: number): Promise<HTMLElement> {
  const box = h("div", { class: "preview", tabindex: 0 });
  if (kind === "image") {
    box.append(h("img", { src: `${url}?inline=1&v=${Date.now()}`, alt: name }));
    return box;
  }
  if (kind === "table") {
    const response = await request(url, { headers: size > HEAD ? { Range: `bytes=0-${HEAD - 1}` } : {} });
    const text = await response.text();
    const rows = parseTable(text, separatorOf(name, text), size > HEAD);
    const [head = [], ...body] = rows;
    const aligned = (cell = ""): string | null => (/^-?[\d.,]+(e[+-]?\d+)?$/i.test(cell) ? "num" : null);
    box.append(
      h("p", { class: "muted small" }, rows.length >= ROWS || size > HEAD ? `The first ${body.length} rows of ${bytes(size)}.` : `${body.length} rows, ${head.length} columns.`),
      h("div", { class: "scroll" }, h("table", { class: "table" },
        h("thead", {}, h("tr", {}, ...head.map((cell, column) => h("th", { scope: "col", class: aligned(body[0]?.[column]) }, cell)))),
        h("tbody", {}, ...body.map((row) => h("tr", {}, ...row.map((cell) => h("td", { class: aligned(cell) }, cell))))),
      )),
    );
    return box;
  }
  box.append(h("p", { class: "empty" }, `${name} is ${bytes(size)} and not text, so there is nothing to show. Download it to look at it.`));
  return box;
}
