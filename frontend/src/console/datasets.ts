/** The Datasets of the Task as read-only folders: looked into, never changed here. */

import { ApiError, json } from "@/lib/api";
import { h, icon, need } from "@/lib/dom";
import { bytes, count, visibly } from "@/lib/format";
import { complain } from "@/lib/toast";
import { type Entry, entriesOf } from "@/console/model";
import { sorted } from "@/console/names";
import { addressOf } from "@/dataset/files";

const SHOWN = 500;

export interface TaskDataset {
  name: string;
  /** /api/v1/datasets/<id> */
  api: string;
  page: string;
  /** why this person can't look into it, in a sentence; "": they can */
  closed: string;
}

export function attach(root: HTMLElement, datasets: TaskDataset[]): void {
  if (!datasets.length) return;
  need(root, ".tree").replaceChildren(...datasets.map((each) => top(each)));
}

function top(dataset: TaskDataset): HTMLElement {
  const tools = dataset.closed
    ? null
    : h("a", { class: "button quiet small icon-only", href: dataset.page, title: `Open ${dataset.name}`, "aria-label": `Open ${dataset.name}` }, icon("open"));
  return folder(dataset.name, 0, dataset.closed, tools, () => load(dataset, ""));
}

async function load(dataset: TaskDataset, path: string): Promise<HTMLElement[]> {
  const depth = path ? path.split("/").length + 1 : 1;
  const entries = sorted(entriesOf(await json(`${addressOf(dataset.api, path)}${path ? "/" : ""}`)), "name");
  const rows = entries.slice(0, SHOWN).map((entry) => item(dataset, entry, depth));
  if (!rows.length) rows.push(h("li", { class: "none" }, "This folder is empty."));
  if (entries.length > SHOWN) rows.push(h("li", { class: "none" }, `${count(entries.length - SHOWN)} more are not shown here.`));
  return rows;
}

function item(dataset: TaskDataset, entry: Entry, depth: number): HTMLElement {
  if (entry.kind === "folder") return folder(entry.name, depth, "", null, () => load(dataset, entry.path));
  const label = [icon(entry.kind === "file" ? "file" : "warn"), h("bdi", { class: "label" }, visibly(entry.name))];
  const row =
    entry.kind === "file"
      ? h("a", { class: "open", href: `${entry.url}?inline=1`, target: "_blank", rel: "noopener", title: visibly(`/data/${dataset.name}/${entry.path}`) }, ...label)
      : h("span", { class: "open muted", title: "A link or a special file: it is not shown." }, ...label);
  return h("li", {}, h("div", { class: "row", style: `--depth:${depth}` }, row, entry.kind === "file" && h("span", { class: "size" }, bytes(entry.size))));
}

/** One that is opened asks for what it holds, each time anew. */
function folder(name: string, depth: number, closed: string, tools: HTMLElement | null, rows: () => Promise<HTMLElement[]>): HTMLElement {
  const button = h(
    "button",
    { class: "open", type: "button", title: closed || visibly(name), disabled: !!closed, "aria-expanded": "false", onclick: () => void toggle() },
    icon("folder"),
    h("bdi", { class: "label" }, visibly(name)),
  );
  const line = h("li", {}, h("div", { class: "row", style: `--depth:${depth}` }, button, tools && h("span", { class: "tools" }, tools)));
  if (closed) line.append(h("p", { class: "none" }, closed));
  async function toggle(): Promise<void> {
    const below = line.querySelector(":scope > ul");
    const opens = !below;
    below?.remove();
    button.setAttribute("aria-expanded", String(opens));
    need(button, ".icon").replaceWith(icon(opens ? "folder-open" : "folder"));
    if (!opens) return;
    const list = h("ul", { class: "tree" });
    line.append(list);
    try {
      list.replaceChildren(...(await rows()));
    } catch (error) {
      complain(error instanceof ApiError && error.status === 404 ? new ApiError(`${name} is not there any more.`, 404) : error);
    }
  }
  return line;
}
