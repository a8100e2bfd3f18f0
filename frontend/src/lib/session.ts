/** The end of a session while a page is open: a form that is sent then is kept, with all that was typed
    in it, until somebody signed in again in another tab. */

import { csrfToken } from "@/lib/api";
import { banner, clearBanner } from "@/lib/banner";
import { h } from "@/lib/dom";
import { toast } from "@/lib/toast";

let ended = false;

export function start(): void {
  document.addEventListener("rcluster:session-ended", () => {
    ended = true;
    say();
  });
  // Last of all listeners: what a script or htmx sends by itself is already prevented.
  window.addEventListener("submit", (event) => { submitted(event); });
}

function say(): void {
  const back = encodeURIComponent(location.pathname + location.search);
  banner(
    "session-ended",
    "Your session has ended. What you typed is still here.",
    h("a", { class: "button small", href: `/login/?next=${back}`, target: "_blank", rel: "noopener" }, "Sign in again"),
  );
}

function submitted(event: SubmitEvent): void {
  const form = event.target;
  if (event.defaultPrevented || !(form instanceof HTMLFormElement) || form.getAttribute("method")?.toLowerCase() !== "post") return;
  renew(form);
  if (!ended) return;
  event.preventDefault();
  void sendAgain(form, event.submitter);
}

/** Each sign-in, also one in another tab, makes the token that the page came with worthless. */
function renew(form: HTMLFormElement): void {
  const field = form.querySelector<HTMLInputElement>('input[name="csrfmiddlewaretoken"]');
  const token = csrfToken();
  if (field && token) field.value = token;
}

async function sendAgain(form: HTMLFormElement, pressed: HTMLElement | null): Promise<void> {
  if (!(await isBack())) {
    say();
    toast("Not sent: your session has ended. What you typed is still here. Sign in again in another tab, then press the button once more.", { bad: true });
    return;
  }
  ended = false;
  clearBanner("session-ended");
  // Prevented before, it is checked and sent as if it had been pressed now, with the button's own value.
  form.requestSubmit(pressed);
}

/** Whether somebody is signed in now; a portal that does not answer keeps the form, too. */
async function isBack(): Promise<boolean> {
  const address = document.querySelector("#notices")?.getAttribute("hx-get");
  if (!address) return false;
  try {
    return (await fetch(address, { headers: { "HX-Request": "true" }, credentials: "same-origin" })).ok;
  } catch {
    return false;
  }
}
