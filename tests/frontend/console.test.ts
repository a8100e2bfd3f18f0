import { CommandHistory } from "@/console/commandline";
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
  beforeEach(() => { localStorage.clear(); });

  it("goes back and forth and keeps what was begun", () => {
    const history = new CommandHistory("k");
    history.add("ls");
    history.add("pwd");
    expect(history.step(-1, "wg")).toBe("pwd");
    expect(history.step(-1, "")).toBe("ls");
    expect(history.step(-1, "")).toBeNull();
    expect(history.step(1, "")).toBe("pwd");
    expect(history.step(1, "")).toBe("wg");
    expect(history.step(1, "")).toBeNull();
  });
  it("is there again after a reload, and has no line twice in a row", () => {
    const history = new CommandHistory("k");
    history.add("ls");
    history.add("ls");
    expect(new CommandHistory("k").step(-1, "")).toBe("ls");
    const again = new CommandHistory("k");
    again.step(-1, "");
    expect(again.step(-1, "")).toBeNull();
  });
  it("survives nonsense in the storage", () => {
    localStorage.setItem("k", "{oops");
    expect(new CommandHistory("k").step(-1, "")).toBeNull();
  });
});
