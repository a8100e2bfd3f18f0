/** Colours of text by its file's name. */

import { type StreamParser, StreamLanguage } from "@codemirror/language";
import { c, cpp, java } from "@codemirror/legacy-modes/mode/clike";
import { css } from "@codemirror/legacy-modes/mode/css";
import { javascript, json } from "@codemirror/legacy-modes/mode/javascript";
import { julia } from "@codemirror/legacy-modes/mode/julia";
import { properties } from "@codemirror/legacy-modes/mode/properties";
import { python } from "@codemirror/legacy-modes/mode/python";
import { r } from "@codemirror/legacy-modes/mode/r";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { standardSQL } from "@codemirror/legacy-modes/mode/sql";
import { stex } from "@codemirror/legacy-modes/mode/stex";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { html, xml } from "@codemirror/legacy-modes/mode/xml";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";
import type { Extension } from "@codemirror/state";

const R = { ...r, languageData: { ...r.languageData, closeBrackets: { brackets: ["(", "[", "{", '"', "'", "`"] } } };

const BY_EXTENSION: Record<string, StreamParser<never>> = Object.fromEntries(([
  [R, "r rprofile stan"],
  [shell, "sh bash"],
  [python, "py"],
  [javascript, "js mjs"],
  [json, "json geojson"],
  [yaml, "yaml yml"],
  [toml, "toml"],
  [xml, "xml svg"],
  [html, "html htm"],
  [css, "css"],
  [standardSQL, "sql"],
  [stex, "tex rnw bib"],
  [julia, "jl"],
  [c, "c h"],
  [cpp, "cpp hpp"],
  [java, "java"],
  [properties, "ini cfg properties"],
] as [StreamParser<never>, string][]).flatMap(([parser, names]) => names.split(" ").map((name) => [name, parser])));

export function language(path: string): Extension {
  const extension = path.slice(path.lastIndexOf("/") + 1).toLowerCase().split(".").at(-1) ?? "";
  const parser = BY_EXTENSION[extension];
  return parser ? StreamLanguage.define(parser) : [];
}
