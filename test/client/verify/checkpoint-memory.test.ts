import { describe, expect, it } from 'vitest';
import { makeBundles } from '../../../bench/load/verify-inputs.ts';
import { ClientError } from '../../../client/errors.ts';
import type { Bundle } from '../../../client/formats/bundle.ts';
import type { InclusionProof, TlogEntry } from '../../../client/formats/log-entry.ts';
import { CheckpointMemory } from '../../../client/verify/checkpoint-memory.ts';
import {
  type BundleRequest,
  parseBundle,
  parseLogKey,
  parseTrustPolicy,
  verifyBundle,
} from '../../../client/verify.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki } from '../../../merkle/rekor/spki.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';

const SIGNATURES = 3;
// Ten entries under each of two checkpoints.
const { inputs, policy } = await makeBundles(20, 10);
const trust = { policy: parseTrustPolicy(encodeUtf8(policy)) };
const requests = inputs.map(({ bundle, digest, spki }) => ({
  bundle: parseBundle(bundle),
  artifact: { sha256: digest },
  key: parseSpki(spki),
}));

/** How many signatures of notes were checked is in `checks`. */
function counting(): Primitives & { checks: number } {
  const primitives = nodePrimitives();
  const { ed25519, ...others } = primitives.cosignature;
  const counted = {
    ...primitives,
    checks: 0,
    cosignature: {
      ...others,
      ed25519: (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => {
        counted.checks++;
        return ed25519(key, message, signature);
      },
    },
  };
  return counted;
}

function answer(request: BundleRequest, primitives: Primitives = nodePrimitives()): unknown {
  try {
    return verifyBundle(request, primitives);
  } catch (error) {
    if (error instanceof ClientError) return [error.code, error.message];
    throw error;
  }
}

type Request = BundleRequest & { readonly bundle: Bundle; readonly key: KeyInfo };

/** Only the entry changes, or only its proof. */
const withEntry = (request: Request, change: Partial<TlogEntry>): Request => ({
  ...request,
  bundle: { ...request.bundle, entries: [{ ...request.bundle.entries[0]!, ...change }] },
});
const withProof = (request: Request, change: Partial<InclusionProof>): Request =>
  withEntry(request, { proof: { ...request.bundle.entries[0]!.proof!, ...change } });
const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte));

describe('checkpoints that were verified before', () => {
  it('are not checked again, and what is found is the same', () => {
    const memory = new CheckpointMemory();
    const primitives = counting();
    const checks: number[] = [];
    for (const request of requests) {
      const outcome = verifyBundle({ ...request, ...trust, memory }, primitives);
      expect(outcome).toEqual(verifyBundle({ ...request, ...trust }, nodePrimitives()));
      checks.push(primitives.checks);
    }
    expect(checks).toEqual([...Array(10).fill(SIGNATURES), ...Array(10).fill(2 * SIGNATURES)]);
  });

  it('let nothing pass that would not pass without them', () => {
    const memory = new CheckpointMemory();
    for (const request of requests) verifyBundle({ ...request, ...trust, memory }, nodePrimitives());
    const request: Request = { ...requests[1]!, ...trust };
    const { proof, logId, body } = request.bundle.entries[0]!;
    const { root, hashes, checkpoint } = proof as Required<InclusionProof>;
    const other = requests[15]!.bundle.entries[0]!.proof!;
    const changed = [
      withEntry(request, { logId: flipped(logId) }),
      withEntry(request, { body: flipped(body) }),
      withEntry(request, { index: 2 }),
      withEntry(request, { integratedTime: 1 }),
      withEntry(request, { promise: new Uint8Array(64) }),
      withProof(request, { index: 2 }),
      withProof(request, { treeSize: 11 }),
      withProof(request, { root: flipped(root) }),
      withProof(request, { hashes: hashes.slice(1) }),
      withProof(request, { hashes: [flipped(hashes[0]!), ...hashes.slice(1)] }),
      withProof(request, { checkpoint: other.checkpoint! }),
      withProof(request, { checkpoint: other.checkpoint!, treeSize: other.treeSize, root: other.root }),
      withProof(request, { checkpoint: checkpoint.replace('\n10\n', '\n11\n') }),
      ...[...checkpoint.matchAll(/[A-Za-z0-9]=*\n/g)].map(({ index }) =>
        withProof(request, { checkpoint: `${checkpoint.slice(0, index)}!${checkpoint.slice(index + 1)}` }),
      ),
    ];
    for (const one of changed) {
      const refused = answer(one);
      expect(refused).toHaveLength(2);
      // Twice: what was refused is not taken the second time.
      expect([answer({ ...one, memory }), answer({ ...one, memory })]).toEqual([refused, refused]);
    }
    expect(changed.length).toBeGreaterThan(16);
    expect(answer({ ...request, memory })).toEqual(answer(request));
  });

  it('count for one trust and one way of checking only', () => {
    const memory = new CheckpointMemory();
    const primitives = counting();
    const request: Request = { ...requests[0]!, ...trust };
    const counted = (more: Partial<BundleRequest>, by: Primitives = primitives) => {
      primitives.checks = 0;
      const result = answer({ ...request, ...more, memory }, by);
      expect(result).toEqual(answer({ ...request, ...more }));
      return primitives.checks;
    };
    expect([counted({}), counted({})]).toEqual([SIGNATURES, 0]);
    // The same text read anew is another object, and may be another policy.
    expect(counted({ policy: parseTrustPolicy(encodeUtf8(policy)) })).toBe(SIGNATURES);
    const w1 = policy.replace('group both all w0 w1\nquorum both', 'quorum w1');
    expect(counted({ policy: parseTrustPolicy(encodeUtf8(w1)) })).toBe(SIGNATURES);
    // Whether the witnesses' time counts does not change who signed.
    expect([counted({}), counted({ witnessTime: true }), counted({})]).toEqual([SIGNATURES, 0, 0]);
    const vkey = /^log (\S+)/.exec(policy)![1]!;
    expect(counted({ logKey: parseLogKey(vkey) })).toBe(SIGNATURES);
    expect(counted({})).toBe(SIGNATURES);
    expect(counted({}, nodePrimitives())).toBe(0);
    // By other primitives nothing is known yet.
    expect(counted({})).toBe(SIGNATURES);
  });

  it('are forgotten once they are too many, and one that is too long is never held', () => {
    const notes = [requests[0]!, requests[10]!].map(({ bundle }) => bundle.entries[0]!.proof!.checkpoint!.length);
    const checks = (limit: number): number => {
      const memory = new CheckpointMemory(limit);
      const primitives = counting();
      for (const i of [0, 10, 11, 1, 2]) verifyBundle({ ...requests[i]!, ...trust, memory }, primitives);
      return primitives.checks / SIGNATURES;
    };
    expect(checks(notes[0]! + notes[1]!)).toBe(2);
    expect(checks(notes[0]! + notes[1]! - 1)).toBe(3);
    expect(checks(Math.min(...notes) - 1)).toBe(5);
  });
});
