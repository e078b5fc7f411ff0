/**
 * What this browser remembers of each log, in IndexedDB: the checkpoints that it accepted, the lies that it found, and the trees of the
 * last lookup in its verifiable index. Several tabs may
 * look at once. A tab compares a new checkpoint with the newest one that it read, which takes requests, and then stores it in one
 * transaction that first sees whether the newest one is still the same. Such transactions run one after the other, in all tabs.
 */
import { ClientError } from '../../errors.ts';
import type { LookupLog, LookupMemory } from '../../search/lookup-trust.ts';
import type { TreeHead } from '../../tiles/types.ts';
import type { RememberedHead, Seen, SeenLie } from '../model/looks.ts';

const NAME = 'stele-explorer';
/** 2 has the trees of lookups. */
const VERSION = 2;
const HEADS = 'heads';
const LIES = 'lies';
const LOOKUPS = 'lookups';
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
  await inStore('readwrite', async ({ heads, lies, lookups }) => {
    await result(heads.delete(ofLog(origin)));
    await result(lies.delete(ofLog(origin)));
    await result(lookups.delete(ofLog(origin)));
  });
}

interface LookupRecord {
  readonly origin: string;
  readonly output: string;
  readonly memory: Pick<LookupMemory, 'input' | 'output'>;
}

/** The trees of lookups that this browser saw; empty where it saw none. @throws ClientError `state` as `readMemory` */
export async function readLookup(origin: string, output: string): Promise<LookupRecord['memory']> {
  return await inStore('readonly', async ({ lookups }) => {
    const found = await result<LookupRecord | undefined>(lookups.get([origin, output]));
    return found?.memory ?? {};
  });
}

/** Remembers the trees of a lookup that holds. Of two lookups at one time the larger tree stays. @throws ClientError `state` */
export async function rememberLookup(origin: string, output: string, seen: LookupMemory): Promise<void> {
  await inStore('readwrite', async ({ lookups }) => {
    const before = (await result<LookupRecord | undefined>(lookups.get([origin, output])))?.memory;
    const memory = {
      ...larger('input', before?.input, seen.input),
      ...larger('output', before?.output, seen.output),
    };
    await result(lookups.put({ origin, output, memory } satisfies LookupRecord));
  });
}

function larger(name: LookupLog, before: TreeHead | undefined, now: TreeHead | undefined) {
  const tree = before !== undefined && (now === undefined || now.size < before.size) ? before : now;
  return tree === undefined ? {} : { [name]: { size: tree.size, root: tree.root } };
}

/** All keys that begin with the origin. */
function ofLog(origin: string): IDBKeyRange {
  return IDBKeyRange.bound([origin], [origin, []]);
}

interface Stores {
  readonly heads: IDBObjectStore;
  readonly lies: IDBObjectStore;
  readonly lookups: IDBObjectStore;
}

async function inStore<T>(mode: IDBTransactionMode, work: (stores: Stores) => Promise<T>): Promise<T> {
  try {
    const database = await opened();
    try {
      // Strict: a checkpoint that is said to be remembered is on the disk.
      const transaction = database.transaction([HEADS, LIES, LOOKUPS], mode, { durability: 'strict' });
      const ended = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'));
      });
      ended.catch(() => {});
      const [heads, lies, lookups] = [HEADS, LIES, LOOKUPS].map((name) => transaction.objectStore(name));
      const value = await work({ heads: heads!, lies: lies!, lookups: lookups! });
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
    const request = indexedDB.open(NAME, VERSION);
    const late = setTimeout(() => reject(new Error('the browser does not answer')), OPEN_MS);
    request.onupgradeneeded = () => {
      const paths = { [HEADS]: ['origin', 'size', 'root'], [LIES]: ['origin', 'id'], [LOOKUPS]: ['origin', 'output'] };
      for (const [name, keyPath] of Object.entries(paths)) {
        if (!request.result.objectStoreNames.contains(name)) request.result.createObjectStore(name, { keyPath });
      }
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
