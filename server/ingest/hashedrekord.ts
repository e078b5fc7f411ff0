/** Checks a `hashedrekord` request, and makes its entry (docs/wire.md; rekor-tiles 2.3.0 pkg/types/hashedrekord). */
import { MerkleError } from '../../merkle/errors.ts';
import { hashedRekordText, verifierText } from '../../merkle/rekor/hashedrekord.ts';
import { DIGEST_ALGORITHM, DIGEST_SIZE, type HashName } from '../../merkle/rekor/hashes.ts';
import { keyDetailsToLog } from '../../merkle/rekor/key-details.ts';
import { hasValidPoint, type KeyInfo } from '../../merkle/rekor/spki.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import type { DigestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { readPublicKey } from '../../merkle/runtime/crypto/public-key.ts';
import type { AccessEntry } from '../../merkle/runtime/policy/access/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { certificateKey } from '../../merkle/runtime/x509/certificate-key.ts';
import { parseCertificate } from '../../merkle/x509/certificate.ts';
import { identityOf } from '../../merkle/x509/fulcio.ts';
import { checkGoReadable } from '../../merkle/x509/go-readable.ts';
import type { IngestedEntry } from '../types.ts';
import { type Reason, refuse } from './refuse.ts';
import type { HashedRekordRequest, Verifier } from './request.ts';

/** The settings and limits of the checks. */
export interface Checks {
  readonly verifier: DigestVerifier;
  /** Longest canonical entry in bytes: at most 65,535. */
  readonly entryBytes: number;
  /** Take certificates that Go's crypto/x509 does not read. */
  readonly anyCertificate: boolean;
  /** Say of each entry what is written: the log judges its writers. */
  readonly facts: boolean;
  /** The verifications that are left for the body. The checks decrement it (DSSE multiplies signatures by verifiers). */
  readonly budget: { verifications: number };
}

/** A verifier of a request, with its parsed key. The log accepts its key details. */
interface KnownVerifier {
  readonly key: KeyInfo;
  readonly hash: HashName;
  /** The verifier's canonical JSON in the entry. */
  readonly entry: string;
  /** Name of its key details. */
  readonly keyDetails: string;
  /** DER; undefined for a plain key. */
  readonly certificate: Uint8Array | undefined;
}

/** Prefix of every message about a `hashedrekord`, as in rekor-tiles. */
const PREFIX = 'invalid hashedrekord request: ';

/** Checks the request in the order of docs/wire.md. @throws Refused `invalid-entry` */
export function hashedRekordEntry({ digest, signature }: HashedRekordRequest, checks: Checks): IngestedEntry {
  const content = signature?.content;
  if (isMissing(content)) return invalid(PREFIX, 'missing', 'missing signature');
  if (signature?.verifier === undefined) return invalid(PREFIX, 'missing', 'missing verifier');
  if (isMissing(digest)) return invalid(PREFIX, 'missing', 'missing digest');
  checkSize(PREFIX, content, checks);
  const known = readVerifier(signature.verifier, checks, PREFIX);
  const size = DIGEST_SIZE[known.hash];
  if (digest.length !== size) {
    checkPoint(known.key, PREFIX);
    const name = DIGEST_ALGORITHM[known.hash];
    invalid(PREFIX, 'digest-length', `the digest has ${digest.length} bytes; ${name} has ${size}`);
  }
  if (!verify(known, digest, content, checks, PREFIX)) {
    checkPoint(known.key, PREFIX);
    invalid(PREFIX, 'signature', 'the signature does not verify over the digest with this key');
  }
  return entryOf('hashedrekord', known, digest, content, checks, PREFIX);
}

/** Reads the key or certificate, and looks up its key details in the registry. @throws Refused `invalid-entry` */
export function readVerifier(verifier: Verifier, checks: Checks, prefix: string): KnownVerifier {
  const { publicKey, x509Certificate, keyDetails = 0 } = verifier;
  const rawBytes = (publicKey ?? x509Certificate)?.rawBytes;
  if (publicKey === undefined && x509Certificate === undefined) {
    return invalid(prefix, 'missing', 'missing public key or X.509 certificate');
  }
  if (isMissing(rawBytes)) {
    return invalid(prefix, 'missing', `missing ${publicKey ? 'public key' : 'X.509 certificate'} raw bytes`);
  }
  checkSize(prefix, rawBytes, checks);
  const spki = publicKey ? rawBytes : parsed(() => keyOfCertificate(rawBytes, checks), 'certificate', prefix);
  const key = parsed(() => readPublicKey(spki), 'key', prefix);
  const found = keyDetailsToLog(key, keyDetails);
  if (typeof found === 'string') {
    checkPoint(key, prefix);
    return invalid(prefix, 'key-details', found);
  }
  const form = publicKey ? 'publicKey' : 'x509Certificate';
  const certificate = publicKey ? undefined : rawBytes;
  const entry = verifierText(found.name, form, toBase64(rawBytes));
  return { key, hash: found.hash, entry, keyDetails: found.name, certificate };
}

/** @throws RuntimeError `key-format`; MerkleError `bad-certificate` */
function keyOfCertificate(der: Uint8Array, { anyCertificate }: Checks): Uint8Array {
  if (!anyCertificate) checkGoReadable(der);
  return certificateKey(der);
}

/** Whether the verifier signed `digest`, which has the length of its hash. @throws Refused `invalid-entry` past the budget */
export function verify(
  known: KnownVerifier,
  digest: Uint8Array,
  signature: Uint8Array,
  checks: Checks,
  prefix: string,
): boolean {
  if (checks.budget.verifications === 0) invalid(prefix, 'too-many', 'too many signatures and verifiers in one body');
  checks.budget.verifications -= 1;
  return checks.verifier.verifyDigest(known.key, digest, signature);
}

/** The entry with its leaf hash. @throws Refused `invalid-entry` if the entry is too long */
export function entryOf(
  kind: AccessEntry['kind'],
  known: KnownVerifier,
  digest: Uint8Array,
  signature: Uint8Array,
  checks: Checks,
  prefix: string,
): IngestedEntry {
  const text = hashedRekordText(DIGEST_ALGORITHM[known.hash], toBase64(digest), toBase64(signature), known.entry);
  const body = Buffer.from(text, 'latin1');
  if (body.length > checks.entryBytes) tooLong(prefix, checks);
  const entry = { leafHash: leafHash(body, fastSha256), body };
  return checks.facts ? { ...entry, facts: factsOf(kind, known) } : entry;
}

/** The issuer is what the certificate says: nothing of it is verified here. */
function factsOf(kind: AccessEntry['kind'], { keyDetails, certificate }: KnownVerifier): AccessEntry {
  const issuer = certificate && issuerOf(certificate);
  return { kind, key: keyDetails, ...(issuer !== undefined && { issuer }) };
}

/** The identity provider that the certificate names, else its issuing authority; undefined where it cannot be read. */
function issuerOf(der: Uint8Array): string | undefined {
  try {
    const certificate = parseCertificate(der);
    return identityOf(certificate).issuer ?? certificate.issuer;
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

/**
 * Refuses a key whose point is not on its curve. Only signature checks fail with such a key, so callers use this function
 * before another refusal, whose message would be misleading.
 * @throws Refused `invalid-entry`
 */
export function checkPoint(key: KeyInfo, prefix: string): void {
  if (!hasValidPoint(key)) invalid(prefix, 'key', 'the public key is not a point on its curve');
}

export function invalid(prefix: string, reason: Reason, what: string): never {
  return refuse('invalid-entry', reason, prefix + what);
}

export function isMissing(bytes: Uint8Array | undefined): bytes is undefined {
  return bytes === undefined || bytes.length === 0;
}

/** Refuses bytes longer than an entry before a parser or a signature check reads them. @throws Refused `invalid-entry` */
export function checkSize(prefix: string, bytes: Uint8Array, checks: Checks): void {
  if (bytes.length > checks.entryBytes) tooLong(prefix, checks);
}

function tooLong(prefix: string, checks: Checks): never {
  return invalid(prefix, 'entry-size', `the entry would have more than ${checks.entryBytes} bytes`);
}

function parsed<T>(parse: () => T, reason: Reason, prefix: string): T {
  try {
    return parse();
  } catch (error) {
    const isRefusal =
      (error instanceof RuntimeError && error.code === 'key-format') ||
      (error instanceof MerkleError && error.code === 'bad-certificate');
    if (isRefusal) return invalid(prefix, reason, error.message);
    throw error;
  }
}
