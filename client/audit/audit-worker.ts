/** The worker of an audit: it hashes bundles from files that it reads, or from bytes in the task. */
import { Piscina } from 'piscina';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { maxBundle } from '../tiles/limits.ts';
import { readSyncInto } from '../tiles/store/directory.ts';
import {
  type AuditAnswer,
  type AuditTask,
  packAuditAnswer,
  unpackAuditTask,
  type WorkerSettings,
} from './audit-task.ts';
import { BundleChecker, type Finding } from './bundle-checker.ts';
import { entryChecker } from './entry-signatures.ts';

const { directory = '', signatures } = Piscina.workerData as WorkerSettings;
const checker = new BundleChecker(signatures ? entryChecker() : undefined);

export default function work(buffer: ArrayBuffer): unknown {
  checker.verified = 0;
  checker.notChecked = 0;
  const task = unpackAuditTask(buffer);
  const outcome = 'count' in task ? fromFiles(task.index, task.count) : fromBytes(task);
  return Piscina.move(packAuditAnswer({ ...outcome, verified: checker.verified, notChecked: checker.notChecked }));
}

type Outcome = Omit<AuditAnswer, 'verified' | 'notChecked'>;

function fromFiles(first: number, count: number): Outcome {
  const roots = new Uint8Array(count * HASH_SIZE);
  for (let i = 0; i < count; i++) {
    const hashes = roots.slice(0, i * HASH_SIZE);
    try {
      const finding = oneFromFiles(first + i);
      if (finding !== undefined) return { hashes, finding };
    } catch (cause) {
      if (!(cause instanceof ClientError)) throw cause;
      return { hashes, unreadable: cause.message };
    }
    roots.set(checker.root(), i * HASH_SIZE);
  }
  return { hashes: roots };
}

function oneFromFiles(index: number): Finding | undefined {
  const bundlePath = entryBundlePath(index, TILE_WIDTH);
  const bundle = read(checker.bundle, bundlePath, maxBundle(TILE_WIDTH), index);
  if (typeof bundle === 'object') return bundle;
  const path = tilePath({ level: 0, index, width: TILE_WIDTH });
  const tile = read(checker.tile, path, TILE_WIDTH * HASH_SIZE, index);
  // A bundle that does not hold is reported first, also where its tile is gone.
  const finding = checker.check(index, TILE_WIDTH, bundle, typeof tile === 'object' ? 0 : tile);
  return finding?.path === path && typeof tile === 'object' ? tile : finding;
}

/** The length of the file, or what is wrong with it. */
function read(into: Uint8Array, path: string, limit: number, bundle: number): number | Finding {
  const index = bundle * TILE_WIDTH;
  try {
    const length = readSyncInto(into, directory, path, limit);
    return length ?? { code: 'missing', path, index, message: `${path} is not there` };
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== 'corrupt') throw cause;
    return { code: 'corrupt', path, index, message: cause.message };
  }
}

function fromBytes({ index, width, bundle, tile }: Exclude<AuditTask, { count: number }>): Outcome {
  checker.bundle.set(bundle);
  checker.tile.set(tile);
  const finding = checker.check(index, width, bundle.length, tile.length);
  if (finding !== undefined) return { hashes: new Uint8Array(0), finding };
  return { hashes: width === TILE_WIDTH ? checker.root() : checker.leafHashes(width) };
}
