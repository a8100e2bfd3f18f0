/** Light, dark or the system's colours. Remembered in a cookie, which the server reads before the
    first paint, so that nothing flashes. */

const ORDER = ["", "light", "dark"] as const;
type Theme = (typeof ORDER)[number];
const NAMES: Record<Theme, string> = { "": "Colours as the system has them", light: "Light colours", dark: "Dark colours" };

export function next(present: string): Theme {
  const index = ORDER.findIndex((theme) => theme === present);
  return ORDER[(index + 1) % ORDER.length] ?? "";
}

/** Move on to the next one and say which it is. */
export function toggle(): string {
  const root = document.documentElement;
  const theme = next(root.dataset["theme"] ?? "");
  if (theme) root.dataset["theme"] = theme;
  else delete root.dataset["theme"];
  const age = theme ? 365 * 24 * 3600 : 0;
  document.cookie = `rcluster_theme=${theme}; path=/; max-age=${age}; samesite=lax`;
  return NAMES[theme];
}
