/** What every page has: live parts, times, colours, shortcuts, messages about the connection. */

import "bootstrap/dist/css/bootstrap-reboot.min.css";
import "@/styles/tokens.css";
import "@/styles/base.css";
import "@/styles/components.css";
import "@/styles/log.css";
import "@/styles/console.css";
import "@/styles/files.css";
import "@/styles/pages.css";
import "@/styles/life.css";
import "@/styles/datasets.css";
import "@/styles/commands.css";
import "@/styles/environments.css";
import "@/styles/run.css";
import "@/styles/manage.css";
import "@/styles/palette.css";
import htmx from "htmx.org";
import { Idiomorph } from "idiomorph";
import { csrfToken } from "@/lib/api";
import { banner, clearBanner } from "@/lib/banner";
import * as clock from "@/lib/clock";
import * as keys from "@/lib/keys";
import * as live from "@/lib/live";
import * as palette from "@/lib/palette";
import { dismiss } from "@/lib/notices";
import * as session from "@/lib/session";
import * as theme from "@/lib/theme";
import { toast } from "@/lib/toast";

// Refreshed parts are morphed, not replaced: what has the focus or the pointer stays in place.
htmx.defineExtension("morph", {
  isInlineSwap: (style: string) => style === "morph:outerHTML",
  handleSwap: (style: string, target: Node, fragment: Node) => {
    if (style !== "morph:innerHTML" && style !== "morph:outerHTML") return false;
    const morphed = Idiomorph.morph(target, [...fragment.childNodes], {
      morphStyle: style === "morph:outerHTML" ? "outerHTML" : "innerHTML",
      callbacks: {
        // What the person opened stays open, with what was fetched into it.
        beforeAttributeUpdated: (name, element) => !(name === "open" && element instanceof HTMLDetailsElement),
        beforeNodeMorphed: (old) => !(old instanceof HTMLElement && old.matches("[data-fetched]") && old.hasChildNodes()),
      },
    });
    // Only stylesheets in a <head> would make it wait, and a part of a page has none.
    return Array.isArray(morphed) ? morphed : [];
  },
});

document.body.addEventListener("htmx:configRequest", (event) => {
  const { detail } = event as CustomEvent<{ headers: Record<string, string> }>;
  detail.headers["X-CSRFToken"] = csrfToken();
});
document.body.addEventListener("htmx:responseError", (event) => {
  const { detail } = event as CustomEvent<{ xhr: XMLHttpRequest }>;
  if (detail.xhr.status === 401) document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
  else toast("That did not work. Reload the page and try again.", { bad: true });
});

window.addEventListener("offline", () => { banner("offline", "You are offline. Your Runs go on; this page catches up by itself."); });
window.addEventListener("online", () => { clearBanner("offline"); });
if (!navigator.onLine) banner("offline", "You are offline. Your Runs go on; this page catches up by itself.");

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  if (event.target.closest("[data-theme-toggle]")) toast(theme.toggle(), { lasts: 2000 });
  if (event.target.closest("[data-show-shortcuts]")) keys.show();
  if (event.target.closest("[data-open-palette]")) palette.open();
  event.target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  const notice = event.target.closest<HTMLElement>("[data-dismiss-notice]");
  if (notice) dismiss(notice);
  const copy = event.target.closest<HTMLElement>("[data-copy]");
  if (copy) void copyText(copy);
});

async function copyText(button: HTMLElement): Promise<void> {
  const source = document.getElementById(button.dataset["copy"] ?? "");
  const text = button.querySelector("span");
  if (!source || !text) return;
  try {
    await navigator.clipboard.writeText(source.textContent);
    text.textContent = "Copied";
  } catch {
    // No clipboard over plain HTTP: select it, so that one key copies it.
    getSelection()?.selectAllChildren(source);
    text.textContent = `Press ${keys.label("Mod-C")}`;
  }
}

const newTask = document.querySelector<HTMLAnchorElement>('[data-key="n"]');
if (newTask) keys.on("n", "New Task", () => { newTask.click(); });
const searchField = document.querySelector<HTMLInputElement>('input[data-key="/"]');
if (searchField) keys.on("/", "Search", () => { searchField.focus(); });
if (document.body.dataset["username"]) keys.on(keys.OPENS_PALETTE, "Go to a Task, a page or a command", palette.open);
keys.on("?", "Keyboard shortcuts", keys.show);
clock.start();
session.start();
live.start();
