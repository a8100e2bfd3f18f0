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
  url: string;
}

export interface ConsoleData {
  task: string;
  name: string;
  /** /api/v1/tasks/<task> */
  api: string;
  page: string;
  areas: Record<Area, Entry[]>;
  run: LogOf | null;
  lastScript: string;
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

export type Kind = "code" | "image" | "table" | "text" | "binary";

export function kindOf(name: string): Kind {
  const extension = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  if (["r", "rmd", "qmd", "sh", "bash", "py", "rprofile"].includes(extension)) return "code";
  if (["png", "jpg", "jpeg", "gif", "webp"].includes(extension)) return "image";
  if (["csv", "tsv"].includes(extension)) return "table";
  if (["txt", "md", "log", "json", "yaml", "yml", "xml", "html", "svg", "toml", "ini", "cfg", "tex", "sql", "stan", ""].includes(extension)) return "text";
  return "binary";
}
