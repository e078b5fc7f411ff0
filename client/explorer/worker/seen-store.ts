/**
 * What this browser remembers of each log, in IndexedDB: the checkpoints that it accepted, and the lies that it found. Several tabs may
 * look at once. A tab compares a new checkpoint with the newest one that it read, which takes requests, and then stores it in one
 * transaction that first sees whether the newest one is still the same. Such transactions run one after the other, in all tabs.
 */
import { ClientError } from '../../errors.ts';

/** A checkpoint that was accepted: the log signed it, it had the quorum, and it continued the one before. */
export interface RememberedHead {
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** The signed note. */
  readonly note: string;
  /** When this browser saw it, in ms since 1970. */
  readonly seen: number;
  /** When the quorum cosigned it, in ms since 1970; absent without a quorum. */
  readonly cosigned?: number;
}

/** A lie, or what looks like one. */
export interface SeenLie {
  readonly origin: string;
  /** One for each pair of checkpoints. */
  readonly id: string;
  readonly kind: 'fork' | 'went-back' | 'grew-after-freeze';
  readonly seen: number;
  /** The checkpoint that this browser remembered, and the one that the log showed. */
  readonly before: string;
  readonly after: string;
  /** The file that `stele verify --evidence` takes; absent where nothing is proven. */
  readonly evidence?: string;
}

export interface Seen {
  /** By size, the smallest first. */
  readonly heads: readonly RememberedHead[];
  readonly lies: readonly SeenLie[];
}

const NAME = 'stele-explorer';
const HEADS = 'heads';
const LIES = 'lies';
/** Checkpoints of one log. Past that, every second of the older half goes: a long history becomes coarse, and keeps its ends. */
const MAX_HEADS = 400;
const MAX_LIES = 50;
/** A note may have a megabyte; one with the cosignatures of a large policy has some kilobytes. */
const MAX_NOTE = 64 * 1024;
const OPEN_MS = 5_000;

/** @throws ClientError `state`: the browser lets this page keep nothing, or has no room; the message says which */
export async function readMemory(origin: string): Promise<Seen> {
  return await inStore('readonly', async ({ heads, lies }) => ({
    heads: await result<RememberedHead[]>(heads.getAll(ofLog(origin))),
    lies: await result<SeenLie[]>(lies.getAll(ofLog(origin))),
  }));
}

/**
 * Remembers `head`, unless another tab has remembered something since `base`, the newest one that this tab knew.
 *
 * @returns false where it has: compare with that one first
 * @throws ClientError `state` as `readMemory`
 */
export async function rememberHead(head: RememberedHead, base: RememberedHead | undefined): Promise<boolean> {
  if (head.note.length > MAX_NOTE) throw new ClientError('state', 'the checkpoint is too long to be remembered');
  return await inStore('readwrite', async ({ heads }) => {
    const all = await result<RememberedHead[]>(heads.getAll(ofLog(head.origin)));
    const newest = all.at(-1);
    if (newest?.size !== base?.size || newest?.root !== base?.root) return false;
    await result(heads.put(head));
    if (all.length >= MAX_HEADS) {
      const older = all.slice(1, Math.floor(all.length / 2)).filter((_, i) => i % 2 === 0);
      for (const { origin, size, root } of older) await result(heads.delete([origin, size, root]));
    }
    return true;
  });
}

/** Remembers a lie, once. @throws ClientError `state` as `readMemory` */
export async function rememberLie(lie: SeenLie): Promise<void> {
  await inStore('readwrite', async ({ lies }) => {
    const known = await result<SeenLie[]>(lies.getAll(ofLog(lie.origin)));
    if (known.some(({ id }) => id === lie.id) || known.length >= MAX_LIES) return;
    await result(lies.put(lie));
  });
}

/** Forgets all about a log. @throws ClientError `state` as `readMemory` */
export async function forgetSeen(origin: string): Promise<void> {
  await inStore('readwrite', async ({ heads, lies }) => {
    await result(heads.delete(ofLog(origin)));
    await result(lies.delete(ofLog(origin)));
  });
}

/** All keys that begin with the origin. */
function ofLog(origin: string): IDBKeyRange {
  return IDBKeyRange.bound([origin], [origin, []]);
}

interface Stores {
  readonly heads: IDBObjectStore;
  readonly lies: IDBObjectStore;
}

async function inStore<T>(mode: IDBTransactionMode, work: (stores: Stores) => Promise<T>): Promise<T> {
  try {
    const database = await opened();
    try {
      // Strict: a checkpoint that is said to be remembered is on the disk.
      const transaction = database.transaction([HEADS, LIES], mode, { durability: 'strict' });
      const ended = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'));
      });
      ended.catch(() => {});
      const value = await work({ heads: transaction.objectStore(HEADS), lies: transaction.objectStore(LIES) });
      await ended;
      return value;
    } finally {
      database.close();
    }
  } catch (error) {
    throw error instanceof ClientError ? error : notKept(error);
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    const late = setTimeout(() => reject(new Error('the browser does not answer')), OPEN_MS);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(HEADS, { keyPath: ['origin', 'size', 'root'] });
      request.result.createObjectStore(LIES, { keyPath: ['origin', 'id'] });
    };
    request.onsuccess = () => {
      clearTimeout(late);
      // A later version of this page must not wait for this tab.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(late);
      reject(request.error ?? new Error('it cannot be opened'));
    };
  });
}

function result<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error ?? new Error('a request failed'));
  });
}

function notKept(cause: unknown): ClientError {
  const name = (cause as { name?: unknown } | undefined)?.name;
  const why =
    name === 'QuotaExceededError'
      ? 'the browser has no room left for this page'
      : `the browser keeps nothing for this page, as in a private window or by its settings (${String(cause)})`;
  return new ClientError('state', why, { cause });
}
