/** The frames of /ws/runs/<run>/ (jobs/events.py; tests/fixtures/events.json has one of each). */

import { isRecord } from "@/lib/api";

export interface StateEvent {
  type: "state";
  run: string;
  task: string;
  number: number;
  attempt: number;
  state: string;
  reason: string;
  explanation: string;
  cancelling: boolean;
  log_dropped: number;
}
export interface ResetEvent {
  type: "reset";
  attempt: number;
  offset: number;
}
export interface EndEvent {
  type: "end";
  attempt: number;
  size: number;
  state: string;
}
/** We were too slow for this log; bytes go on at `offset`. */
export interface SkipEvent {
  type: "skip";
  attempt: number;
  offset: number;
}
/** Whether the log can be read at the moment. */
export interface StorageEvent {
  type: "storage";
  answers: boolean;
}
export type LogEvent = StateEvent | ResetEvent | SkipEvent | EndEvent | StorageEvent;

const HEADER = 8;

/** Log bytes and where in the log they lie. */
export function bytesOf(frame: ArrayBuffer): { offset: number; data: Uint8Array } {
  const offset = Number(new DataView(frame).getBigUint64(0));
  return { offset, data: new Uint8Array(frame, HEADER) };
}

/** null: a kind of event that this page does not know (a newer portal), which is no harm. */
export function eventOf(frame: string): LogEvent | null {
  const event: unknown = JSON.parse(frame);
  if (!isRecord(event)) return null;
  const attempt = Number(event["attempt"] ?? 0);
  const text = (name: string): string => (typeof event[name] === "string" ? event[name] : "");
  switch (event["type"]) {
    case "state":
      return {
        type: "state",
        run: text("run"),
        task: text("task"),
        number: Number(event["number"] ?? 0),
        attempt,
        state: text("state"),
        reason: text("reason"),
        explanation: text("explanation"),
        cancelling: event["cancelling"] === true,
        log_dropped: Number(event["log_dropped"] ?? 0),
      };
    case "reset":
      return { type: "reset", attempt, offset: Number(event["offset"] ?? 0) };
    case "skip":
      return { type: "skip", attempt, offset: Number(event["offset"] ?? 0) };
    case "storage":
      return { type: "storage", answers: event["answers"] === true };
    case "end":
      return { type: "end", attempt, size: Number(event["size"] ?? 0), state: text("state") };
    default:
      return null;
  }
}
