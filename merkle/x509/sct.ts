/**
 * Signed certificate timestamps (SCTs) in a certificate: RFC 6962 sections 3.2 and 3.3. With an SCT, a
 * certificate-transparency log promises to publish the certificate.
 *
 * The extension 1.3.6.1.4.1.11129.2.4.2 holds an OCTET STRING with (all numbers are big-endian)
 *
 *   length, 2 bytes || SCTs, each: length, 2 bytes || version 0, 1 byte || log ID, 32 bytes || milliseconds since 1970, 8 bytes
 *     || extensions (length, 2 bytes, in front) || hash 4 (SHA-256), 1 byte || signature 3 (ECDSA) or 1 (RSA), 1 byte
 *     || signature (length, 2 bytes, in front)
 *
 * The log signs
 *
 *   version 0 || type 0 || milliseconds, 8 bytes || entry type 1 (precertificate), 2 bytes || SHA-256 of the issuer's
 *     SubjectPublicKeyInfo || TBSCertificate without that extension (length, 3 bytes, in front) || extensions as above
 */
import { concat, equal } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import type { Primitives } from '../rekor/primitives.ts';
import type { KeyInfo } from '../rekor/spki.ts';
import type { Certificate } from './certificate.ts';
import { badDer, constructed, encodeDer, parseDer, TAG } from './der.ts';
import { expectTag } from './der-fields.ts';
import { type Period, timeText, within } from './utc-time.ts';

export const SCT_EXTENSION = '1.3.6.1.4.1.11129.2.4.2';

/** A certificate-transparency log of a trusted root. */
export interface CtLog {
  /** 32 bytes. */
  readonly logId: Uint8Array;
  /** ECDSA or RSA. */
  readonly key: KeyInfo;
  readonly validFor: Period;
}

/** One SCT, not verified. */
interface Sct {
  readonly logId: Uint8Array;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly extensions: Uint8Array;
  /** Undefined for an algorithm that this version does not check. */
  readonly algorithm: 'ecdsa' | 'rsa' | undefined;
  readonly signature: Uint8Array;
}

const WHAT = 'the list of signed certificate timestamps';
const MAX_SCTS = 16;
const ALGORITHMS = new Map<number, NonNullable<Sct['algorithm']>>([
  [0x0403, 'ecdsa'],
  [0x0401, 'rsa'],
]);

/** The SCTs of version 0 in a certificate: 0 to 16, not verified. @throws MerkleError `bad-der` */
export function parseScts(certificate: Certificate): Sct[] {
  const extension = certificate.extension(SCT_EXTENSION);
  if (extension === undefined) return [];
  const list = new Bytes(expectTag(parseDer(extension.value, WHAT), TAG.octetString, WHAT).content);
  const items = new Bytes(list.prefixed());
  list.end();
  const scts: Sct[] = [];
  while (items.more()) {
    if (scts.length === MAX_SCTS) throw badDer(WHAT, `has more than ${MAX_SCTS} timestamps`);
    const sct = parseSct(items.prefixed());
    // An SCT of an unknown version is ignored (section 3.3).
    if (sct !== undefined) scts.push(sct);
  }
  return scts;
}

function parseSct(bytes: Uint8Array): Sct | undefined {
  const fields = new Bytes(bytes);
  if (fields.number(1) !== 0) return undefined;
  const logId = fields.take(32);
  const time = fields.number(8);
  const extensions = fields.prefixed();
  const algorithm = ALGORITHMS.get(fields.number(2));
  const signature = fields.prefixed();
  fields.end();
  return { logId, time, extensions, algorithm, signature };
}

/**
 * Verifies the SCTs of the leaf that are by `logs`, and returns them: at least one. SCTs of other logs are ignored, whatever
 * their algorithm, because a certificate may be in logs that the caller does not know.
 * @param issuer the certificate that signed the leaf
 * @throws MerkleError `bad-sct` if no SCT is by a known log, or if an SCT of a known log does not verify or is of a time when
 * the log's key was not valid; `bad-der`
 */
export function verifySct(
  leaf: Certificate,
  issuer: Certificate,
  logs: readonly CtLog[],
  primitives: Primitives,
): Sct[] {
  const scts = parseScts(leaf);
  if (scts.length === 0) {
    throw new MerkleError('bad-sct', 'the certificate bears no timestamp of a certificate-transparency log');
  }
  const known = scts.filter((sct) => logs.some(({ logId }) => equal(logId, sct.logId)));
  if (known.length === 0) {
    throw new MerkleError(
      'bad-sct',
      'the certificate bears no timestamp of a certificate-transparency log that the trusted root has',
    );
  }
  const tbs = withoutScts(leaf);
  const keyHash = primitives.hash('sha256', issuer.spki);
  for (const sct of known) checkSct(sct, tbs, keyHash, logs, primitives);
  return known;
}

function checkSct(
  sct: Sct,
  tbs: Uint8Array,
  keyHash: Uint8Array,
  logs: readonly CtLog[],
  primitives: Primitives,
): void {
  const { algorithm } = sct;
  if (algorithm === undefined || !Number.isSafeInteger(sct.time)) {
    throw badDer(
      WHAT,
      'has a timestamp whose algorithm is not SHA-256 with ECDSA or RSA, or whose time is out of range',
    );
  }
  const log = logs.filter(({ logId }) => equal(logId, sct.logId));
  const current = log.filter(({ validFor }) => within(validFor, sct.time));
  if (current.length === 0) {
    throw new MerkleError(
      'bad-sct',
      `a certificate-transparency log signed the certificate's timestamp at ${timeText(sct.time)}, when its key was not valid`,
    );
  }
  const message = concat(
    Uint8Array.of(0, 0),
    bigEndian(sct.time, 8),
    Uint8Array.of(0, 1),
    keyHash,
    bigEndian(tbs.length, 3),
    tbs,
    bigEndian(sct.extensions.length, 2),
    sct.extensions,
  );
  const good = current.some(
    ({ key }) => key.kind.startsWith(algorithm) && primitives.verifyMessage(key, 'sha256', message, sct.signature),
  );
  if (!good) {
    throw new MerkleError(
      'bad-sct',
      "the certificate's timestamp is not signed by the certificate-transparency log that it names",
    );
  }
}

/** The TBSCertificate without the SCTs, as the log signed it. */
function withoutScts(leaf: Certificate): Uint8Array {
  const parts = parseDer(leaf.tbs, 'the certificate').children.map((field) => {
    if (field.tag !== constructed(3)) return field.bytes;
    const list = field.children[0]!.children.filter((extension) => !equal(extension.children[0]!.bytes, SCT_OID));
    // If no extension is left, the whole field is absent: an empty list is invalid (RFC 5280 section 4.1).
    if (list.length === 0) return new Uint8Array(0);
    return encodeDer(constructed(3), encodeDer(TAG.sequence, ...list.map(({ bytes }) => bytes)));
  });
  return encodeDer(TAG.sequence, ...parts);
}

/** DER of the OID 1.3.6.1.4.1.11129.2.4.2. */
const SCT_OID = Uint8Array.of(0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02);

function bigEndian(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = value;
  for (let i = size - 1; i >= 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** Reads fields of TLS's presentation language (RFC 5246 section 4). */
class Bytes {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  more(): boolean {
    return this.#at < this.#bytes.length;
  }

  take(size: number): Uint8Array {
    const end = this.#at + size;
    if (end > this.#bytes.length) throw badDer(WHAT, 'is cut short');
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  number(size: number): number {
    let value = 0;
    for (const byte of this.take(size)) value = value * 256 + byte;
    return value;
  }

  /** Bytes with their 2-byte length in front. */
  prefixed(): Uint8Array {
    return this.take(this.number(2));
  }

  end(): void {
    if (this.more()) throw badDer(WHAT, 'has bytes after its end');
  }
}
