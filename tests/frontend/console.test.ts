import { CommandLine } from "@/console/commandline";
import { CommandHistory } from "@/console/history";
import { fileUrl, kindOf, splitPath } from "@/console/model";
import { parseTable, separatorOf } from "@/console/preview";
import { h, need } from "@/lib/dom";
import { parseVariables, splitWords, WordsError } from "@/console/words";

describe("arguments", () => {
  it.each([
    ["", []],
    ["  a  b ", ["a", "b"]],
    [`--name "two words" 'it is'`, ["--name", "two words", "it is"]],
    [`a\\ b "say \\"hi\\"" ''`, ["a b", 'say "hi"', ""]],
    [`x="a b"c`, ["x=a bc"]],
  ])("splits %j like a shell", (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it("says what an open quotation lacks", () => {
    expect(() => splitWords('a "b')).toThrow(WordsError);
  });
});

describe("variables", () => {
  it("takes NAME=value lines", () => {
    expect(parseVariables("A=1\n\n B = two words \nC=x=y\nD=")).toEqual({ A: "1", B: "two words", C: "x=y", D: "" });
  });
  it("says which line is none", () => {
    expect(() => parseVariables("A=1\nnonsense")).toThrow("nonsense");
    expect(() => parseVariables("=1")).toThrow(WordsError);
  });
});

describe("files", () => {
  it("puts every name into an address", () => {
    expect(fileUrl("/api/v1/tasks/t", "input", "a b/ü#?.csv")).toBe("/api/v1/tasks/t/files/input/a%20b/%C3%BC%23%3F.csv");
  });
  it("splits a path into area and rest", () => {
    expect(splitPath("code/sub/x.R")).toEqual({ area: "code", path: "sub/x.R" });
    expect(splitPath("etc/passwd")).toBeNull();
    expect(splitPath("code")).toBeNull();
  });
  it("knows kinds by name", () => {
    expect([kindOf("a.R"), kindOf("p.PNG"), kindOf("d.csv"), kindOf("Makefile"), kindOf("m.rds")]).toEqual(["code", "image", "table", "text", "binary"]);
  });
});

describe("tables", () => {
  it("understands quotes, commas in them, and line ends of Windows", () => {
    expect(parseTable('a,b\r\n"x, y","say ""hi"""\r\n1,2', ",", false)).toEqual([["a", "b"], ["x, y", 'say "hi"'], ["1", "2"]]);
  });
  it("leaves out a last row that is cut off", () => {
    expect(parseTable("a,b\n1,2\n3,", ",", true)).toEqual([["a", "b"], ["1", "2"]]);
  });
  it("finds the separator", () => {
    expect(separatorOf("x.csv", "a;b;c\n1,5;2;3")).toBe(";");
    expect(separatorOf("x.csv", "a,b\n")).toBe(",");
    expect(separatorOf("x.tsv", "a\tb\n")).toBe("\t");
  });
});

describe("history of the command line", () => {
  it("goes back and forth and keeps what was begun", () => {
    const history = new CommandHistory(["ls", "pwd"]);
    expect(history.step(-1, "wg")).toBe("pwd");
    expect(history.step(-1, "")).toBe("ls");
    expect(history.step(-1, "")).toBeNull();
    expect(history.step(1, "")).toBe("pwd");
    expect(history.step(1, "")).toBe("wg");
    expect(history.step(1, "")).toBeNull();
  });
  it("has each line once, where it was run last", () => {
    const history = new CommandHistory(["ls", "pwd", "ls"]);
    history.add("pwd");
    history.add("df");
    expect(["df", "pwd", "ls", null].map(() => history.step(-1, ""))).toEqual(["df", "pwd", "ls", null]);
  });
  it("learns what is run elsewhere without moving whoever steps through it", () => {
    const history = new CommandHistory(["a", "b", "c"]);
    expect(history.step(-1, "draft")).toBe("c");
    expect(history.step(-1, "")).toBe("b");
    history.learn("d");
    history.learn("a");
    history.learn("b");
    expect(history.step(1, "")).toBe("c");
    expect(history.step(1, "")).toBe("d");
    expect(history.step(1, "")).toBe("a");
    expect(history.step(1, "")).toBe("draft");
    history.learn("e");
    expect(history.step(-1, "")).toBe("e");
  });
  it("finds words in any order and case, the newest first", () => {
    const history = new CommandHistory(["wget https://x.org/A.csv", "ls /input", "wc -l /input/a.csv"]);
    expect(history.search("CSV a", 9)).toEqual(["wc -l /input/a.csv", "wget https://x.org/A.csv"]);
    expect(history.search("csv wget", 9)).toEqual(["wget https://x.org/A.csv"]);
    expect(history.search("", 2)).toEqual(["wc -l /input/a.csv", "ls /input"]);
    expect(history.search("rm", 9)).toEqual([]);
  });
  it("forgets the oldest of very many", () => {
    const history = new CommandHistory(Array.from({ length: 600 }, (_, at) => `echo ${at}`));
    expect(history.search("", 1000)).toHaveLength(500);
    expect(history.step(-1, "")).toBe("echo 599");
  });
});

describe("the command line", () => {
  const ran = vi.fn<(command: string, lane: string | null) => Promise<boolean>>(() => Promise.resolve(true));
  let line: CommandLine;
  const input = (): HTMLInputElement => need(document, "#command");
  const press = (key: string, more: KeyboardEventInit = {}): void => { input().dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true, ...more })); };
  const enter = (): void => { need(document, "form").dispatchEvent(new Event("submit", { cancelable: true })); };
  const type = (text: string): void => {
    input().value = text;
    input().dispatchEvent(new Event("input"));
  };
  const options = (): string[] => [...document.querySelectorAll("#recall-list li")].map((each) => each.textContent);

  beforeEach(() => {
    document.body.replaceChildren(
      h(
        "form",
        { id: "commandline" },
        h("div", { id: "recall", hidden: true }, h("ul", { id: "recall-list" }), h("p", { id: "recall-none", hidden: true })),
        h("input", { id: "command" }),
        h("button", { type: "button", id: "recall-open" }),
        h("input", { type: "radio", name: "lane", value: "quick", checked: true }),
        h("input", { type: "radio", name: "lane", value: "queue" }),
      ),
    );
    ran.mockClear();
    line = new CommandLine(need(document, "form"), ["ls /input", "pwd"], 7, ran);
  });

  it("runs in the lane that is chosen, and has the line again if it was refused", async () => {
    type(" ls ");
    enter();
    expect(ran).toHaveBeenCalledWith("ls", "quick");
    expect(input().value).toBe("");
    need<HTMLInputElement>(document, '[value="queue"]').click();
    ran.mockResolvedValueOnce(false);
    type("make all");
    enter();
    expect(ran).toHaveBeenLastCalledWith("make all", "queue");
    await vi.waitFor(() => { expect(input().value).toBe("make all"); });
    enter();
    type("  ");
    enter();
    expect(ran).toHaveBeenCalledTimes(3);
  });
  it("searches with Ctrl-R, filters while one types, takes with Enter and runs with the next", () => {
    press("r", { ctrlKey: true });
    expect(options()).toEqual(["pwd", "ls /input"]);
    type("inp");
    expect(options()).toEqual(["ls /input"]);
    enter();
    expect(input().value).toBe("ls /input");
    expect(ran).not.toHaveBeenCalled();
    enter();
    expect(ran).toHaveBeenCalledWith("ls /input", "quick");
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
