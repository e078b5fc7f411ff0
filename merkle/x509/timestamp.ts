/**
 * Time stamps: RFC 3161, as updated by RFC 5816, in CMS SignedData (cms.ts), DER.
 *
 *   TimeStampResp: SEQUENCE { PKIStatusInfo { INTEGER status, … }, token }
 *   token: a SignedData whose content is the TSTInfo
 *   TSTInfo: SEQUENCE { version 1, policy, messageImprint { algorithm, hash }, serialNumber, genTime, … }
 */
import { equal } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';
import type { HashName } from '../rekor/hashes.ts';
import type { Primitives } from '../rekor/primitives.ts';
import { type Certificate, USAGE } from './certificate.ts';
import { mayIssue, verifyChain } from './certificate-chain.ts';
import { type CmsSigner, cmsHashOf, openSignedData, readCmsSigner, type SignedData, wholeCertificates } from './cms.ts';
import { badDer, constructed, type Der, parseDer, TAG } from './der.ts';
import { expectTag, fieldsOf, integerHex, oidOf, smallInteger, timeOf } from './der-fields.ts';
import { keyOf, verifyWith } from './signature-algorithms.ts';
import { type Period, timeText, within } from './utc-time.ts';

const WHAT = 'the time stamp';

const OID = {
  tstInfo: '1.2.840.113549.1.9.16.1.4',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  extKeyUsage: '2.5.29.37',
} as const;

/** The rest of a token is read only if the caller knows the signer. */
type Token = SignedData & {
  /** DER of the TSTInfo. */
  readonly content: Uint8Array;
};

/** A time stamp. Nothing is verified. */
interface Timestamp {
  /** Milliseconds since 1970; smaller parts are cut off. */
  readonly time: number;
  readonly policy: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** The digest of the stamped message. */
  readonly imprint: { readonly hash: HashName; readonly digest: Uint8Array };
  /** The certificates in the token. */
  readonly certificates: readonly Certificate[];
  readonly signer: Signer;
}

interface Signer extends CmsSigner {
  readonly content: Uint8Array;
  /** The digest of the signer's certificate that `message` holds (RFC 5035). */
  readonly certificateDigest?: { readonly hash: HashName; readonly digest: Uint8Array };
}

/** A time-stamp authority of a trusted root. */
export interface TimestampAuthority {
  /**
   * From the authority's own certificate up to the root, each issued by the next. If the first is a CA certificate, the
   * token must contain the signer's certificate.
   */
  readonly certificates: readonly Certificate[];
  readonly validFor: Period;
}

interface VerifiedTimestamp<Authority> {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The signer's certificate. */
  readonly certificate: Certificate;
  readonly authority: Authority;
}

/**
 * Parses a TimeStampResp or a TimeStampToken, and verifies nothing.
 * @throws MerkleError `bad-der`; `bad-timestamp` if the response is a refusal; `unsupported` for an unknown hash
 */
export function parseTimestamp(der: Uint8Array): Timestamp {
  return readToken(openToken(der));
}

/** @throws MerkleError `bad-der`; `bad-timestamp` if the response is a refusal */
function openToken(der: Uint8Array): Token {
  const outer = expectTag(parseDer(der, WHAT), TAG.sequence, WHAT);
  if (outer.children[0]?.tag === TAG.oid) return withContent(outer);
  const fields = fieldsOf(outer, WHAT);
  const status = smallInteger(fieldsOf(fields.next(TAG.sequence), WHAT).any(), WHAT);
  // 0 means granted, 1 granted with changes: RFC 3161 section 2.4.2.
  if (status > 1) throw new MerkleError('bad-timestamp', `the time-stamp authority refused, with status ${status}`);
  const token = fields.next(TAG.sequence);
  fields.end();
  return withContent(token);
}

function withContent(outer: Der): Token {
  const signedData = openSignedData(outer, OID.tstInfo, WHAT);
  const { content } = signedData;
  if (content === undefined) throw badDer(WHAT, 'lacks a field');
  return { ...signedData, content };
}

function readToken(token: Token): Timestamp {
  const { content } = token;
  return { certificates: wholeCertificates(token, WHAT), ...readInfo(content), signer: readSigner(token) };
}

function readInfo(content: Uint8Array): Pick<Timestamp, 'time' | 'policy' | 'serialNumber' | 'imprint'> {
  const info = fieldsOf(expectTag(parseDer(content, WHAT), TAG.sequence, WHAT), WHAT);
  if (smallInteger(info.any(), WHAT) !== 1) throw badDer(WHAT, 'is not of version 1');
  const policy = oidOf(info.any(), WHAT);
  const imprint = fieldsOf(info.next(TAG.sequence), WHAT);
  const hash = cmsHashOf(imprint.next(TAG.sequence), WHAT);
  const digest = imprint.next(TAG.octetString).content;
  imprint.end();
  const serialNumber = integerHex(info.any(), WHAT);
  const time = timeOf(info.next(TAG.generalizedTime), WHAT, true);
  info.optional(TAG.sequence); // accuracy
  info.optional(TAG.boolean); // ordering
  info.optional(TAG.integer); // nonce
  info.optional(constructed(0)); // the authority's name: a hint
  for (const extension of info.optional(constructed(1))?.children ?? []) {
    if (extension.children[1]?.tag === TAG.boolean) throw badDer(WHAT, 'has a critical extension');
  }
  info.end();
  return { time, policy, serialNumber, imprint: { hash, digest } };
}

function readSigner(token: Token): Signer {
  const signer = readCmsSigner(token, OID.tstInfo, WHAT);
  const signing = signer.attributes.get(OID.signingCertificateV2);
  return {
    ...signer,
    content: token.content,
    ...(signing && { certificateDigest: readSigningCertificate(signing) }),
  };
}

/** Reads the first ESSCertIDv2, which identifies the signer's certificate: RFC 5035 section 3. */
function readSigningCertificate(value: Der): NonNullable<Signer['certificateDigest']> {
  const list = fieldsOf(expectTag(value, TAG.sequence, WHAT), WHAT).next(TAG.sequence);
  const first = fieldsOf(expectTag(list.children[0], TAG.sequence, WHAT), WHAT);
  const algorithm = first.optional(TAG.sequence);
  const hash = algorithm === undefined ? 'sha256' : cmsHashOf(algorithm, WHAT);
  return { hash, digest: first.next(TAG.octetString).content };
}

/**
 * Verifies a time stamp over `message` (in a bundle: the bytes of its signature) by one of the authorities.
 *
 * The signer's certificate must have time stamping as its only extended key usage, marked critical (RFC 3161 section 2.3).
 * At the time of the stamp, its chain must be valid and the authority trusted. The older signing-certificate attribute,
 * with SHA-1, is ignored: signature and chain determine the signer.
 * @param der a TimeStampResp or a TimeStampToken
 * @returns `stranger`, the name of the signer, if the token names a signer that no authority has: nothing more of the token
 * is read or verified, whatever hash or attribute it has. The name may hold control characters
 * @throws MerkleError `bad-der`, `unsupported`, `bad-timestamp`; `bad-certificate` or `bad-key` for the signer's chain
 */
export function verifyTimestamp<Authority extends TimestampAuthority>(
  der: Uint8Array,
  message: Uint8Array,
  authorities: readonly Authority[],
  primitives: Primitives,
): VerifiedTimestamp<Authority> | { readonly stranger: string } {
  const token = openToken(der);
  const signers = authorities.flatMap((authority) => {
    const certificate = signerOf(token, authority);
    return certificate === undefined ? [] : [{ certificate, authority }];
  });
  if (signers.length === 0) return { stranger: token.signerId.text() };
  const timestamp = readToken(token);
  const { imprint, signer, time } = timestamp;
  if (!equal(primitives.hash(imprint.hash, message), imprint.digest)) throw bad('is over another message');
  if (!equal(primitives.hash(signer.digestHash, signer.content), signer.contentDigest)) {
    throw bad('holds content that its signer did not sign');
  }
  let failure: MerkleError | undefined;
  for (const { certificate, authority } of signers) {
    try {
      checkSigner(timestamp, certificate, authority, primitives);
      return { time, certificate, authority };
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      failure ??= error;
    }
  }
  throw failure!;
}

/**
 * The certificate of the authority, or in the token below the authority, that the token names as its signer's. Nothing is
 * verified: a token that names a known authority must then be by it.
 */
function signerOf({ signerId, certificates }: Token, authority: TimestampAuthority): Certificate | undefined {
  const [first] = authority.certificates;
  if (first === undefined) return undefined;
  if (!first.isCa) return [first].find(signerId.is);
  const isSigner = (one: Certificate | MerkleError): one is Certificate =>
    !(one instanceof MerkleError) && signerId.is(one);
  return certificates
    .filter(isSigner)
    .find((certificate) => authority.certificates.some((issuer) => mayIssue(issuer, certificate)));
}

function checkSigner(
  { time, signer }: Timestamp,
  certificate: Certificate,
  { certificates, validFor }: TimestampAuthority,
  primitives: Primitives,
): void {
  if (!within(validFor, time)) {
    throw bad(`is dated ${timeText(time)}, when its authority "${printable(certificate.subject)}" was not trusted`);
  }
  const usage = certificate.extension(OID.extKeyUsage);
  if (usage?.critical !== true || certificate.extKeyUsage.length !== 1) {
    throw bad(`is signed by "${printable(certificate.subject)}", whose certificate is not for time stamps alone`);
  }
  const above = certificates.filter((candidate) => candidate !== certificate);
  const authorities = { intermediates: above.slice(0, -1), roots: above.slice(-1) };
  verifyChain(certificate, authorities, time, primitives, { usage: USAGE.timeStamping });
  const named = signer.certificateDigest;
  if (named !== undefined && !equal(primitives.hash(named.hash, certificate.der), named.digest)) {
    throw bad('names a certificate other than that of its signer');
  }
  const { algorithm, message, signature, digestHash } = signer;
  if (!verifyWith(algorithm, keyOf(certificate), message, signature, primitives, digestHash)) {
    throw bad(`is not signed by "${printable(certificate.subject)}"`);
  }
}

function bad(why: string): MerkleError {
  return new MerkleError('bad-timestamp', `${WHAT} ${why}`);
}
