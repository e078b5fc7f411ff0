/**
 * Compares the logged entry with what was signed. The verifier rebuilds every part that it can. It checks only the form of
 * the other parts, and relies on none of them.
 *
 * Rekor v2 (rekor-tiles 2.3.0), RFC 8785 form, rebuilt byte by byte:
 *
 *   hashedrekord 0.0.2  digest of the file, or of the attestation's PAE; signature; key or certificate
 *   dsse 0.0.2          SHA-256 of the payload; signature; key or certificate (of rekor-tiles before 2.0.1)
 */
import { encodeBase64, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { formatHashedRekord, formatVerifier, type HashedRekordVerifier } from '../../merkle/rekor/hashedrekord.ts';
import { DIGEST_ALGORITHM } from '../../merkle/rekor/hashes.ts';
import { signedKeyDetailsOf } from '../../merkle/rekor/key-details.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { ClientError } from '../errors.ts';
import type { TlogEntry } from '../formats/log-entry.ts';
import { type Claim, mismatch } from './claim.ts';
import { checkDsse001, checkHashedRekord001, checkIntoto002 } from './rebuild-v1.ts';

/** @throws ClientError `entry-mismatch`, `malformed`, `unsupported` for an entry of another kind */
export function checkEntry(entry: TlogEntry, claim: Claim, primitives: Primitives): void {
  const kind = `${entry.kind} ${entry.version}`;
  if (kind === 'hashedrekord 0.0.2') sameBody(entry, hashedRekord002(claim));
  else if (kind === 'dsse 0.0.2') sameBody(entry, dsse002(claim, primitives));
  else if (kind === 'hashedrekord 0.0.1') checkHashedRekord001(entry.body, claim);
  else if (kind === 'dsse 0.0.1') checkDsse001(entry.body, claim, primitives);
  else if (kind === 'intoto 0.0.2') checkIntoto002(entry.body, claim, primitives);
  else {
    const why = `the entry in the log is of the kind "${printable(kind.slice(0, 60))}", which is not checked here`;
    throw new ClientError('unsupported', why);
  }
}

function sameBody(entry: TlogEntry, rebuilt: Uint8Array): void {
  if (!equal(entry.body, rebuilt)) throw mismatch('it is not the one that they give');
}

function hashedRekord002(claim: Claim): Uint8Array {
  if (claim.pure) throw mismatch('the signature is over the attestation itself, not over a digest of it');
  return formatHashedRekord({
    digestAlgorithm: DIGEST_ALGORITHM[claim.algorithm],
    digest: claim.digest,
    signature: claim.content.signature,
    keyDetails: detailsOf(claim),
    verifier: verifierOf(claim),
  });
}

function dsse002(claim: Claim, primitives: Primitives): Uint8Array {
  const { content } = claim;
  if (content.kind !== 'dsse') throw mismatch('it is about an attestation, and the bundle holds none');
  const digest = encodeBase64(primitives.hash('sha256', content.payload));
  const verifier = formatVerifier(detailsOf(claim), verifierOf(claim));
  const signature = `{"content":"${encodeBase64(content.signature)}","verifier":${verifier}}`;
  const payloadHash = `{"algorithm":"SHA2_256","digest":"${digest}"}`;
  return encodeUtf8(
    `{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{"payloadHash":${payloadHash},"signatures":[${signature}]}}}`,
  );
}

function verifierOf({ verifier: { kind, der } }: Claim): HashedRekordVerifier {
  return kind === 'key' ? { publicKey: der } : { certificate: der };
}

/** `dev.sigstore.common.v1.PublicKeyDetails` of a signature: the pairs of key and hash that Rekor v2 accepts. */
function detailsOf({ key, algorithm, pure }: Claim): string {
  const details = signedKeyDetailsOf(key, pure ? undefined : algorithm);
  if (details !== undefined) return details.name;
  throw new ClientError('unsupported', `a log of Rekor v2 takes no signature by ${key.name} over ${algorithm}`);
}
