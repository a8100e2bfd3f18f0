/** Requests to our own portal: the CSRF token, problems as sentences, the end of a session. */

/** What the portal (or the lack of one) answered; `message` is a sentence for people. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly fields: Record<string, string[]> = {},
  ) {
    super(message);
  }
}

/** The token from its cookie: it changes with each sign-in, also one in another tab. */
export function csrfToken(): string {
  const name = document.querySelector<HTMLMetaElement>('meta[name="csrf-cookie"]')?.content ?? "csrftoken";
  for (const part of document.cookie.split("; ")) {
    const [key, value] = part.split("=", 2);
    if (key === name && value) return decodeURIComponent(value);
  }
  return "";
}

/** ms that the portal's clock is ahead of ours, by its last answer */
let ahead = 0;

/** The portal's time, at most a second late, once it has answered. */
export function portalTime(): Date {
  return new Date(Date.now() + ahead);
}

/** Headers of a removal: only what `entry` showed, and nothing that was written after `at`. */
export function onlyAsSeen(entry: { kind: string; etag?: string | null }, at: Date): Record<string, string> {
  if (entry.kind === "folder") return { "If-Unmodified-Since": at.toUTCString() };
  return entry.etag ? { "If-Match": entry.etag } : {};
}

export async function request(address: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (init.method && init.method !== "GET") headers.set("X-CSRFToken", csrfToken());
  headers.set("Accept", "application/json, */*");
  let response: Response;
  try {
    response = await fetch(address, { ...init, headers, credentials: "same-origin" });
  } catch {
    throw new ApiError("The portal does not answer. Your connection may be down; nothing was lost. Try again.", 0);
  }
  const told = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(told)) ahead = told - Date.now();
  if (response.ok) return response;
  if (response.status === 401) document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
  throw await problem(response);
}

export async function json(address: string, init: RequestInit = {}): Promise<unknown> {
  const response = await request(address, init);
  return response.status === 204 ? null : ((await response.json()) as unknown);
}

/** Send JSON, get JSON. */
export function send(method: string, address: string, body: unknown): Promise<unknown> {
  return json(address, { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

async function problem(response: Response): Promise<ApiError> {
  // The API speaks of tokens there, to programs.
  if (response.status === 401) return new ApiError(sentenceFor(401), 401);
  const fields: Record<string, string[]> = {};
  let message = "";
  try {
    const body = (await response.json()) as unknown;
    if (isRecord(body)) {
      if (typeof body["detail"] === "string") message = body["detail"];
      if (isRecord(body["errors"])) {
        for (const [name, sentences] of Object.entries(body["errors"])) {
          if (Array.isArray(sentences)) fields[name] = sentences.map(String);
        }
      }
    }
  } catch {
    // Not a problem document: the status has to do.
  }
  const first = Object.values(fields)[0]?.[0];
  return new ApiError(first ?? (message || sentenceFor(response.status)), response.status, fields);
}

function sentenceFor(status: number): string {
  if (status === 401) return "Your session has ended. Sign in again in another tab, then repeat this.";
  if (status === 403) return "You may not do this.";
  if (status === 404) return "It is not there any more.";
  if (status === 413) return "The file is too large.";
  if (status === 507) return "The storage is full. Delete something, then try again.";
  if (status >= 500) return "The portal had a problem. Try again; if it stays, tell your administrator.";
  return `The portal refused this (${status}).`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
