/** Paints the found words in a row without changing its nodes, and brings them into view sideways. */

const NAME = "found-words";

export function highlight(row: HTMLElement | null, words: string): void {
  // Where a browser can't, the row is marked as a whole.
  if (!("highlights" in CSS)) return;
  CSS.highlights.delete(NAME);
  const text = row?.querySelector(".tx");
  if (!text || !words) return;
  const ranges = rangesOf(text, words);
  if (ranges.length) CSS.highlights.set(NAME, new Highlight(...ranges));
}

/** Bring the first of the highlighted words into view in a line that is wider than the page. */
export function bringSideways(row: HTMLElement | null): void {
  if (!row || !("highlights" in CSS)) return;
  const range = [...(CSS.highlights.get(NAME) ?? [])][0];
  const scroller = row.closest(".log");
  if (!(range instanceof Range) || !scroller) return;
  const box = range.getBoundingClientRect();
  const view = scroller.getBoundingClientRect();
  if (box.right > view.right - 24) scroller.scrollLeft += box.right - view.right + view.width / 3;
  else if (box.left < view.left + 24) scroller.scrollLeft -= view.left - box.left + view.width / 3;
}

/** Every place of the words in the element's text, which colours may divide into several nodes. */
function rangesOf(element: Element, words: string): Range[] {
  const whole = element.textContent;
  const exact = words !== words.toLowerCase();
  const text = exact ? whole : whole.toLowerCase();
  const ranges: Range[] = [];
  for (let at = text.indexOf(words); at >= 0; at = text.indexOf(words, at + words.length)) {
    const range = document.createRange();
    const start = nodeAt(element, at);
    const end = nodeAt(element, at + words.length);
    if (!start || !end) break;
    range.setStart(start.node, start.at);
    range.setEnd(end.node, end.at);
    ranges.push(range);
  }
  return ranges;
}

function nodeAt(element: Element, offset: number): { node: Node; at: number } | null {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let left = offset;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const length = node.textContent?.length ?? 0;
    if (left <= length) return { node, at: left };
    left -= length;
  }
  return null;
}
