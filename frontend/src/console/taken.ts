/** Names that are taken where something shall go: asked about once, or once for all. */

import { ApiError, json } from "@/lib/api";
import { askAboutTaken, type Choice } from "@/console/dialogs";
import { type Area, entriesOf, type Entry, fileUrl } from "@/console/model";
import { above, freeName, join, last } from "@/console/names";

export interface Placed<T> {
  what: T;
  path: string;
  replace: boolean;
}

/** What lies in folders of an area, asked of the server once each. */
export class Places {
  private readonly known = new Map<string, Promise<Map<string, Entry["kind"]>>>();

  constructor(
    private readonly api: string,
    private readonly area: Area,
  ) {}

  names(folder: string): Promise<Map<string, Entry["kind"]>> {
    let names = this.known.get(folder);
    if (!names) {
      names = this.ask(folder);
      this.known.set(folder, names);
    }
    return names;
  }

  private async ask(folder: string): Promise<Map<string, Entry["kind"]>> {
    // In a folder that isn't there nothing is taken.
    if (folder && (await this.names(above(folder))).get(last(folder)) !== "folder") return new Map();
    try {
      const entries = entriesOf(await json(folder ? `${fileUrl(this.api, this.area, folder)}/` : fileUrl(this.api, this.area, "")));
      return new Map(entries.map((entry) => [entry.name, entry.kind]));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return new Map();
      throw error;
    }
  }
}

/** Where each may go; those that the person skips are left out. `isFile`: it may replace a file. */
export async function placed<T>(
  wanted: { what: T; path: string }[], places: Places, area: Area, isFile: (what: T) => boolean,
): Promise<Placed<T>[]> {
  const found: (Placed<T> & { there: Entry["kind"] | undefined })[] = [];
  for (const { what, path } of wanted) {
    const there = (await places.names(above(path))).get(last(path));
    found.push({ what, path, replace: false, there });
  }
  const kept: Placed<T>[] = [];
  let left = found.filter((each) => each.there).length;
  const forAll = new Map<boolean, Choice>();
  for (const { what, path, there } of found) {
    if (!there) {
      kept.push({ what, path, replace: false });
      continue;
    }
    left -= 1;
    const canReplace = there === "file" && isFile(what);
    let choice = forAll.get(canReplace);
    if (!choice) {
      const answer = await askAboutTaken(last(path), join(area, above(path)), left, canReplace);
      choice = answer.choice;
      if (answer.forAll) {
        forAll.set(canReplace, choice);
        // What can't be replaced is not lost by it: it goes beside.
        if (!forAll.has(!canReplace)) forAll.set(!canReplace, choice === "replace" ? "both" : choice);
      }
    }
    if (choice === "replace") kept.push({ what, path, replace: true });
    if (choice === "both") kept.push({ what, path: join(above(path), await free(path, places)), replace: false });
  }
  return kept;
}

async function free(path: string, places: Places): Promise<string> {
  const names = await places.names(above(path));
  const name = freeName(last(path), new Set(names.keys()));
  names.set(name, "file");
  return name;
}
