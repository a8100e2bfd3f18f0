/** The console of a Task: files, editor, output, command line, Runs, put together. */

import htmx from "htmx.org";
import { json, send } from "@/lib/api";
import { isFinal, type RunChange } from "@/lib/changes";
import { need, pageData } from "@/lib/dom";
import { visibly } from "@/lib/format";
import * as keys from "@/lib/keys";
import { complain, toast } from "@/lib/toast";
import { LogIsland, type LogOf } from "@/log/island";
import { CommandLine, type Lane } from "@/console/commandline";
import * as datasets from "@/console/datasets";
import { Documents } from "@/console/documents";
import { Files } from "@/console/files";
import { type ConsoleData, type RunJson, splitPath } from "@/console/model";
import { RunPanel } from "@/console/runpanel";
import * as splitter from "@/console/splitter";
import * as standing from "@/console/standing";
import { WordsError } from "@/console/words";

const data = pageData("console-data") as ConsoleData;
const panes = need<HTMLElement>(document, "#panes");
const runButton = need<HTMLButtonElement>(document, "#run");
const cancelButton = need<HTMLButtonElement>(document, "#cancel");
const panel = new RunPanel(data.api);

let shown: LogOf | null = null;
let submitting = false;

// The output of one Run

const output = new LogIsland(need(document, "#output"), {
  task: data.page,
  state: (event) => {
    if (event.run !== shown?.run) return;
    runPart("#output [data-headline]", "headline");
    showCancel(isFinal(event.state) ? "" : event.cancelling ? "stopping" : "running");
  },
  end: () => {
    showCancel("");
    runPart("#output [data-headline]", "headline");
    runPart("#results", "results");
    void files.refresh(["output", "code"]);
  },
});

/** Each part has its own `source`: htmx keeps one request at a time per source and forgets all but the
    last that waits, so that without it the results push the headline out. */
function runPart(target: string, part: string): void {
  if (!shown) return;
  const source = need(document, target);
  void htmx.ajax("get", `${data.page}runs/${shown.run}/?part=${part}`, { source, target: source, swap: "morph:innerHTML" });
}

// What comes when another Run is shown by now is not of that one.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = event as CustomEvent<{ shouldSwap: boolean; pathInfo: { requestPath: string } }>;
  const of = /\/runs\/([0-9a-z]+)\/\?part=/.exec(detail.pathInfo.requestPath)?.[1];
  if (of && of !== shown?.run) detail.shouldSwap = false;
});

function showCancel(state: "" | "running" | "stopping"): void {
  cancelButton.hidden = !state || !data.mayEdit;
  cancelButton.disabled = state === "stopping";
  need(cancelButton, "span").textContent = state === "stopping" ? "Stopping…" : "Cancel";
}

function showRun(log: LogOf, address: "push" | "keep"): void {
  shown = log;
  if (address === "push") history.pushState({ run: log.run }, "", `${data.page}?run=${log.run}`);
  need(document, "#results").replaceChildren();
  output.show(log);
  if (log.final) runPart("#results", "results");
  markHistory();
}

function markHistory(): void {
  for (const item of document.querySelectorAll<HTMLElement>("#history [data-run]")) {
    if (item.dataset["run"] === shown?.run) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}

async function openRun(id: string, address: "push" | "keep"): Promise<void> {
  try {
    const run = (await json(`/api/v1/runs/${id}`)) as RunJson & { log_size?: number };
    showRun(logOf(run), address);
    runPart("#output [data-headline]", "headline");
    showTab("output");
  } catch (error) {
    complain(error);
  }
}

function logOf(run: RunJson & { log_size?: number }): LogOf {
  return {
    run: run.id,
    number: run.number,
    attempt: run.attempt,
    size: run.log_size ?? 0,
    final: isFinal(run.state),
    page: `/runs/${run.id}/`,
    script: run.script_path,
  };
}

// Running and cancelling

type Asked = { kind: "script"; script_path: string } | { kind: "command"; command: string; lane?: Lane };

/** Fails with a sentence. */
async function submit(what: Asked): Promise<void> {
  panel.complain("");
  try {
    // A command has its words in itself.
    const words = what.kind === "script" ? panel.words : { variables: panel.words.variables };
    // A quick one gets what its lane gives.
    const asked = what.kind === "command" && what.lane === "quick" ? panel.environment : panel.asked;
    // What was deleted a moment ago must not be found by it.
    await files.settle();
    const run = (await send("POST", `${data.api}/runs`, { ...what, ...asked, ...panel.machines, ...words })) as RunJson;
    showRun(logOf(run), "push");
    showTab("output");
  } catch (error) {
    if (error instanceof WordsError) need<HTMLDetailsElement>(document, "#more").open = true;
    panel.complain(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

async function submitScript(script: string): Promise<void> {
  if (submitting) return;
  submitting = true;
  runButton.disabled = true;
  try {
    await submit({ kind: "script", script_path: script });
  } catch (error) {
    complain(error);
  } finally {
    submitting = false;
    runButton.disabled = false;
  }
}

/** The same once more, as it was then, with more memory or through the queue. */
async function runAgain(button: HTMLButtonElement): Promise<void> {
  if (submitting) return;
  submitting = true;
  button.disabled = true;
  try {
    const { memory, lane } = button.dataset;
    const body = { ...(memory ? { memory: Number(memory) } : {}), ...(lane ? { lane } : {}) };
    const run = (await send("POST", `/api/v1/runs/${button.dataset["again"] ?? ""}/again`, body)) as RunJson;
    showRun(logOf(run), "push");
    // The button goes with its headline; the focus stays with what follows from it.
    need<HTMLElement>(document, "#output [data-log]").focus();
  } catch (error) {
    button.disabled = false;
    complain(error);
  } finally {
    submitting = false;
  }
}

async function runScript(): Promise<void> {
  if (!data.mayRun) {
    toast(data.mayEdit ? "This Task is in the archive: nothing runs in it." : "You are a viewer of this Task: you may look, not run.");
    return;
  }
  const script = documents.script ?? data.lastScript;
  if (!script) {
    toast("Open or write an R script in Code first. Then this runs it.");
    return;
  }
  if (documents.script && !(await documents.settle())) return;
  data.lastScript = script;
  nameScript();
  await submitScript(script);
}

function nameScript(): void {
  const name = need<HTMLElement>(runButton, ".filename");
  name.textContent = name.title = visibly(documents.script ?? data.lastScript);
}

runButton.addEventListener("click", () => void runScript());
cancelButton.addEventListener("click", () => {
  if (!shown) return;
  showCancel("stopping");
  send("POST", `/api/v1/runs/${shown.run}/cancel`, {}).catch((error: unknown) => {
    showCancel("running");
    complain(error);
  });
});
need(runButton, "kbd").textContent = keys.label("Mod-Enter");

// Files and the editor

const documents = new Documents(data, {
  shown: (full) => {
    files.select(full);
    nameScript();
  },
  written: (area) => void files.refresh([area]),
  run: () => void runScript(),
});
datasets.attach(need(document, "#task-datasets"), pageData("console-datasets") as datasets.TaskDataset[]);
const files: Files = new Files(
  need(document, "#files"),
  data,
  {
    open: (area, entry) => {
      showTab("code");
      void documents.show(area, entry);
    },
    removed: (full) => { documents.forget(full); },
    moved: (from, to) => { documents.moved(from, to); },
  },
);

/** What R named in the output. */
async function openSource(full: string, line: number, call: string): Promise<void> {
  const wanted = splitPath(full);
  if (!wanted) return;
  const name = wanted.path.split("/").at(-1) ?? wanted.path;
  showTab("code");
  await documents.show(wanted.area, files.has(wanted.area, wanted.path) ?? { name, path: wanted.path, size: 0 });
  if (line) documents.goTo(full, line);
  if (!call) return;
  const lines = documents.goToCall(full, call);
  const words = call.split("\n").at(-1)?.trim() ?? "";
  if (lines?.length === 0) toast(`R names no line here, and ${wanted.path} has no line with “${words}”.`);
  else if (lines && lines.length > 1) toast(`${lines.length} lines have “${words}”; this is the first.`);
}

function openFirst(): void {
  const asked = new URLSearchParams(location.search);
  const wanted = splitPath(asked.get("file") ?? "");
  const line = Number(asked.get("line") ?? 0);
  const call = asked.get("call") ?? "";
  if (wanted && (line > 0 || call)) {
    void openSource(`${wanted.area}/${wanted.path}`, line, call);
    return;
  }
  if (wanted) {
    const name = wanted.path.split("/").at(-1) ?? wanted.path;
    void documents.show(wanted.area, files.has(wanted.area, wanted.path) ?? { name, path: wanted.path, size: wanted.path.includes("/") ? 0 : -1 });
    return;
  }
  const scripts = data.areas.code.filter((entry) => entry.kind === "file" && /\.r$/i.test(entry.name));
  const first = scripts.find((entry) => entry.path === data.lastScript) ?? scripts[0];
  // Nothing to begin with for those who may only look.
  if (!first && !data.mayEdit) return;
  void documents.show("code", first ?? { name: "script.R", path: "script.R", size: -1 });
}

// The name of the Task

const nameInput = need<HTMLInputElement>(document, "#task-name");
nameInput.addEventListener("keydown", (event) => {
  if (event.key === "Escape") nameInput.value = data.name;
  if (event.key === "Enter" || event.key === "Escape") nameInput.blur();
});
nameInput.addEventListener("change", () => {
  if (!data.mayEdit) return;
  send("PATCH", data.api, { name: nameInput.value })
    .then(() => {
      data.name = nameInput.value;
      document.title = `${data.name} · R-Cluster`;
    })
    .catch((error: unknown) => {
      nameInput.value = data.name;
      complain(error);
    });
});

// Tabs of a phone

function showTab(tab: string): void {
  panes.dataset["tab"] = tab;
  for (const button of document.querySelectorAll<HTMLElement>(".console-tabs [data-tab]")) {
    button.setAttribute("aria-selected", String(button.dataset["tab"] === tab));
  }
}

// Wiring

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const tab = event.target.closest<HTMLElement>(".console-tabs [data-tab]");
  if (tab) showTab(tab.dataset["tab"] ?? "output");
  const again = event.target.closest<HTMLButtonElement>("[data-again]");
  if (again) void runAgain(again);
  const item = event.target.closest<HTMLElement>("#history [data-run]");
  if (item && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    void openRun(item.dataset["run"] ?? "", "push");
  }
  const source = event.target.closest<HTMLElement>("#output [data-source]");
  if (source && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    const { source: full = "", line = "0", call = "" } = source.dataset;
    void openSource(full, Number(line), call);
  }
  const file = splitPath(event.target.closest<HTMLElement>("[data-preview]")?.dataset["preview"] ?? "");
  if (file) {
    showTab("code");
    void documents.show(file.area, { name: file.path.split("/").at(-1) ?? "", path: file.path, size: files.has(file.area, file.path)?.size ?? 0 });
  }
});
window.addEventListener("popstate", () => {
  const run = new URLSearchParams(location.search).get("run") ?? data.run?.run;
  if (run && run !== shown?.run) void openRun(run, "keep");
});
document.body.addEventListener("htmx:afterSettle", markHistory);
document.addEventListener("rcluster:run", (event) => {
  const change = (event as CustomEvent<RunChange>).detail;
  // Another Run of this Task may have written files, too.
  if (change.task === data.task && isFinal(change.state) && change.run !== shown?.run) void files.refresh(["output", "code"]);
});

splitter.attach(need(document, "#splitter"), need(document, "#middle"));
standing.watch(data.task, data.api, data.mayEdit);
const commandLine = new CommandLine(need(document, "#commandline"), data.commands, data.newest, (command, lane) =>
  submit({ kind: "command", command, ...(lane ? { lane } : {}) }),
);
function learnCommands(): void {
  commandLine.learnFrom(document.querySelectorAll<HTMLElement>("#history [data-number]"));
}
document.body.addEventListener("htmx:afterSettle", learnCommands);
keys.on("Mod-Enter", "Save and run the script", () => void runScript());
keys.on("Mod-S", "Save the file", () => void documents.save());
keys.list("Escape Tab", "Leave the editor by keyboard");
keys.on("/", "Search the output", () => { output.openSearch(); });
keys.on("$", "Go to the command line", () => { commandLine.focus(); });
keys.list("Shift-Enter", "Command line: one more line");
keys.list("ArrowUp", "Command line: what was run before");
keys.list("Ctrl-R", "Command line: search what was run before");
openFirst();
if (data.run) showRun(data.run, "keep");
