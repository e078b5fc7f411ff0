/**
 * The signature in an entry, where the entry holds all that it is over: that of a digest. Whose key it is, a log does not say; see
 * certificate-words.ts.
 */
import { encodeHex } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { parseHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { DIGEST_SIZE, type HashName } from '../../../merkle/rekor/hashes.ts';
import { findKeyDetails, loggedKeyDetailsOf } from '../../../merkle/rekor/key-details.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { hasValidPoint, type KeyInfo, parseSpki } from '../../../merkle/rekor/spki.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from './claims.ts';

export interface SignedDigest {
  readonly algorithm: HashName;
  readonly value: Uint8Array;
}

/** A signature as the readers of entries found it. */
export interface SignatureParts {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  readonly verifier: { readonly der: Uint8Array; readonly isCertificate: boolean };
  /** Only of Rekor v2. */
  readonly keyDetails?: string;
  /** What is signed; absent where the entry does not hold it. */
  readonly digest?: SignedDigest;
  /** Why it is not checked, where it is not over a digest. */
  readonly why?: string;
}

interface SignatureKey {
  readonly keyName?: string;
  readonly keyDigest?: string;
}

const WHAT = 'The key in the entry signed its digest';

/** The key of a signature, and whether the signature holds. Never throws for what is in the entry. */
export function checkEntrySignature(
  parts: SignatureParts,
  primitives: Primitives,
): { readonly key: SignatureKey; readonly claim: PageClaim } {
  const { der, isCertificate } = parts.verifier;
  let spki: Uint8Array | undefined;
  let key: KeyInfo | undefined;
  let unreadable = '';
  try {
    spki = isCertificate ? parseCertificate(der).spki : der;
    key = parseSpki(spki);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    unreadable = error.message;
  }
  const found = {
    ...(key !== undefined && { keyName: key.name }),
    ...(spki !== undefined && { keyDigest: encodeHex(primitives.hash('sha256', spki)) }),
  };
  if (key === undefined) return { key: found, claim: claimNotChecked(WHAT, `its key cannot be read: ${unreadable}`) };
  return { key: found, claim: claimFor(parts, key, primitives) };
}

function claimFor(parts: SignatureParts, key: KeyInfo, primitives: Primitives): PageClaim {
  const { digest, why, keyDetails, body, signature } = parts;
  if (digest === undefined) return claimNotChecked('The signature', why ?? 'the entry does not hold what was signed');
  if (!hasValidPoint(key)) return claimFailed(WHAT, 'the key is no point on its curve');
  if (keyDetails === undefined) return ofVersion1(key, digest, signature, primitives);
  const details = findKeyDetails(keyDetails);
  if (details === undefined || details.signs !== 'digest') {
    return claimNotChecked(WHAT, 'the entry names a kind of signature that this page does not check');
  }
  if (loggedKeyDetailsOf(key) !== details) return claimFailed(WHAT, 'its key is not of the kind that the entry names');
  if (digest.algorithm !== details.hash) {
    return claimFailed(WHAT, `a key of this kind does not sign a ${digest.algorithm} digest`);
  }
  try {
    parseHashedRekord(body);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    return claimFailed(WHAT, `the entry has not the one form of its kind: ${error.message}`);
  }
  return verified(key, digest, signature, primitives);
}

/** Rekor v1 takes Ed25519 over the file itself, and ECDSA and RSA over the digest. */
function ofVersion1(key: KeyInfo, digest: SignedDigest, signature: Uint8Array, primitives: Primitives): PageClaim {
  const holds = primitives.verifyDigest(key, digest.algorithm, digest.value, signature);
  if (!holds && key.kind === 'ed25519') {
    return claimNotChecked(WHAT, 'an Ed25519 key may sign the file itself, which a log does not hold');
  }
  return holds ? claimChecked(WHAT, over(key, digest)) : mismatch(key, digest);
}

function verified(key: KeyInfo, digest: SignedDigest, signature: Uint8Array, primitives: Primitives): PageClaim {
  const holds = primitives.verifyDigest(key, digest.algorithm, digest.value, signature);
  return holds ? claimChecked(WHAT, over(key, digest)) : mismatch(key, digest);
}

function over(key: KeyInfo, { algorithm }: { readonly algorithm: HashName }): string {
  return `${key.name} over the ${algorithm} digest of ${DIGEST_SIZE[algorithm]} bytes. Who holds the key, the signature does not say`;
}

function mismatch(key: KeyInfo, { algorithm }: { readonly algorithm: HashName }): PageClaim {
  return claimFailed(WHAT, `the signature does not verify with this ${key.name} key over the ${algorithm} digest`);
}
