/** Sizes and durations as the server writes them (jobs/queue/words.py, jobs/endings.py). */

export function bytes(count: number): string {
  if (count < 1024) return count === 1 ? "1 byte" : `${count} bytes`;
  const kb = count / 1024;
  if (kb < 1024) return `${kb.toFixed(0)} kB`;
  const mb = kb / 1024;
  if (mb < 1024) return `${mb.toFixed(0)} MB`;
  return `${(mb / 1024).toFixed(1).replace(/\.0$/, "")} GB`;
}

// eslint-disable-next-line no-control-regex -- they are what this is about
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A name as it is shown: what a page would not show, or would turn the letters around it by, is seen
    ("two␊lines", "may\\u202egpj.exe"). The same as visibly() in jobs/templatetags/rcluster.py. */
export function visibly(name: string): string {
  return name.replace(UNSEEN, (char) => {
    const code = char.charCodeAt(0);
    if (code < 32) return String.fromCharCode(0x2400 + code);
    return code === 127 ? "\u2421" : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** 45 s, 5 min, 1 h 30 min, 2 d 4 h */
export function duration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  if (rest < 60) return `${rest} s`;
  const parts: string[] = [];
  for (const [length, name] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]] as const) {
    const count = Math.floor(rest / length);
    rest %= length;
    if (count) parts.push(`${count} ${name}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** 1, 12, 1,234 */
export function count(value: number): string {
  return value.toLocaleString("en");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "5 min ago": the same words as jobs/templatetags/rcluster.py. */
export function relative(moment: Date, now: Date): string {
  const seconds = (now.getTime() - moment.getTime()) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  const day = (date: Date): number => Math.floor(new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime() / 86400000);
  if (day(now) - day(moment) === 1) return "yesterday";
  const date = `${moment.getDate()} ${MONTHS[moment.getMonth()] ?? ""}`;
  return moment.getFullYear() === now.getFullYear() ? date : `${date} ${moment.getFullYear()}`;
}
