/** The files that were dropped on the page or chosen, until others are. They stay in this browser. */
import { useEffect, useState } from 'preact/hooks';

interface DroppedFiles {
  /** Names each drop, so that the same file dropped again is looked at again. */
  readonly id: number;
  readonly files: readonly File[];
  /** What was dropped and is no file, in words. */
  readonly problems: readonly string[];
}

const NOTHING: DroppedFiles = { id: 0, files: [], problems: [] };
/** Files of one drop: each is hashed. */
const MAX_FILES = 100;

let current = NOTHING;
const listeners = new Set<(dropped: DroppedFiles) => void>();

export function dropFiles(files: readonly File[], problems: readonly string[] = []): void {
  const more = files.length > MAX_FILES ? [`only the first ${MAX_FILES} of ${files.length} files are looked at`] : [];
  current = { id: current.id + 1, files: files.slice(0, MAX_FILES), problems: [...problems, ...more] };
  for (const listener of listeners) listener(current);
}

export function useDroppedFiles(): DroppedFiles {
  const [dropped, setDropped] = useState(current);
  useEffect(() => {
    setDropped(current);
    listeners.add(setDropped);
    return () => void listeners.delete(setDropped);
  }, []);
  return dropped;
}

/** The files of a drop, with those in its folders. A folder has no digest of its own. */
export async function filesOfDrop(data: DataTransfer): Promise<{ files: File[]; problems: string[] }> {
  // The entries are gone after the event, so they are taken before anything is awaited.
  const items = [...data.items].filter(({ kind }) => kind === 'file');
  const entries = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const files: File[] = [];
  const problems: string[] = [];
  if (items.length === 0) problems.push('no file was dropped: text and links are nothing that this page can hash');
  for (const { entry, file } of entries) {
    if (entry?.isDirectory) await walk(entry as FileSystemDirectoryEntry, files, problems, 0);
    else if (file !== null) files.push(file);
  }
  return { files, problems };
}

const MAX_DEPTH = 8;

async function walk(
  directory: FileSystemDirectoryEntry,
  files: File[],
  problems: string[],
  depth: number,
): Promise<void> {
  const reader = directory.createReader();
  if (depth > MAX_DEPTH) {
    problems.push(`folders below ${MAX_DEPTH} others are not looked at`);
    return;
  }
  try {
    for (;;) {
      const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (part.length === 0) return;
      for (const entry of part) {
        if (files.length > MAX_FILES) return;
        if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, files, problems, depth + 1);
        else {
          files.push(
            await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
          );
        }
      }
    }
  } catch {
    problems.push('a folder, or a file in it, cannot be read');
  }
}
