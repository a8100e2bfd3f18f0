/** Names and paths of files: joined, sorted, made free. Pure. */

import type { Entry } from "@/console/model";

export const ORDERS = { name: "By name", newest: "Newest first", largest: "Largest first" } as const;
export type Order = keyof typeof ORDERS;

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Folders first; "plot2" before "plot10". */
export function sorted(entries: readonly Entry[], order: Order): Entry[] {
  const by: Record<Order, (a: Entry, b: Entry) => number> = {
    name: () => 0,
    newest: (a, b) => Date.parse(b.modified_at) - Date.parse(a.modified_at),
    largest: (a, b) => b.size - a.size,
  };
  return [...entries].sort(
    (a, b) => Number(b.kind === "folder") - Number(a.kind === "folder") || by[order](a, b) || collator.compare(a.name, b.name),
  );
}

/** "a/b" -> "a"; "a" -> "" */
export function above(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** "a/b" -> "b" */
export function last(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function join(...parts: string[]): string {
  return parts.filter(Boolean).join("/");
}

/** Whether `path` is `folder` itself or lies in it. */
export function within(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** "plot.png" -> "plot (2).png", with the first number that is free. */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  const dot = name.lastIndexOf(".");
  const [stem, suffix] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const base = stem.replace(/ \(\d+\)$/, "");
  for (let number = 2; ; number += 1) {
    const free = `${base} (${number})${suffix}`;
    if (!taken.has(free)) return free;
  }
}
