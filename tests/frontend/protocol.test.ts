/** The frames as Python writes them: tests/fixtures/events.json is read by both sides. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { bytesOf, eventOf } from "@/log/protocol";

interface Examples {
  state: Record<string, unknown>;
  reset: Record<string, unknown>;
  end: Record<string, unknown>;
  skip: Record<string, unknown>;
  storage: Record<string, unknown>;
  bytes: { offset: number; text: string; frame: string };
}

const path = resolve(import.meta.dirname, "../fixtures/events.json");
const examples = JSON.parse(readFileSync(path, "utf8")) as Examples;

describe("frames of the Run socket", () => {
  it("reads each kind of event as Python writes it", () => {
    for (const name of ["state", "reset", "skip", "end", "storage"] as const) {
      const event = eventOf(JSON.stringify(examples[name]));
      expect(event).not.toBeNull();
      // Every field that the page reads is there under that name.
      expect(examples[name]).toMatchObject({ ...event });
    }
  });

  it("takes the offset off the log bytes", () => {
    const frame = Uint8Array.from(Buffer.from(examples.bytes.frame, "hex"));
    const { offset, data } = bytesOf(frame.buffer);
    expect(offset).toBe(examples.bytes.offset);
    expect(new TextDecoder().decode(data)).toBe(examples.bytes.text);
  });
});
