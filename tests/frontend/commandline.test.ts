import { CommandLine } from "@/console/commandline";
import { h, need } from "@/lib/dom";

describe("the command line", () => {
  const ran = vi.fn<(command: string, lane: string | null) => Promise<void>>(() => Promise.resolve());
  let line: CommandLine;
  const input = (): HTMLTextAreaElement => need(document, "#command");
  const rows = (): number => Number(input().getAttribute("rows"));
  /** false: the command line did something with it */
  const press = (key: string, more: KeyboardEventInit = {}): boolean => input().dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true, ...more }));
  const enter = (): void => { need(document, "form").dispatchEvent(new Event("submit", { cancelable: true })); };
  const type = (text: string): void => {
    input().value = text;
    input().dispatchEvent(new Event("input"));
  };
  const toasts = (): string[] => [...document.querySelectorAll(".toast")].map((each) => each.textContent);
  const options = (): string[] => [...document.querySelectorAll("#recall-list li")].map((each) => each.textContent);

  beforeEach(() => {
    document.body.replaceChildren(
      h(
        "form",
        { id: "commandline" },
        h("div", { id: "recall", hidden: true }, h("ul", { id: "recall-list" }), h("p", { id: "recall-none", hidden: true })),
        h("textarea", { id: "command", rows: 1 }),
        h("button", { type: "button", id: "recall-open" }),
        h("input", { type: "radio", name: "lane", value: "quick", checked: true }),
        h("input", { type: "radio", name: "lane", value: "queue" }),
      ),
      h("div", { id: "toasts" }),
    );
    ran.mockReset();
    line = new CommandLine(need(document, "form"), ["ls /input", "pwd"], 7, ran);
  });

  it("runs in the lane that is chosen, and has the line again if it was refused", async () => {
    type(" ls ");
    enter();
    await vi.waitFor(() => { expect(ran).toHaveBeenCalledWith("ls", "quick"); });
    expect(input().value).toBe("");
    need<HTMLInputElement>(document, '[value="queue"]').click();
    ran.mockRejectedValueOnce(new Error("No room."));
    type("make all");
    enter();
    await vi.waitFor(() => { expect(ran).toHaveBeenLastCalledWith("make all", "queue"); });
    await vi.waitFor(() => { expect(input().value).toBe("make all"); });
    // Marked, so that who types on at this moment does not make one command of two.
    expect([input().selectionStart, input().selectionEnd]).toEqual([0, 8]);
    expect(toasts()).toEqual(["No room."]);
    enter();
    type("  ");
    enter();
    await vi.waitFor(() => { expect(ran).toHaveBeenCalledTimes(3); });
  });
  it("sends what is typed ahead in order, each by itself, and none is put into another", async () => {
    const answers: ((refused?: Error) => void)[] = [];
    ran.mockImplementation(() => new Promise((done, fail) => { answers.push((refused) => { if (refused) fail(refused); else done(); }); }));
    type("echo one");
    press("Enter");
    type("echo two");
    press("Enter");
    type("ec");
    await vi.waitFor(() => { expect(answers).toHaveLength(1); });
    expect(ran.mock.calls).toEqual([["echo one", "quick"]]);
    answers[0]?.(new Error("No room."));
    await vi.waitFor(() => { expect(answers).toHaveLength(2); });
    expect(ran).toHaveBeenLastCalledWith("echo two", "quick");
    expect(input().value).toBe("ec");
    expect(toasts()).toEqual(["No room. Not run, and among the earlier commands:echo one"]);
    answers[1]?.();
    press("ArrowUp");
    press("ArrowUp");
    expect(input().value).toBe("echo one");
  });
  it("takes several lines, grows with them, and runs them as they are", async () => {
    type("rm /output/old.csv\nls /output/keep");
    expect(rows()).toBe(2);
    press("Enter", { shiftKey: true });
    press("Enter", { isComposing: true });
    await Promise.resolve();
    expect(ran).not.toHaveBeenCalled();
    press("Enter");
    await vi.waitFor(() => { expect(ran).toHaveBeenCalledWith("rm /output/old.csv\nls /output/keep", "quick"); });
    expect([input().value, rows()]).toEqual(["", 1]);
    type("1\n2\n3\n4\n5\n6\n7\n8");
    expect(rows()).toBe(6);
  });
  it("moves between the lines of a command, and through the earlier ones from its first and last", async () => {
    type("one\ntwo\nthree");
    press("Enter");
    await vi.waitFor(() => { expect(ran).toHaveBeenCalled(); });
    expect(press("ArrowUp")).toBe(false);
    expect([input().value, rows()]).toEqual(["one\ntwo\nthree", 3]);
    // At its end: up goes to the line above, which is the browser's to do.
    expect(press("ArrowUp")).toBe(true);
    input().setSelectionRange(5, 5);
    expect(press("ArrowUp")).toBe(true);
    expect(press("ArrowDown")).toBe(true);
    expect(input().value).toBe("one\ntwo\nthree");
    input().setSelectionRange(2, 2);
    expect(press("ArrowUp", { shiftKey: true })).toBe(true);
    press("ArrowUp");
    expect([input().value, rows()]).toEqual(["pwd", 1]);
    press("ArrowDown");
    expect(input().value).toBe("one\ntwo\nthree");
    press("ArrowDown");
    expect(input().value).toBe("");
    press("r", { ctrlKey: true });
    expect(options()[0]).toBe("one\ntwo\nthree");
  });
  it("searches with Ctrl-R, filters while one types, takes with Enter and runs with the next", async () => {
    press("r", { ctrlKey: true });
    expect(options()).toEqual(["pwd", "ls /input"]);
    type("inp");
    expect(options()).toEqual(["ls /input"]);
    enter();
    expect(input().value).toBe("ls /input");
    expect(ran).not.toHaveBeenCalled();
    enter();
    await vi.waitFor(() => { expect(ran).toHaveBeenCalledWith("ls /input", "quick"); });
  });
  it("says that nothing was found, and Escape leaves what was typed", () => {
    press("r", { ctrlKey: true });
    type("zzz");
    expect(document.querySelector("#recall-none")?.textContent).toBe("No command of this Task has “zzz”.");
    press("Escape");
    expect(need<HTMLElement>(document, "#recall").hidden).toBe(true);
    expect(input().value).toBe("zzz");
  });
  it("learns from newer Runs only, each once", () => {
    const item = (number: string, command?: string): HTMLElement => {
      const made = document.createElement("a");
      made.dataset["number"] = number;
      if (command !== undefined) made.dataset["command"] = command;
      return made;
    };
    const items = [item("9", "newest"), item("8"), item("7", "known"), item("2", "old")];
    line.learnFrom(items);
    line.learnFrom(items);
    press("ArrowUp");
    expect(input().value).toBe("newest");
    press("ArrowUp");
    expect(input().value).toBe("pwd");
  });
});
