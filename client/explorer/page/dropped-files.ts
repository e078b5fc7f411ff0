/** The files that were dropped on the page or chosen, until others are. They stay in this browser. */
import { useEffect, useState } from 'preact/hooks';
import { shownText } from './page-claim.tsx';

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
  const more = files.length > MAX_FILES ? [`only the first ${MAX_FILES} files are looked at`] : [];
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
  if (items.length > 0 && files.length === 0 && problems.length === 0)
    problems.push('there is no file in what was dropped');
  return { files, problems };
}

const MAX_DEPTH = 8;

async function walk(
  directory: FileSystemDirectoryEntry,
  files: File[],
  problems: string[],
  depth: number,
): Promise<void> {
  if (depth > MAX_DEPTH) {
    problems.push(`folders below ${MAX_DEPTH} others are not looked at`);
    return;
  }
  const reader = directory.createReader();
  for (;;) {
    const part = await readable<FileSystemEntry[]>(directory, problems, (resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (part === undefined || part.length === 0) return;
    for (const entry of part) {
      if (files.length > MAX_FILES) return;
      if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, files, problems, depth + 1);
      else {
        const one = entry as FileSystemFileEntry;
        const file = await readable<File>(entry, problems, (resolve, reject) => one.file(resolve, reject));
        if (file !== undefined) files.push(file);
      }
    }
  }
}

/** What `read` gives; undefined, and a problem, where it cannot be read. */
async function readable<T>(
  { name }: FileSystemEntry,
  problems: string[],
  read: (resolve: (value: T) => void, reject: (error: DOMException) => void) => void,
): Promise<T | undefined> {
  try {
    return await new Promise<T>(read);
  } catch {
    const why = `${shownText(name, 200)} cannot be read`;
    if (problems.length < MAX_FILES && !problems.includes(why)) problems.push(why);
    return undefined;
  }
}
