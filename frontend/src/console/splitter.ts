/** The line between editor and output: dragged, or moved with the arrow keys. */

const KEY = "rcluster:split";

export function attach(splitter: HTMLElement, pane: HTMLElement): void {
  const set = (percent: number, keep = true): void => {
    const value = Math.round(Math.min(90, Math.max(10, percent)));
    pane.style.setProperty("--split", `${value}%`);
    splitter.setAttribute("aria-valuenow", String(value));
    if (keep) localStorage.setItem(KEY, String(value));
  };
  const now = (): number => Number(splitter.getAttribute("aria-valuenow"));
  const remembered = Number(localStorage.getItem(KEY));
  if (remembered) set(remembered, false);

  splitter.addEventListener("pointerdown", (event) => {
    splitter.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  splitter.addEventListener("pointermove", (event) => {
    if (!splitter.hasPointerCapture(event.pointerId)) return;
    const box = pane.getBoundingClientRect();
    set(((event.clientY - box.top) / box.height) * 100);
  });
  splitter.addEventListener("dblclick", () => { set(52); });
  splitter.addEventListener("keydown", (event) => {
    const move: Record<string, number> = { ArrowUp: now() - 4, ArrowDown: now() + 4, Home: 10, End: 90 };
    const wanted = move[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    set(wanted);
  });
}
