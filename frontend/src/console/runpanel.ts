/** What the next Run asks for. Choices are kept as the Task's usual ones. */

import { send } from "@/lib/api";
import { need } from "@/lib/dom";
import { parseVariables, splitWords } from "@/console/words";

export interface Asked {
  environment?: string;
  cpus: number;
  memory: number;
  time_limit: number;
}

export class RunPanel {
  private readonly form = need<HTMLFormElement>(document, "#runpanel");

  constructor(private readonly api: string) {
    this.form.addEventListener("submit", (event) => { event.preventDefault(); });
    for (const select of this.form.querySelectorAll("select")) {
      select.addEventListener("change", () => {
        if (select.name === "environment") this.tell(select.value);
        void this.keep(select);
      });
    }
  }

  get asked(): Asked {
    return {
      ...this.environment,
      cpus: Number(this.value("cpus")),
      memory: Number(this.value("memory")),
      time_limit: Number(this.value("time_limit")),
    };
  }

  /** Nothing where there is only one. */
  get environment(): { environment?: string } {
    const environment = this.value("environment");
    return environment ? { environment } : {};
  }

  /** Throws WordsError when they can't be understood. */
  get words(): { arguments: string[]; variables: Record<string, string> } {
    return {
      arguments: splitWords(need<HTMLInputElement>(this.form, "#arguments").value),
      variables: parseVariables(need<HTMLTextAreaElement>(this.form, "#variables").value),
    };
  }

  /** Which machines will do; nothing where all are alike, and have no such field. */
  get machines(): { constraints?: string } {
    const constraints = this.form.querySelector<HTMLInputElement>("#constraints")?.value.trim() ?? "";
    return constraints ? { constraints } : {};
  }

  complain(message: string): void {
    const place = need<HTMLElement>(document, "#runpanel-error");
    place.textContent = message;
    place.hidden = !message;
  }

  /** What the chosen Environment is for, and its packages. */
  private tell(environment: string): void {
    for (const about of this.form.querySelectorAll<HTMLElement>("[data-about]")) {
      about.hidden = about.dataset["about"] !== environment;
    }
  }

  private value(name: string): string {
    return this.form.querySelector<HTMLSelectElement>(`select[name="${name}"]`)?.value ?? "";
  }

  private async keep(select: HTMLSelectElement): Promise<void> {
    const name = select.name;
    try {
      await send("PATCH", this.api, { [name]: name === "environment" ? select.value : Number(select.value) });
      this.complain("");
    } catch (error) {
      this.complain(error instanceof Error ? error.message : String(error));
    }
  }
}
