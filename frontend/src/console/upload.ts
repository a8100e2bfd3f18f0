/** One file to the Task, with its progress: fetch can't tell that, XMLHttpRequest can. */

import { ApiError, csrfToken, isRecord } from "@/lib/api";

export interface Sending {
  /** false: 412 if there is a file of that name by now */
  replace: boolean;
  signal: AbortSignal;
  /** bytes that have left */
  progress: (sent: number) => void;
}

/** Throws ApiError; with status -1 if it was cancelled. */
export function upload(address: string, file: File, { replace, signal, progress }: Sending): Promise<void> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("PUT", address);
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.setRequestHeader("Content-Type", "application/octet-stream");
    if (!replace) xhr.setRequestHeader("If-None-Match", "*");
    xhr.upload.onprogress = (event) => { progress(event.loaded); };
    xhr.onload = () => {
      if (xhr.status < 300) {
        resolve();
        return;
      }
      if (xhr.status === 401) document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
      reject(new ApiError(detail(xhr.responseText) || "The upload was refused.", xhr.status));
    };
    xhr.onerror = () => { reject(new ApiError("It was cut off: the connection is down, or the file can't be read any more.", 0)); };
    xhr.onabort = () => { reject(new ApiError("It was cancelled.", -1)); };
    signal.addEventListener("abort", () => { xhr.abort(); }, { once: true });
    if (signal.aborted) reject(new ApiError("It was cancelled.", -1));
    else xhr.send(file);
  });
}

function detail(text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    return isRecord(body) && typeof body["detail"] === "string" ? body["detail"] : "";
  } catch {
    return "";
  }
}
