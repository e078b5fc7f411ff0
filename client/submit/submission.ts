/**
 * Signatures that exist already: in a Sigstore bundle without a log entry, in a DSSE envelope, or beside a digest. A
 * submission becomes a bundle with its proof once a log has the entry.
 *
 * Each signature is logged as one `hashedrekord` 0.0.2. The signature of an attestation is over the DSSE pre-authentication
 * encoding (merkle/rekor/dsse.ts), which verifiers of Rekor v2 rebuild.
 *
 * Each signature is verified here before it goes to a log, as a log never removes an entry.
 */
import { createHash } from 'node:crypto';
import { decodeBase64, decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import { pemBytes } from '../../merkle/pem.ts';
import { preAuthEncoding } from '../../merkle/rekor/dsse.ts';
import { HASH_NAME } from '../../merkle/rekor/hashes.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { parseCertificate } from '../../merkle/x509/certificate.ts';
import { ClientError, usage } from '../errors.ts';
import {
  type Bundle,
  bundleJson,
  type DsseContent,
  MAX_BUNDLE,
  type MessageContent,
  parseEnvelope,
  readBundle,
} from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import { malformed, parseJson } from '../formats/json.ts';
import {
  keyBlocks,
  keyHint,
  noBlock,
  otherBlock,
  type PublicKey,
  parsePublicKey,
  severalBlocks,
} from '../formats/key.ts';
import { type LogEntry, tlogEntry } from '../formats/log-entry.ts';
import { otherJson } from '../formats/other-forms.ts';
import { MAX_STATEMENT } from '../formats/statement.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { checkSignerCertificate, readSignerCertificate, timesIn } from './signers/certificate-check.ts';

/** In bytes. An entry of at most 65,535 bytes in base64, and a checkpoint of at most 1 MiB, take less. */
const PROOF_ROOM = 2 * 1024 * 1024;

/** A key that verifies a signature, with its certificate if there is one. */
export type Verifier = Pick<Signed, 'publicKey' | 'certificate'>;

/** One verified signature, and the bundle that will carry its proof. */
export interface Submission {
  readonly signed: Signed;
  /** Without entries. */
  readonly bundle: Bundle;
  /** The signature comes from a bundle, which the complete bundle may replace. */
  readonly fromBundle: boolean;
}

/**
 * @param spki SubjectPublicKeyInfo, DER; P-256, P-384, P-521, RSA of 2048, 3072 or 4096 bits, Ed25519
 * @throws ClientError `key`
 */
export function keyVerifier(spki: Uint8Array): Verifier {
  return { publicKey: parsePublicKey(spki, nodePrimitives()) };
}

/**
 * @param der one X.509 certificate. Its chain and validity are not checked.
 * @throws ClientError `key`; `bad-certificate` where every verifier refuses it
 */
export function certificateVerifier(der: Uint8Array): Verifier {
  readSignerCertificate(der);
  return loggedCertificate(der);
}

/** The verifier of a certificate that may be logged, whatever verifiers say of it. @throws ClientError `key`, `malformed` */
function loggedCertificate(der: Uint8Array): Verifier {
  const certificate = Uint8Array.from(der);
  return { ...keyVerifier(withClientErrors(() => parseCertificate(certificate)).spki), certificate };
}

/**
 * One PEM block `PUBLIC KEY`, or a certificate or a chain, whose first certificate counts. Text around the blocks is not
 * read. @throws ClientError `key`
 */
export function parseVerifierPem(pem: string): Verifier {
  const blocks = keyBlocks(pem);
  const [first] = blocks;
  if (first === undefined) throw noBlock(pem, '"PUBLIC KEY" or "CERTIFICATE"');
  const isChain = blocks.every(({ label }) => label === 'CERTIFICATE');
  if (blocks.length > 1 && !isChain) throw severalBlocks(blocks);
  if (!isChain && first.label !== 'PUBLIC KEY') throw otherBlock(first);
  const der = withClientErrors(() => pemBytes(first));
  return isChain ? certificateVerifier(der) : keyVerifier(der);
}

/**
 * Reads a Sigstore bundle (v0.1 to v0.3) without a log entry, or a DSSE envelope. The fields of the file tell which of the
 * two it is. An envelope gives one submission for each of its signatures, as a bundle carries one signature.
 *
 * What verifiers refuse is refused here. A certificate must be valid now, or at the time of a time stamp in the bundle.
 *
 * @param verifiers keys of the signatures that carry no certificate; each must verify one
 * @throws ClientError `malformed`, `unsupported` (with its proof, the bundle would be too long), `usage` (a key is missing, or
 * there is one too many), `key`, `bad-signature`, `bad-certificate`
 */
export function parseSigned(file: Uint8Array, verifiers: readonly Verifier[] = []): Submission[] {
  const json = parseJson(file, 'the file', MAX_BUNDLE);
  if (file.length > MAX_BUNDLE - PROOF_ROOM) {
    const why = `the file has ${file.length} bytes: with its proof it would be longer than the limit of ${MAX_BUNDLE}, and not verify`;
    throw new ClientError('unsupported', why);
  }
  const submissions = signedIn(json, verifiers);
  for (const one of submissions) checkCertificate(one);
  return submissions;
}

function signedIn(json: unknown, verifiers: readonly Verifier[]): Submission[] {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    const has = (...names: string[]) => names.some((name) => name in json);
    const isEnvelope = has('payloadType', 'payload_type');
    // An envelope may have further members of any name.
    if (has('verificationMaterial', 'verification_material') || (has('mediaType', 'media_type') && !isEnvelope)) {
      return [fromBundle(readBundle(json), verifiers)];
    }
    if (isEnvelope) return fromEnvelope(json, verifiers);
  }
  const other = otherJson(json);
  const what = 'the file is neither a Sigstore bundle nor a DSSE envelope';
  throw other === undefined
    ? new ClientError('malformed', what)
    : new ClientError('unsupported', `${what}, but ${other}`);
}

function checkCertificate({ signed: { certificate, publicKey }, bundle: { timestamps } }: Submission): void {
  if (certificate !== undefined) checkSignerCertificate(certificate, publicKey, [...timesIn(timestamps), Date.now()]);
}

/**
 * @throws ClientError `usage` where the key signs digests of another length; `bad-signature`; `bad-certificate` where the
 * certificate is not valid now
 */
export function fromDigest(digest: Uint8Array, signature: Uint8Array, verifier: Verifier): Submission {
  const { digest: algorithm, digestSize } = verifier.publicKey;
  if (digest.length !== digestSize) {
    throw usage(`the digest has ${digest.length} bytes; this kind of key signs ${algorithm}, of ${digestSize} bytes`);
  }
  const content: MessageContent = { kind: 'message', digest: { algorithm, value: digest }, signature };
  const one = submission(digest, signature, verifier, newBundle(content, verifier), false);
  checkCertificate(one);
  return one;
}

/**
 * The submission of a bundle without a log entry. A certificate may have ended since the bundle was queued.
 *
 * @param given one verifier where the bundle carries no certificate, else none
 * @throws ClientError the codes of `parseSigned`
 */
export function fromBundle(bundle: Bundle, given: readonly Verifier[]): Submission {
  const { content, signer, entries } = bundle;
  if (entries.length > 0) {
    const why = 'the bundle holds the proof of a log entry already: there is nothing to submit';
    throw new ClientError('unsupported', why);
  }
  if (signer.kind === 'certificate' && given.length > 0) {
    throw usage('the bundle carries its certificate: leave out other keys and certificates');
  }
  const [verifier, ...more] = signer.kind === 'certificate' ? [loggedCertificate(signer.certificate)] : given;
  if (verifier === undefined || more.length > 0) {
    throw usage('the bundle does not hold the key that signed it: exactly one key or certificate must be given');
  }
  const { publicKey } = verifier;
  if (content.kind === 'dsse') {
    const message = preAuthEncoding(content.payloadType, content.payload);
    return submission(hashOf(message, publicKey), content.signature, verifier, bundle, true);
  }
  if (content.digest === undefined) throw malformed('messageSignature.messageDigest', 'is missing');
  if (content.digest.algorithm !== publicKey.digest || content.digest.value.length !== publicKey.digestSize) {
    throw new ClientError(
      'unsupported',
      `the bundle is about a ${content.digest.algorithm} digest; logs take ${publicKey.digest} from a key of the kind ${publicKey.name}`,
    );
  }
  return submission(content.digest.value, content.signature, verifier, bundle, true);
}

function fromEnvelope(json: object, verifiers: readonly Verifier[]): Submission[] {
  if (verifiers.length === 0) {
    throw usage('a DSSE envelope does not hold the keys that signed it: keys or certificates must be given');
  }
  const { payload, payloadType, signatures } = parseEnvelope(json, 'the envelope');
  const message = preAuthEncoding(payloadType, payload);
  if (signatures.length === 0) throw malformed('signatures', 'is empty: there is nothing to log');
  const used = new Set<Verifier>();
  const submissions = signatures.map(({ sig, keyId }, at) => {
    const verifier = verifiers.find(({ publicKey }) => publicKey.verify(hashOf(message, publicKey), sig));
    if (verifier === undefined) throw badSignature(`signature ${at + 1} of the envelope`, verifiers);
    used.add(verifier);
    const content: DsseContent = { kind: 'dsse', payloadType, payload, signature: sig, keyId: keyId ?? '' };
    return submission(hashOf(message, verifier.publicKey), sig, verifier, newBundle(content, verifier), false);
  });
  if (used.size < verifiers.length) {
    throw new ClientError('bad-signature', 'one of the given keys and certificates signed nothing in the envelope');
  }
  return submissions;
}

function submission(
  digest: Uint8Array,
  signature: Uint8Array,
  verifier: Verifier,
  bundle: Bundle,
  fromBundle: boolean,
): Submission {
  const { content } = bundle;
  // Verifiers read no larger statement.
  if (content.kind === 'dsse' && content.payload.length > MAX_STATEMENT) {
    const why = `the attestation has ${content.payload.length} bytes, and a statement may have ${MAX_STATEMENT}`;
    throw new ClientError('unsupported', `${why}: it is not sent`);
  }
  if (!verifier.publicKey.verify(digest, signature)) throw badSignature('the signature', [verifier]);
  return { signed: { digest, signature, ...verifier }, bundle, fromBundle };
}

/** The bundle with its proof, as a file. */
export function completeBundle({ bundle }: Submission, entry: LogEntry): Uint8Array {
  // An entry in a bundle v0.1 needs a promise (SET), which a log of Rekor v2 does not give.
  const version = bundle.version === '0.1' ? '0.2' : bundle.version;
  const complete = bundleJson({ ...bundle, version, entries: [tlogEntry(entry)] });
  return encodeUtf8(`${JSON.stringify(complete, undefined, 2)}\n`);
}

/** A signature file: DER or raw bytes, or their base64, as cosign writes it. */
export function parseSignature(file: Uint8Array): Uint8Array {
  try {
    return decodeBase64(decodeUtf8(file).trim());
  } catch {
    return file;
  }
}

function newBundle(content: Bundle['content'], { publicKey, certificate }: Verifier): Bundle {
  const signer: Bundle['signer'] =
    certificate === undefined
      ? { kind: 'public-key', hint: keyHint(publicKey) }
      : { kind: 'certificate', certificate, chain: [] };
  return { version: '0.3', content, signer, entries: [], timestamps: [] };
}

function hashOf(message: Uint8Array, { digest }: PublicKey): Uint8Array {
  return createHash(HASH_NAME[digest]).update(message).digest();
}

function badSignature(what: string, verifiers: readonly Verifier[]): ClientError {
  const pure = verifiers.some(({ publicKey }) => publicKey.info.kind === 'ed25519')
    ? '. Logs take Ed25519 only as Ed25519ph, over the SHA-512 digest: a plain Ed25519 signature cannot be logged'
    : '';
  const by = verifiers.length > 1 ? 'keys' : 'key or certificate';
  return new ClientError('bad-signature', `${what} does not verify with the given ${by}, and is not sent${pure}`);
}
