/** One line across the top for what concerns the whole page. */

import { h, need } from "@/lib/dom";

export function banner(id: string, ...content: (Node | string)[]): void {
  const place = need(document, "#banners");
  place.querySelector(`#${id}`)?.remove();
  place.append(h("div", { class: "banner", id }, ...content));
}

export function clearBanner(id: string): void {
  document.querySelector(`#${id}`)?.remove();
}
