/** The command line under the output: Enter runs, the arrow keys bring back what was typed. */

const KEPT = 200;

export class CommandHistory {
  private readonly lines: string[];
  private at: number;
  private draft = "";

  constructor(private readonly key: string) {
    this.lines = read(key);
    this.at = this.lines.length;
  }

  add(line: string): void {
    if (this.lines.at(-1) !== line) this.lines.push(line);
    this.lines.splice(0, this.lines.length - KEPT);
    this.at = this.lines.length;
    this.draft = "";
    localStorage.setItem(this.key, JSON.stringify(this.lines));
  }

  /** One line back (-1) or forth (1); null: there is none. What was begun is kept. */
  step(by: -1 | 1, present: string): string | null {
    const wanted = this.at + by;
    if (wanted < 0 || wanted > this.lines.length) return null;
    if (this.at === this.lines.length) this.draft = present;
    this.at = wanted;
    return this.lines[wanted] ?? this.draft;
  }
}

function read(key: string): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
  } catch {
    // Something else wrote there: begin anew.
    return [];
  }
}

export function attach(form: HTMLFormElement, task: string, run: (command: string) => Promise<boolean>): void {
  const input = form.querySelector("input");
  if (!input) return;
  const history = new CommandHistory(`rcluster:commands:${task}`);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const command = input.value.trim();
    if (!command) return;
    history.add(command);
    input.value = "";
    void run(command).then((accepted) => {
      if (!accepted && !input.value) input.value = command;
    });
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const line = history.step(event.key === "ArrowUp" ? -1 : 1, input.value);
    event.preventDefault();
    if (line === null) return;
    input.value = line;
    input.setSelectionRange(line.length, line.length);
  });
}
