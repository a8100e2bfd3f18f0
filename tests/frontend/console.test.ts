import { CommandHistory } from "@/console/history";
import { fileUrl, kindOf, splitPath } from "@/console/model";
import { parseTable, separatorOf } from "@/console/preview";
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
    expect(history.step(-1, "pwd")).toBe("ls");
    expect(history.step(-1, "ls")).toBeNull();
    expect(history.step(1, "ls")).toBe("pwd");
    expect(history.step(1, "pwd")).toBe("wg");
    expect(history.step(1, "wg")).toBeNull();
  });
  it("keeps what was made of each command until one is run", () => {
    const history = new CommandHistory(["ls /input", "pwd"]);
    expect(history.step(-1, "begun")).toBe("pwd");
    expect(history.step(-1, "pwd -P")).toBe("ls /input");
    expect(history.step(1, "ls /output")).toBe("pwd -P");
    expect(history.step(-1, "pwd")).toBe("ls /output");
    history.learn("elsewhere");
    expect(history.step(1, "ls /output")).toBe("pwd");
    expect(history.step(1, "pwd")).toBe("elsewhere");
    expect(history.step(1, "elsewhere")).toBe("begun");
    history.add("ls /output");
    expect(["ls /output", "elsewhere", "pwd", "ls /input"].map((_, at, all) => history.step(-1, all[at - 1] ?? ""))).toEqual(["ls /output", "elsewhere", "pwd", "ls /input"]);
  });
  it("goes on from what was found in the list", () => {
    const history = new CommandHistory(["a", "b", "c"]);
    history.visit("b");
    expect(history.step(-1, "b")).toBe("a");
    expect(history.step(1, "a")).toBe("b");
  });
  it("has each line once, where it was run last", () => {
    const history = new CommandHistory(["ls", "pwd", "ls"]);
    history.add("pwd");
    history.add("df");
    expect(["", "df", "pwd", "ls"].map((present) => history.step(-1, present))).toEqual(["df", "pwd", "ls", null]);
  });
  it("learns what is run elsewhere without moving whoever steps through it", () => {
    const history = new CommandHistory(["a", "b", "c"]);
    expect(history.step(-1, "draft")).toBe("c");
    expect(history.step(-1, "c")).toBe("b");
    history.learn("d");
    history.learn("a");
    history.learn("b");
    expect(history.step(1, "b")).toBe("c");
    expect(history.step(1, "c")).toBe("d");
    expect(history.step(1, "d")).toBe("a");
    expect(history.step(1, "a")).toBe("draft");
    history.learn("e");
    expect(history.step(-1, "draft")).toBe("e");
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

