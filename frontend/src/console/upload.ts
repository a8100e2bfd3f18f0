/** One file to the Task, with its progress: fetch can't tell that, XMLHttpRequest can. */

import { ApiError, csrfToken, isRecord } from "@/lib/api";

export function upload(address: string, file: File, progress: (percent: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("PUT", address);
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.setRequestHeader("Content-Type", "application/octet-stream");
    xhr.upload.onprogress = (event) => { if (event.lengthComputable) progress((100 * event.loaded) / event.total); };
    xhr.onload = () => {
      if (xhr.status < 300) {
        resolve();
        return;
      }
      if (xhr.status === 401) document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
      reject(new ApiError(detail(xhr.responseText) || "The upload was refused.", xhr.status));
    };
    xhr.onerror = () => { reject(new ApiError("The upload was cut off. Try it again.", 0)); };
    xhr.send(file);
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
