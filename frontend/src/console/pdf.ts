/** A PDF drawn page by page by pdf.js, loaded only when somebody opens one (decision 0015). */

import { getDocument, GlobalWorkerOptions, type PDFDocumentProxy } from "pdfjs-dist/legacy/build/pdf.mjs";
import worker from "pdfjs-dist/legacy/build/pdf.worker.min.mjs?url";
import { h } from "@/lib/dom";
import { count } from "@/lib/format";

GlobalWorkerOptions.workerSrc = worker;
const MOST_PAGES = 500;
const WIDEST = 1000;

/** Draws each page when it comes into view. */
export async function showPdf(box: HTMLElement, name: string, url: string): Promise<void> {
  const task = getDocument({
    url,
    // A PDF comes from a script: none of its code runs, and none is made of its fonts.
    isEvalSupported: false,
    enableXfa: false,
    // Pages are asked for as they are looked at, by Range.
    disableAutoFetch: true,
    useWasm: false,
  });
  let pdf: PDFDocumentProxy;
  try {
    pdf = await task.promise;
  } catch (error) {
    const locked = error instanceof Error && error.name === "PasswordException";
    box.append(h("p", { class: "empty" }, locked ? `${name} is locked with a password. Download it to open it.` : `${name} is no PDF that can be shown. Download it to look at it.`));
    return;
  }
  const first = (await pdf.getPage(1)).getViewport({ scale: 1 });
  const total = pdf.numPages;
  box.append(h("p", { class: "muted small" }, total === 1 ? "1 page." : `${count(total)} pages.${total > MOST_PAGES ? ` The first ${MOST_PAGES} are shown; download it for the rest.` : ""}`));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      void draw(pdf, entry.target as HTMLCanvasElement, box);
    }
  }, { root: box, rootMargin: "400px" });
  for (let number = 1; number <= Math.min(total, MOST_PAGES); number += 1) {
    const page = h("canvas", { class: "page", role: "img", "aria-label": `Page ${number} of ${name}`, "data-page": number });
    // Its place is kept until it is drawn.
    page.style.setProperty("aspect-ratio", `${first.width} / ${first.height}`);
    box.append(page);
    seen.observe(page);
  }
  // The worker and what it holds go with the preview.
  const gone = new MutationObserver(() => {
    if (box.isConnected || !box.dataset["shown"]) {
      box.dataset["shown"] = "yes";
      return;
    }
    gone.disconnect();
    seen.disconnect();
    void task.destroy();
  });
  gone.observe(document.body, { childList: true, subtree: true });
}

async function draw(pdf: PDFDocumentProxy, canvas: HTMLCanvasElement, box: HTMLElement): Promise<void> {
  const page = await pdf.getPage(Number(canvas.dataset["page"]));
  const natural = page.getViewport({ scale: 1 });
  const wide = Math.min(WIDEST, Math.max(200, box.clientWidth - 32));
  const viewport = page.getViewport({ scale: (wide / natural.width) * Math.min(2, window.devicePixelRatio) });
  canvas.width = Math.floor(viewport.width);
  canvas.height = Math.floor(viewport.height);
  canvas.style.setProperty("aspect-ratio", `${viewport.width} / ${viewport.height}`);
  await page.render({ canvas, viewport }).promise;
  canvas.dataset["drawn"] = "yes";
}
