/**
 * Checks what a verifiable index answered to a lookup, and believes it nothing. It runs in a browser.
 *
 * What holds then: the postings are all entries with the key in the first `completeThrough` entries of the input log, or the key
 * is in none of them, as long as the quorum of rebuilders is honest. Without rebuilders it holds as long as the operator of the
 * index is honest, and a rebuild would find the lie (`stele audit --index`). docs/index.md says who proves what.
 */
import { MerkleError } from '../../merkle/errors.ts';
import type { IndexKey } from '../../merkle/index/keys.ts';
import { parseLookup } from '../../merkle/index/lookup.ts';
import { parseOutputLeaf } from '../../merkle/index/map-leaf.ts';
import { type KnownPostings, verifyLookup } from '../../merkle/index/verify-lookup.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { ClientError } from '../errors.ts';
import type { TreeHead } from '../tiles/types.ts';
import { type Cosigned, quorumTime, verifyQuorum } from '../trust/quorum.ts';
import { sha256Of } from '../verify/leaf.ts';
import { checkLookupHistory, FailedClaim, type LookupClaim, type LookupHead, openLookupHead } from './lookup-heads.ts';
import { checkLookupTrust, type LookupMemory, type LookupTrust, type ProveLookupTree } from './lookup-trust.ts';

export interface LookupChecks {
  readonly primitives: Primitives;
  /** What the client saw before; empty by default. */
  readonly memory?: LookupMemory;
  /** Fetches proofs that a log only grew; without it, no larger tree than the one that was seen holds. */
  readonly prove?: ProveLookupTree;
  /** The postings of this key that the client has: what was asked for with `since`. */
  readonly known?: KnownPostings;
}

/** A lookup that holds. */
export interface ProvenLookup {
  readonly ok: true;
  /** Whether an entry of the input tree has the key. */
  readonly present: boolean;
  /** Indexes of entries with the key, ascending: all of them, or those behind `known`. */
  readonly indexes: readonly number[];
  /** With `indexes`, the client has all postings. Otherwise a further lookup with `next` gives more. */
  readonly complete: boolean;
  /** For the next lookup of this key. */
  readonly next: KnownPostings;
  /** The lookup is about exactly the entries of the input log below it: the size of its input tree. */
  readonly completeThrough: number;
  readonly input: LookupHead;
  readonly output: LookupHead;
  /** The rebuilders that cosigned, each once. Empty where the trust names none: then the operator is believed. */
  readonly rebuilders: readonly Cosigned[];
  /** When the quorum of rebuilders had cosigned, in seconds since 1970; undefined without a quorum of rebuilders. */
  readonly rebuilt?: number;
  /** The memory from now on. Keep it before you use the result. */
  readonly memory: LookupMemory & { readonly input: TreeHead; readonly output: TreeHead };
}

/** A lookup that does not hold: the first claim that failed, and why. */
interface FailedLookup {
  readonly ok: false;
  readonly claim: LookupClaim;
  readonly why: string;
}

export type CheckedLookup = ProvenLookup | FailedLookup;

/**
 * @param bytes the answer of the index, of anybody's making
 * @throws ClientError `policy`: the trust does not fit together; what `prove` throws
 */
export async function checkLookup(
  bytes: Uint8Array,
  key: IndexKey,
  trust: LookupTrust,
  { primitives, memory = {}, prove, known }: LookupChecks,
): Promise<CheckedLookup> {
  checkLookupTrust(trust);
  const hash = sha256Of(primitives);
  try {
    const lookup = inForm(() => parseLookup(bytes));
    const output = openLookupHead('output', trust.output, lookup.outputCheckpoint, primitives);
    const rebuilders = rebuildersOf(trust, output, primitives);
    const question = {
      key,
      inputOrigin: trust.input.origin,
      outputOrigin: trust.output.origin,
      ...(known !== undefined && { known }),
    };
    const { indexes, present, complete, next } = inMap(() => verifyLookup(lookup, question, hash));
    const { inputCheckpoint } = inMap(() => parseOutputLeaf(lookup.outputLeaf));
    const input = openLookupHead('input', trust.input, inputCheckpoint, primitives);
    const seen = await checkLookupHistory({ input, output }, memory, prove, hash);
    const rebuilt = trust.rebuilders && quorumTime(trust.rebuilders, rebuilders);
    return {
      ok: true,
      present,
      indexes,
      complete,
      next,
      completeThrough: input.size,
      input,
      output,
      rebuilders,
      ...(rebuilt !== undefined && { rebuilt }),
      memory: seen,
    };
  } catch (error) {
    if (error instanceof FailedClaim) return { ok: false, claim: error.claim, why: error.message };
    throw error;
  }
}

/** @throws FailedClaim */
function rebuildersOf(
  { rebuilders }: LookupTrust,
  { signed }: LookupHead,
  primitives: Primitives,
): readonly Cosigned[] {
  if (rebuilders === undefined) return [];
  try {
    return verifyQuorum(rebuilders, signed, primitives.cosignature);
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== 'quorum') throw cause;
    const count = rebuilders.witnesses.length;
    throw new FailedClaim('rebuilders', `too few of the ${count} rebuilders have rebuilt the index: ${cause.message}`, {
      cause,
    });
  }
}

function inForm<T>(read: () => T): T {
  return failing('form', 'the answer is no lookup', read);
}

function inMap<T>(read: () => T): T {
  return failing('map', 'the answer does not follow from the root of the map', read);
}

function failing<T>(claim: LookupClaim, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new FailedClaim(claim, `${what}: ${cause.message}`, { cause });
  }
}
