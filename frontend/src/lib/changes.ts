/** What is told of a Run that changed, and whom it concerns. */

export interface RunChange {
  run: string;
  task: string;
  state: string;
}

const FINAL = new Set(["succeeded", "failed", "cancelled"]);

export function isFinal(state: string): boolean {
  return FINAL.has(state);
}

/** Does a part that asked for `wanted` care about this change? */
export function concerns(wanted: string, change: RunChange): boolean {
  const [kind, id] = wanted.split(":", 2);
  if (kind === "*") return true;
  if (kind === "task") return id === change.task;
  if (kind === "run") return id === change.run;
  return kind === "end" && id === change.run && isFinal(change.state);
}
