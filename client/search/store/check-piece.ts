/**
 * Verifies a bundle without the file at hand, whoever signed it: signature, log entries, times, and the certificate where the
 * trust names authorities. The attestation store keeps nothing else, and clients verify what a store returns by the same check.
 *
 * Pure and synchronous: no network, no clock, no files.
 */
import { decodeHex } from '../../../merkle/bytes.ts';
import { INTOTO_TYPE } from '../../../merkle/rekor/dsse.ts';
import { DIGEST_SIZE, HASH_NAME, type HashName } from '../../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki } from '../../../merkle/rekor/spki.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import type { IdentityTest } from '../../../merkle/x509/identity-rule.ts';
import { ClientError } from '../../errors.ts';
import type { Bundle } from '../../formats/bundle.ts';
import type { Statement } from '../../formats/statement.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import type { EvidenceTrust } from '../../policy/check-evidence.ts';
import { keysInEntries } from '../../policy/keys-in-entries.ts';
import { type ArtifactDigests, readStatement } from '../../verify/content.ts';
import type { Outcome } from '../../verify/outcome.ts';
import { checkUnderRoots } from '../../verify/under-roots.ts';

/** Which logs, authorities and witnesses are trusted. */
export type PieceTrust = EvidenceTrust;

/** Whose signature it must be; undefined for anybody's. */
export type ExpectedPieceSigner = { readonly key: KeyInfo } | { readonly identity: IdentityTest } | undefined;

/** A bundle that was verified. */
export interface CheckedPiece {
  readonly bundle: Bundle;
  readonly outcome: Outcome;
  /** Absent for a signature over a file. */
  readonly statement?: Statement;
}

const HASHES: readonly HashName[] = ['sha256', 'sha384', 'sha512'];
/** Most keys of log entries that are tried. */
const MAX_TRIES = 8;

/**
 * @param trusts of which one must vouch for all of it. A certificate is checked under those with authorities, where there are any;
 *   else only its key counts, and the outcome has no identity.
 * @param now milliseconds since 1970
 * @param expected a signer that must have signed
 * @throws ClientError as `checkBundle`; `usage` without any trust
 */
export function checkPiece(
  bundle: Bundle,
  trusts: readonly PieceTrust[],
  now: number,
  primitives: Primitives,
  expected?: ExpectedPieceSigner,
): CheckedPiece {
  const { statement, artifact } = aboutWhat(bundle);
  const vouching = trusts.filter(({ trustedRoot, spiffeBundles }) => (trustedRoot ?? spiffeBundles) !== undefined);
  const wish = expected !== undefined && 'identity' in expected ? expected.identity : undefined;
  const key = expected !== undefined && 'key' in expected ? expected.key : undefined;
  const byIdentity =
    wish !== undefined || (key === undefined && bundle.signer.kind === 'certificate' && vouching.length > 0);
  let failure: unknown;
  for (const trust of byIdentity ? vouching : trusts) {
    try {
      const outcome = byIdentity
        ? checkUnderRoots({ ...trust, bundle, artifact, now, identity: wish ?? (() => ({})) }, primitives)
        : byKey(bundle, artifact, trust, now, primitives, key === undefined ? keysOf(bundle, primitives) : [key]);
      return { bundle, outcome, ...(statement !== undefined && { statement }) };
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // What names another log than this trust does says least.
      if (failure === undefined || !isOtherLog(error)) failure = error;
    }
  }
  throw failure ?? new ClientError('usage', 'say which logs are trusted: nothing can be verified without');
}

function isOtherLog({ code }: ClientError): boolean {
  return code === 'bad-checkpoint' || code === 'policy' || code === 'trusted-root';
}

/** The statement, and a digest that the bundle itself names: the signature decides whether the signer named it too. */
function aboutWhat({ content }: Bundle): {
  readonly statement?: Statement;
  readonly artifact: ArtifactDigests;
} {
  if (content.kind === 'message') {
    const { digest } = content;
    if (digest !== undefined) return { artifact: { [HASH_NAME[digest.algorithm]]: digest.value } };
    throw new ClientError('unsupported', 'the bundle does not say which file was signed: it names no digest');
  }
  const statement = content.payloadType === INTOTO_TYPE ? readStatement(content) : undefined;
  // The verifier says what another payload is.
  if (statement === undefined) return { artifact: {} };
  for (const { digest } of statement.subjects) {
    for (const hash of HASHES) {
      const hex = digest.get(hash);
      if (hex?.length === 2 * DIGEST_SIZE[hash]) return { statement, artifact: { [hash]: decodeHex(hex) } };
    }
  }
  return { statement, artifact: {} };
}

function byKey(
  bundle: Bundle,
  artifact: ArtifactDigests,
  { requireSct: _, ignoreSct: __, spiffeBundles: ___, ...trust }: PieceTrust,
  now: number,
  primitives: Primitives,
  keys: readonly KeyInfo[],
): Outcome {
  let failure: unknown;
  for (const key of keys) {
    try {
      return checkUnderRoots({ ...trust, bundle, artifact, now, key }, primitives);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (failure === undefined || error.code !== 'bad-signature') failure = error;
    }
  }
  throw failure ?? new ClientError('bad-signature', 'no log entry of the bundle names a key that could have signed it');
}

function keysOf({ signer, entries }: Bundle, primitives: Primitives): readonly KeyInfo[] {
  if (signer.kind === 'certificate') {
    return [withClientErrors(() => parseSpki(parseCertificate(signer.certificate).spki))];
  }
  if (entries.length === 0) {
    throw new ClientError('bad-proof', 'the bundle holds no log entry: nothing shows that the signature was logged');
  }
  return keysInEntries(entries, undefined, primitives).slice(0, MAX_TRIES);
}
