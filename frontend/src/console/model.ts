/** What the console gets from the server (jobs/views/tasks.py) and from the API. */

import { isRecord } from "@/lib/api";
import type { LogOf } from "@/log/island";

export const AREAS = ["code", "input", "output"] as const;
export type Area = (typeof AREAS)[number];

export interface Entry {
  name: string;
  path: string;
  kind: "file" | "folder" | "other";
  size: number;
  modified_at: string;
  /** of a file */
  etag?: string | null;
  url: string;
}

export interface ConsoleData {
  task: string;
  name: string;
  /** /api/v1/tasks/<task> */
  api: string;
  page: string;
  /** false: a viewer, who may look and not change */
  mayEdit: boolean;
  /** also false in the archive */
  mayRun: boolean;
  areas: Record<Area, Entry[]>;
  run: LogOf | null;
  lastScript: string;
  /** of this Task, each once, oldest first */
  commands: string[];
  /** number of the newest Run when the page was made; 0: there is none */
  newest: number;
}

export interface RunJson {
  id: string;
  number: number;
  attempt: number;
  state: string;
  script_path: string;
}

export function entriesOf(answer: unknown): Entry[] {
  return isRecord(answer) && Array.isArray(answer["entries"]) ? (answer["entries"] as Entry[]) : [];
}

/** Address of a file's content. */
export function fileUrl(api: string, area: Area, path: string): string {
  const parts = path ? path.split("/").map(encodeURIComponent) : [];
  return [api, "files", area, ...parts].join("/");
}

/** "code/model.R" -> its area and path there. */
export function splitPath(full: string): { area: Area; path: string } | null {
  const [head, ...rest] = full.split("/");
  const area = AREAS.find((each) => each === head);
  return area && rest.length ? { area, path: rest.join("/") } : null;
}

export type Kind = "code" | "image" | "table" | "text" | "pdf" | "binary";

export function kindOf(name: string): Kind {
  const extension = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  if (["r", "rmd", "qmd", "rnw", "sh", "bash", "py", "js", "mjs", "jl", "rprofile"].includes(extension)) return "code";
  if (["png", "jpg", "jpeg", "gif", "webp", "svg"].includes(extension)) return "image";
  if (extension === "pdf") return "pdf";
  if (["csv", "tsv"].includes(extension)) return "table";
  if (["txt", "md", "log", "json", "yaml", "yml", "xml", "html", "htm", "css", "toml", "ini", "cfg", "tex", "sql", "stan", "bib", "out", "err", "do", "m", "f90", "f", "c", "cpp", "h", "hpp", "java", "properties", "dockerfile", "gitignore", ""].includes(extension)) return "text";
  return "binary";
}
