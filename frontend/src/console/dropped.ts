/** What somebody dropped or chose: files with their paths, and folders that hold none. */

export interface Dropped {
  /** `path` within what was dropped, its top folder included */
  files: { path: string; file: File }[];
  folders: string[];
  /** what the browser could not read */
  unreadable: string[];
}

/** Chosen with an <input type="file">, also one for folders. */
export function fromInput(files: Iterable<File>): Dropped {
  return { files: [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })), folders: [], unreadable: [] };
}

/** Call it within the drop event: the list is empty afterwards. */
export function fromDrop(transfer: DataTransfer): Promise<Dropped> {
  const dropped: Dropped = { files: [], folders: [], unreadable: [] };
  const entries: FileSystemEntry[] = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry();
    const file = entry ? null : item.getAsFile();
    if (entry) entries.push(entry);
    else if (file) dropped.files.push({ path: file.name, file });
  }
  return walk(entries, dropped);
}

async function walk(entries: FileSystemEntry[], dropped: Dropped): Promise<Dropped> {
  // One list instead of recursion: folders may be as deep as they like.
  const waiting = [...entries];
  for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
    const path = entry.fullPath.replace(/^\//, "") || entry.name;
    try {
      if (entry.isFile) dropped.files.push({ path, file: await fileOf(entry as FileSystemFileEntry) });
      else if (entry.isDirectory) {
        const inside = await inFolder(entry as FileSystemDirectoryEntry);
        if (!inside.length) dropped.folders.push(path);
        waiting.push(...inside);
      }
    } catch {
      dropped.unreadable.push(path);
    }
  }
  dropped.files.sort((a, b) => a.path.localeCompare(b.path));
  return dropped;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => { entry.file(resolve, reject); });
}

/** Browsers hand out a folder in batches (Chromium: 100), until an empty one. */
async function inFolder(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!batch.length) return found;
    found.push(...batch);
  }
}
