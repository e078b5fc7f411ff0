/** What is in a queue. The reader takes no lock, so a flush may be under way. */
import { readOwner } from '../../../merkle/runtime/disk/lock.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { Problem, Queued, QueueItem } from './queue-item.ts';
import type { Damaged, DoneRecord, QueueLog, SubmissionQueue } from './queue-store.ts';

export interface StatusEntry extends Queued {
  /** Seconds since `queued`. */
  readonly age: number;
  /** The log has the entry, and the bundle is not at `out` yet. */
  readonly logged: boolean;
  readonly problem: Problem | undefined;
}

export interface QueueStatus {
  /** Absolute path. */
  readonly queue: string;
  readonly pending: readonly StatusEntry[];
  readonly refused: readonly StatusEntry[];
  /** Entries of the last 30 days. */
  readonly done: readonly DoneRecord[];
  /** Files that cannot be used, and where they are. */
  readonly damaged: readonly Damaged[];
  readonly logs: readonly ({ readonly log: string } & QueueLog)[];
  /** The process that took the lock last. It may have released the lock since. */
  readonly owner: string | undefined;
}

/** @throws RuntimeError `file`; ClientError `file` where the keys of logs are damaged */
export async function queueStatus(store: SubmissionQueue): Promise<QueueStatus> {
  const damaged: Damaged[] = (await store.setAsideBefore()).map((file) => ({ file, reason: 'set aside before' }));
  const pending: StatusEntry[] = [];
  for (const id of await store.pending()) {
    const read = await store.read(id).catch((error: unknown) => {
      if (!(error instanceof RuntimeError)) throw error;
      return { damaged: { file: store.fileOf(id), reason: error.message } };
    });
    if (read === undefined) continue;
    if ('item' in read) pending.push(entryOf(read.item));
    else damaged.push(read.damaged);
  }
  const refused = (await store.refused(damaged)).map(entryOf);
  const done = await store.done(damaged);
  const owner = await readOwner(store.dir);
  return {
    queue: store.dir,
    pending: pending.sort(byTime),
    refused: refused.sort(byTime),
    done: done.sort((a, b) => (a.done < b.done ? -1 : 1)),
    damaged,
    logs: [...(await store.logs())].map(([log, state]) => ({ log, ...state })),
    owner: owner && `process ${owner.pid} on ${owner.host}, since ${owner.started}`,
  };
}

function entryOf({ id, queued, log, out, logged, problem }: QueueItem): StatusEntry {
  const age = Math.max(0, Math.round((Date.now() - Date.parse(queued)) / 1000));
  return { id, queued, age, log, out, logged: logged !== undefined, problem };
}

function byTime(a: StatusEntry, b: StatusEntry): number {
  return a.queued < b.queued ? -1 : 1;
}
