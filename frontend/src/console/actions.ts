/** The bar below the trees: what can be done with the selection, by mouse, finger and keyboard. */

import { h, icon } from "@/lib/dom";
import { visibly } from "@/lib/format";
import type { Area, Entry } from "@/console/model";

export interface ActionHooks {
  rename: (area: Area, entry: Entry) => void;
  move: (area: Area, entries: Entry[]) => void;
  download: (area: Area, entries: Entry[]) => void;
  remove: (area: Area, entries: Entry[]) => void;
  upload: (area: Area, folder: string) => void;
  newFolder: (area: Area, folder: string) => void;
  clear: () => void;
}

export class ActionBar {
  readonly element: HTMLElement;
  private readonly what = h("span", { class: "grow truncate", dir: "auto", "aria-live": "polite" });
  private readonly buttons: Record<"upload" | "folder" | "rename" | "move" | "download" | "trash", HTMLButtonElement>;
  private area: Area = "code";
  private entries: Entry[] = [];

  constructor(
    hooks: ActionHooks,
    private readonly mayEdit: boolean,
  ) {
    const first = (): Entry | undefined => this.entries[0];
    const into = (act: (area: Area, folder: string) => void) => (): void => {
      const entry = first();
      if (entry) act(this.area, entry.path);
    };
    this.buttons = {
      upload: button("upload", "Upload into this folder", into(hooks.upload)),
      folder: button("new-folder", "New folder in this folder", into(hooks.newFolder)),
      rename: button("rename", "Rename (F2)", () => {
        const entry = first();
        if (entry) hooks.rename(this.area, entry);
      }),
      move: button("move", "Move to another folder", () => { hooks.move(this.area, this.entries); }),
      download: button("download", "Download", () => { hooks.download(this.area, this.entries); }),
      trash: button("trash", "Delete (Del)", () => { hooks.remove(this.area, this.entries); }),
    };
    this.element = h(
      "div",
      { class: "selection-bar", role: "toolbar", "aria-label": "What is selected", hidden: true },
      this.what,
      ...Object.values(this.buttons),
      button("close", "Select nothing", hooks.clear),
    );
  }

  show(area: Area, entries: Entry[]): void {
    this.area = area;
    this.entries = entries;
    const [first] = entries;
    const one = entries.length === 1 ? first : undefined;
    const odd = entries.some((entry) => entry.kind === "other");
    this.element.hidden = !first;
    this.what.textContent = one ? visibly(one.name) : `${entries.length} selected`;
    this.what.title = one ? visibly(one.name) : "";
    const { upload, folder, rename, move, download, trash } = this.buttons;
    upload.hidden = folder.hidden = !this.mayEdit || one?.kind !== "folder";
    rename.hidden = !this.mayEdit || !one || odd;
    move.hidden = !this.mayEdit || odd;
    download.hidden = odd;
    trash.hidden = !this.mayEdit;
    const zip = !one || one.kind === "folder" ? " as a zip" : "";
    download.title = `Download${zip}`;
    download.setAttribute("aria-label", `Download${zip}`);
  }
}

function button(picture: string, label: string, act: () => void): HTMLButtonElement {
  return h("button", { class: "button quiet small icon-only", type: "button", title: label, "aria-label": label, onclick: act }, icon(picture));
}
