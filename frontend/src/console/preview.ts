/** A look at a file that is not to be edited: an image, the head of a table, or its size. */

import { request } from "@/lib/api";
import { h } from "@/lib/dom";
import { bytes, visibly } from "@/lib/format";
import { showCode } from "@/console/editor";
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

/** How many bytes of a text that is too large to edit are shown. */
const TEXT_HEAD = 256 * 1024;
/** Above this an image or a PDF is only offered to be downloaded. */
const LARGEST = 100 * 1024 * 1024;

/** Throws ApiError. `cannot`: why a text is not opened to be edited. */
export async function preview(kind: Kind, full: string, url: string, size: number, cannot = ""): Promise<HTMLElement> {
  const name = visibly(full);
  const box = h("div", { class: `preview ${kind}`, tabindex: 0, "aria-label": `Preview of ${name}`, role: "region" });
  if ((kind === "image" || kind === "pdf") && size > LARGEST) box.append(tooLarge(name, size));
  else if (kind === "image") box.append(image(name, url, size));
  else if (kind === "table") box.append(...(await table(name, url, size)));
  else if (kind === "pdf") {
    const { showPdf } = await import("@/console/pdf");
    await showPdf(box, name, url);
  } else if (kind === "code" || kind === "text") box.append(...(await head(name, url, size, cannot)));
  else box.append(h("p", { class: "empty" }, `${name} is ${bytes(size)} and not text, so there is nothing to show. Download it to look at it.`));
  return box;
}

function tooLarge(name: string, size: number): HTMLElement {
  return h("p", { class: "empty" }, `${name} is ${bytes(size)}, too large to show here. Download it to look at it.`);
}

function image(name: string, url: string, size: number): HTMLElement {
  // In an <img> nothing that is in an SVG can run.
  const picture = h("img", { src: `${url}?inline=1&v=${Date.now()}`, alt: name });
  picture.addEventListener("error", () => {
    picture.replaceWith(h("p", { class: "empty" }, `${name} (${bytes(size)}) is no image that your browser can show. Download it to look at it.`));
  });
  return picture;
}

async function table(name: string, url: string, size: number): Promise<HTMLElement[]> {
  const response = await request(url, { headers: size > HEAD ? { Range: `bytes=0-${HEAD - 1}` } : {} });
  const text = await response.text();
  const rows = parseTable(text, separatorOf(name, text), size > HEAD);
  const [top = [], ...body] = rows;
  const aligned = (cell = ""): string | null => (/^-?[\d.,]+(e[+-]?\d+)?$/i.test(cell) ? "num" : null);
  return [
    h("p", { class: "muted small" }, rows.length >= ROWS || size > HEAD ? `The first ${body.length} rows of ${bytes(size)}.` : `${body.length} rows, ${top.length} columns.`),
    h("div", { class: "scroll" }, h("table", { class: "table" },
      h("thead", {}, h("tr", {}, ...top.map((cell, column) => h("th", { scope: "col", class: aligned(body[0]?.[column]) }, cell)))),
      h("tbody", {}, ...body.map((row) => h("tr", {}, ...row.map((cell) => h("td", { class: aligned(cell) }, cell))))),
    )),
  ];
}

/** The beginning of a text, highlighted, not to be changed. */
async function head(name: string, url: string, size: number, cannot: string): Promise<HTMLElement[]> {
  const response = await request(url, { headers: size > TEXT_HEAD ? { Range: `bytes=0-${TEXT_HEAD - 1}` } : {} });
  const code = h("div", { class: "code" });
  showCode(code, name, (await response.text()).replace(/\r\n/g, "\n"));
  const cut = size > TEXT_HEAD ? `These are its first ${bytes(TEXT_HEAD)} of ${bytes(size)}.` : "";
  const words = [cannot, cut].filter(Boolean).join(" ");
  return words ? [h("p", { class: "muted small" }, words), code] : [code];
}
