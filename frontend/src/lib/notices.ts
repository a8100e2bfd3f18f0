/** Announcements that this browser dismissed, in a cookie that the server reads before it writes a page. */

const COOKIE = "rcluster_seen";
const KEPT = 20;

/** The cookie's value with one more key: the newest are kept. */
function withSeen(value: string, key: string): string {
  const others = value.split(".").filter((each) => each && each !== key);
  return [...others, key].slice(-KEPT).join(".");
}

export function dismiss(button: HTMLElement): void {
  const key = button.dataset["dismissNotice"] ?? "";
  const present = document.cookie.split("; ").find((part) => part.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) ?? "";
  document.cookie = `${COOKIE}=${withSeen(present, key)}; path=/; max-age=${365 * 24 * 3600}; samesite=lax`;
  button.closest(".notice")?.remove();
  document.querySelector<HTMLElement>("#main")?.focus({ preventScroll: true });
}
