/** Deleting with an undo: nothing is asked, and for a while all of it can be had back. */

import { ApiError, onlyAsSeen, portalTime, request } from "@/lib/api";
import { visibly } from "@/lib/format";
import { complain, toast } from "@/lib/toast";
import { type Area, type Entry, fileUrl } from "@/console/model";
import { within } from "@/console/names";

const UNDO = 8000;

interface Batch {
  fulls: string[];
  finish: () => Promise<void>;
}

export class Leaving {
  private readonly batches = new Set<Batch>();

  constructor(
    private readonly api: string,
    private readonly redraw: (area: Area) => void,
    private readonly removed: (area: Area, full: string) => void,
    private readonly refresh: (area: Area) => Promise<void>,
  ) {
    addEventListener("pagehide", () => void this.settle());
  }

  /** Gone, as far as the person is concerned. */
  has(full: string): boolean {
    return [...this.batches].some((batch) => batch.fulls.includes(full));
  }

  /** Delete now what is still waiting: before a script runs, say, that would still find it. */
  async settle(): Promise<void> {
    await Promise.all([...this.batches].map((batch) => batch.finish()));
  }

  remove(area: Area, chosen: Entry[]): void {
    // What lies in a folder that goes, too, goes with it.
    const entries = chosen.filter((entry) => !chosen.some((each) => each !== entry && within(entry.path, each.path)));
    const at = portalTime();
    const batch: Batch = {
      fulls: entries.map((entry) => `${area}/${entry.path}`),
      finish: async () => {
        window.clearTimeout(timer);
        if (!this.batches.has(batch)) return;
        taken();
        await Promise.all(entries.map((entry) => this.erase(area, entry, at)));
        this.batches.delete(batch);
        await this.refresh(area);
      },
    };
    const timer = window.setTimeout(() => void batch.finish(), UNDO);
    this.batches.add(batch);
    const [first] = entries;
    const what = entries.length === 1 && first ? visibly(first.name) : `${entries.length} items`;
    const taken = toast(`Deleted ${what}.`, {
      lasts: UNDO,
      action: {
        label: "Undo",
        run: () => {
          window.clearTimeout(timer);
          this.batches.delete(batch);
          this.redraw(area);
        },
      },
    });
    this.redraw(area);
  }

  /** Only what the person saw: others may have written there before the undo ran out. */
  private async erase(area: Area, entry: Entry, at: Date): Promise<void> {
    try {
      // keepalive: it is sent even when the page is just being left.
      await request(fileUrl(this.api, area, entry.path), { method: "DELETE", keepalive: true, headers: onlyAsSeen(entry, at) });
      this.removed(area, `${area}/${entry.path}`);
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) toast(`${entry.name} was changed meanwhile: it is kept.`, { bad: true });
      else if (!(error instanceof ApiError && error.status === 404)) complain(error);
    }
  }
}
