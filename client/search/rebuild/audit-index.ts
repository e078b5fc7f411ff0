/**
 * The audit of a verifiable index by anybody: it rebuilds the map from the input log, and names the first leaf of the output log
 * that is wrong. It is the work of a rebuilder, once and without a cosignature.
 */
import type { VerifierKey } from '../../../merkle/note.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { ClientError, cancelled } from '../../errors.ts';
import { Feed } from '../../follow/follow.ts';
import { describeHead } from '../../follow/open-head.ts';
import type { Batch, Cursor, FeedSettings, FollowedLog, SignedHead } from '../../follow/types.ts';
import { isBeginning, tilesOf } from '../../tiles/tree-proofs.ts';
import type { OpenSource } from '../../tiles/types.ts';
import type { RebuildProgress } from './map-rebuild.ts';
import { type OpenRebuild, openRebuild } from './open-rebuilder.ts';
import { readLeaf, WrongLeafError } from './read-leaf.ts';
import type { WrongLeaf } from './types.ts';

interface IndexAuditOptions {
  readonly input: FollowedLog;
  readonly output: FollowedLog;
  /** Keeps the map and the verdicts: an audit goes on where an earlier one ended. */
  readonly dir: string;
  readonly threads: number;
  readonly fetch?: typeof fetch | undefined;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: RebuildProgress) => void;
}

export interface IndexAuditReport {
  readonly input: AuditedLog;
  readonly output: AuditedLog;
  /** Leaves of the output log that hold: all below this index. */
  readonly verified: number;
  /** Leaves that held already when this run began. */
  readonly from: number;
  /** The last leaf that holds is over so many entries of the input log. */
  readonly inputSize: number;
  /** `map`: each root was computed anew. `checkpoints`: only the leaves and their input checkpoints were compared. */
  readonly depth: 'map' | 'checkpoints';
  readonly wrong?: WrongInShort;
  /** What an earlier run found, in words: it stays found. */
  readonly halted?: string;
}

type WrongInShort = Omit<WrongLeaf, 'leaf' | 'proof' | 'checkpoint'>;

interface AuditedLog {
  readonly origin: string;
  readonly size: number;
  /** Verifier keys that signed its checkpoint. */
  readonly signedBy: readonly VerifierKey[];
}

const SETTINGS: FeedSettings = { partialMs: 0, parallel: 8, chunkBytes: 16 * 1024 * 1024 };

/**
 * Resolves with what holds and, in `wrong` or `halted`, with the first thing that does not.
 *
 * @throws ClientError where the audit cannot be made: `stale` (a leaf is over more entries than the input log shows), `state`, codes of the
 *   sources; `corrupt`, `quorum`: one of the logs does not hold itself; `cancelled`; RuntimeError `store`, `file`, `locked`
 */
export async function auditIndex(options: IndexAuditOptions): Promise<IndexAuditReport> {
  const opened = await openRebuild({ ...options, settings: SETTINGS });
  try {
    return await run(opened, options);
  } catch (error) {
    throw options.signal.aborted ? cancelled(error) : error;
  } finally {
    await opened.close();
  }
}

async function run({ rebuild }: OpenRebuild, { input, output, signal }: IndexAuditOptions): Promise<IndexAuditReport> {
  const from = rebuild.status.verified;
  const wrong = await rebuild.round(signal);
  const { verified, inputSize, waiting, halted } = rebuild.status;
  if (waiting !== undefined) {
    throw new ClientError(
      'stale',
      `${waiting}: a cache is old, or the log went back. The ${verified} leaves before it hold`,
    );
  }
  return {
    input: audited(input, rebuild.inputHead),
    output: audited(output, rebuild.outputHead),
    verified,
    from,
    inputSize,
    depth: 'map',
    ...(wrong !== undefined && { wrong: inShort(wrong) }),
    ...(wrong === undefined && halted !== undefined && { halted }),
  };
}

/**
 * Checks what can be checked without the entries of the input log: each leaf has the form, its input checkpoint is signed by the
 * input log and never smaller than the one before, and its tree is the beginning of the tree that the input log shows. The roots of
 * the map are taken as they are.
 *
 * @throws ClientError as `auditIndex`
 */
export async function auditIndexCheckpoints(
  options: Omit<IndexAuditOptions, 'dir' | 'threads'> & { readonly open: OpenSource },
): Promise<IndexAuditReport> {
  const { input, output, open, signal } = options;
  const source = open(input.location);
  const tiles = tilesOf(source, signal);
  const nothing = { load: async () => undefined, commit: async () => {} };
  const shown = new Feed(input, nothing, { open, settings: SETTINGS, start: 'now' });
  let before: { readonly size: number; readonly root?: Uint8Array } = { size: 0 };
  let verified = 0;
  let cursor: Cursor | undefined;
  let wrong: WrongLeaf | undefined;
  const compare = async (batch: Batch, head: SignedHead): Promise<void> => {
    for (const { index, body } of batch.entries) {
      const leaf = readLeaf(index, body, input, before);
      const { size } = leaf.head;
      if (size > head.size)
        throw new ClientError('stale', `leaf ${index} is over ${size} entries, and the input log shows ${head.size}`);
      const fits = await isBeginning(leaf.head, head, tiles, fastSha256);
      if (fits === undefined) {
        const why = `the tiles of "${input.origin}" do not lead to its root: whether leaf ${index} is over its tree is not known`;
        throw new ClientError('corrupt', why);
      }
      if (!fits) {
        const why = 'its input checkpoint is of another tree than the one that the input log shows';
        throw new WrongLeafError(leaf, 'input', why, describeHead(head), describeHead(leaf.head));
      }
      before = { size, root: leaf.head.root };
      verified++;
    }
    const leaves = batch.cursor.head.size;
    options.onProgress?.({ entries: verified, goal: leaves, verified, leaves });
    cursor = batch.cursor;
  };
  let leaves: Feed | undefined;
  try {
    const head = await looked(shown, signal);
    const consumer = { load: async () => cursor, commit: (batch: Batch) => compare(batch, head) };
    leaves = new Feed(output, consumer, { open, settings: SETTINGS, start: 'start' });
    try {
      await looked(leaves, signal, true);
    } catch (error) {
      if (!(error instanceof WrongLeafError)) throw error;
      wrong = error.wrong;
    }
    return {
      input: audited(input, head),
      output: audited(output, leaves.cursor?.head ?? cursor?.head),
      verified,
      from: 0,
      inputSize: before.size,
      depth: 'checkpoints',
      ...(wrong !== undefined && { wrong: inShort(wrong) }),
    };
  } catch (error) {
    throw signal.aborted ? cancelled(error) : error;
  } finally {
    await Promise.all([shown.close(), leaves?.close(), source.close()]);
  }
}

/** The accepted head of a feed, and with `read` all its entries. @throws ClientError where it is not accepted */
async function looked(feed: Feed, signal: AbortSignal, read = false): Promise<SignedHead> {
  const look = await feed.look(signal);
  const [fact] = look.facts;
  if (!look.accepted) {
    const code = fact?.type === 'quorum-missing' ? 'quorum' : 'corrupt';
    throw new ClientError(
      code,
      `"${feed.log.origin}" does not hold: ${fact?.type ?? 'its checkpoint is not accepted'}`,
    );
  }
  if (read) {
    const { fact: bad } = await feed.read(look, signal);
    if (bad !== undefined) {
      throw new ClientError('corrupt', `"${feed.log.origin}" serves an entry that is not in its tree: ${bad.index}`);
    }
  }
  return look.head;
}

function audited({ origin }: FollowedLog, head: SignedHead | undefined): AuditedLog {
  return { origin, size: head?.size ?? 0, signedBy: head?.keys ?? [] };
}

function inShort({ leaf: _leaf, proof: _proof, checkpoint: _checkpoint, ...wrong }: WrongLeaf): WrongInShort {
  return wrong;
}
