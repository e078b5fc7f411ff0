/**
 * Turns DSSE envelopes (secure-systems-lab/dsse, protocol v1.0.2) into `hashedrekord` entries with the digest of the
 * pre-authentication encoding (merkle/rekor/dsse.ts). Current verifiers expect attestations in this form.
 */
import { createHash } from 'node:crypto';
import { paeHeader } from '../../merkle/rekor/dsse.ts';
import type { IngestedEntry } from '../types.ts';
import {
  type Checks,
  checkPoint,
  checkSize,
  entryOf,
  invalid,
  isMissing,
  readVerifier,
  verify,
} from './hashedrekord.ts';
import type { DsseRequest } from './request.ts';

/** Most signatures, and most verifiers, of one envelope: each of the former may be checked with each of the latter. */
const MAX_DSSE_SIGNATURES = 8;

const PREFIX = 'invalid dsse request: ';

/**
 * Makes one entry per signature, in the order of the signatures. Each signature must verify with one of the verifiers, and
 * each verifier must verify a signature.
 * @throws Refused `invalid-entry`
 */
export function dsseEntries({ envelope, verifiers = [] }: DsseRequest, checks: Checks): IngestedEntry[] {
  const { payload, payloadType = '', signatures = [] } = envelope ?? {};
  requireThat(envelope !== undefined, 'missing envelope');
  requireThat(signatures.length > 0, 'missing signatures');
  requireThat(verifiers.length > 0, 'missing verifiers');
  requireThat(payloadType !== '', 'missing payload type');
  if (isMissing(payload)) return invalid(PREFIX, 'missing', 'missing payload');
  for (const [what, list] of Object.entries({ signatures, verifiers })) {
    if (list.length > MAX_DSSE_SIGNATURES) {
      invalid(PREFIX, 'too-many', `${list.length} ${what}; at most ${MAX_DSSE_SIGNATURES} are accepted`);
    }
  }
  const known = verifiers.map((verifier) => readVerifier(verifier, checks, PREFIX));
  const digests = new Map<string, Buffer>();
  const digestFor = (hash: string): Buffer => {
    let digest = digests.get(hash);
    if (digest === undefined) {
      digest = createHash(hash).update(paeHeader(payloadType, payload.length)).update(payload).digest();
      digests.set(hash, digest);
    }
    return digest;
  };

  const used = new Set<number>();
  const entries = signatures.map(({ sig }, index) => {
    if (isMissing(sig)) return invalid(PREFIX, 'missing', `missing signature ${index}`);
    checkSize(PREFIX, sig, checks);
    // Nearly always signatures and verifiers have the same order, so the first try succeeds.
    for (let step = 0; step < known.length; step++) {
      const at = (index + step) % known.length;
      const verifier = known[at]!;
      const digest = digestFor(verifier.hash);
      if (verify(verifier, digest, sig, checks, PREFIX)) {
        used.add(at);
        return entryOf('dsse', verifier, digest, sig, checks, PREFIX);
      }
    }
    for (const { key } of known) checkPoint(key, PREFIX);
    return invalid(PREFIX, 'signature', `signature ${index} does not verify with any of the verifiers`);
  });
  const idle = known.findIndex((_, index) => !used.has(index));
  if (idle !== -1) invalid(PREFIX, 'signature', `verifier ${idle} verifies none of the signatures`);
  return entries;
}

function requireThat(there: boolean, otherwise: string): void {
  if (!there) invalid(PREFIX, 'missing', otherwise);
}
