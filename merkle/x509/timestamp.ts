/**
 * Time stamps: RFC 3161, as updated by RFC 5816, in CMS SignedData (RFC 5652 section 5), DER.
 *
 *   TimeStampResp: SEQUENCE { PKIStatusInfo { INTEGER status, … }, token }
 *   token: SEQUENCE { OID signedData, [0] SEQUENCE { version, digestAlgorithms,
 *     SEQUENCE { OID id-ct-TSTInfo, [0] OCTET STRING { TSTInfo } },
 *     [0] certificates OPTIONAL, [1] crls OPTIONAL, SET { one SignerInfo } } }
 *   TSTInfo: SEQUENCE { version 1, policy, messageImprint { algorithm, hash }, serialNumber, genTime, … }
 *   SignerInfo: SEQUENCE { version, issuer and serial number or [0] key identifier, digestAlgorithm, [0] signedAttrs,
 *     signatureAlgorithm, signature, [1] unsignedAttrs OPTIONAL }
 *
 * The signature is over signedAttrs, encoded with the tag of a SET. signedAttrs hold the digest of TSTInfo.
 */
import { concat, encodeHex, equal } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';
import type { HashName } from '../rekor/hashes.ts';
import type { Primitives } from '../rekor/primitives.ts';
import { type Certificate, parseCertificate, USAGE } from './certificate.ts';
import { mayIssue, verifyChain } from './certificate-chain.ts';
import { nameText } from './certificate-names.ts';
import { badDer, constructed, type Der, parseDer, primitive, TAG } from './der.ts';
import { expectTag, fieldsOf, integerHex, oidOf, shownOid, smallInteger, timeOf } from './der-fields.ts';
import { HASH_OIDS, keyOf, verifyWith } from './signature-algorithms.ts';
import { type Period, timeText, within } from './utc-time.ts';

const WHAT = 'the time stamp';

const OID = {
  signedData: '1.2.840.113549.1.7.2',
  tstInfo: '1.2.840.113549.1.9.16.1.4',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  extKeyUsage: '2.5.29.37',
} as const;

const MAX_CERTIFICATES = 8;
const MAX_ATTRIBUTES = 32;

/** What a token says about its signer. The rest of a token is read only if the caller knows the signer. */
interface Token {
  readonly signerId: SignerId;
  readonly signerInfo: Der;
  /** DER of the TSTInfo. */
  readonly content: Uint8Array;
  /** The certificates in the token. One that is malformed is an error only for a signer that the caller knows. */
  readonly certificates: readonly (Certificate | MerkleError)[];
}

interface SignerId {
  /** Whether the token names this certificate as the certificate of its signer. */
  readonly is: (certificate: Certificate) => boolean;
  /** For people; may hold control characters. */
  readonly text: () => string;
}

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

interface Signer {
  readonly digestHash: HashName;
  /** The signed bytes. */
  readonly message: Uint8Array;
  /** The digest of `content` that `message` holds. */
  readonly contentDigest: Uint8Array;
  readonly content: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
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
  if (outer.children[0]?.tag === TAG.oid) return openSignedData(outer);
  const fields = fieldsOf(outer, WHAT);
  const status = smallInteger(fieldsOf(fields.next(TAG.sequence), WHAT).any(), WHAT);
  // 0 means granted, 1 granted with changes: RFC 3161 section 2.4.2.
  if (status > 1) throw new MerkleError('bad-timestamp', `the time-stamp authority refused, with status ${status}`);
  const token = fields.next(TAG.sequence);
  fields.end();
  return openSignedData(token);
}

function openSignedData(token: Der): Token {
  const signedData = fieldsOf(explicit(token, OID.signedData), WHAT);
  const version = smallInteger(signedData.any(), WHAT);
  if (version < 1 || version > 5) throw badDer(WHAT, `has version ${version} of SignedData`);
  signedData.next(TAG.set);
  const content = expectTag(explicit(signedData.next(TAG.sequence), OID.tstInfo), TAG.octetString, WHAT).content;
  const certificates = signedData.optional(constructed(0))?.children ?? [];
  signedData.optional(constructed(1));
  const [signer, ...others] = signedData.next(TAG.set).children;
  signedData.end();
  if (signer === undefined || others.length > 0) throw badDer(WHAT, 'does not have exactly one signature');
  const signerInfo = expectTag(signer, TAG.sequence, WHAT);
  const fields = fieldsOf(signerInfo, WHAT);
  smallInteger(fields.any(), WHAT);
  return {
    signerId: readSignerId(fields.any()),
    signerInfo,
    content,
    certificates: certificates
      .slice(0, MAX_CERTIFICATES + 1)
      // Attribute certificates and other formats have other tags, and are ignored.
      .filter(({ tag }) => tag === TAG.sequence)
      .map(({ bytes }) => readCertificate(bytes)),
  };
}

function readCertificate(der: Uint8Array): Certificate | MerkleError {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof MerkleError) return error;
    throw error;
  }
}

function readToken({ content, certificates, signerInfo }: Token): Timestamp {
  if (certificates.length > MAX_CERTIFICATES) throw badDer(WHAT, `has more than ${MAX_CERTIFICATES} certificates`);
  return {
    ...readInfo(content),
    certificates: certificates.map((one) => {
      if (one instanceof MerkleError) throw one;
      return one;
    }),
    signer: readSigner(signerInfo, content),
  };
}

/** SEQUENCE { OID, [0] value }. */
function explicit(node: Der, oid: string): Der {
  const fields = fieldsOf(node, WHAT);
  if (oidOf(fields.any(), WHAT) !== oid) throw badDer(WHAT, `is malformed: it lacks the type ${oid}`);
  const wrapper = fieldsOf(fields.next(constructed(0)), WHAT);
  fields.end();
  const value = wrapper.any();
  wrapper.end();
  return value;
}

function readInfo(content: Uint8Array): Pick<Timestamp, 'time' | 'policy' | 'serialNumber' | 'imprint'> {
  const info = fieldsOf(expectTag(parseDer(content, WHAT), TAG.sequence, WHAT), WHAT);
  if (smallInteger(info.any(), WHAT) !== 1) throw badDer(WHAT, 'is not of version 1');
  const policy = oidOf(info.any(), WHAT);
  const imprint = fieldsOf(info.next(TAG.sequence), WHAT);
  const hash = hashOf(imprint.next(TAG.sequence));
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

function readSigner(node: Der, content: Uint8Array): Signer {
  const fields = fieldsOf(node, WHAT);
  fields.any(); // version
  fields.any(); // signer identifier
  const digestHash = hashOf(fields.next(TAG.sequence));
  const attributes = fields.next(constructed(0));
  const algorithm = algorithmOf(fields.next(TAG.sequence));
  const signature = fields.next(TAG.octetString).content;
  fields.optional(constructed(1)); // unsigned attributes
  fields.end();

  const values = readAttributes(attributes);
  if (oidOf(required(values, OID.contentType), WHAT) !== OID.tstInfo) {
    throw badDer(WHAT, 'is signed with a content type other than TSTInfo');
  }
  const contentDigest = expectTag(required(values, OID.messageDigest), TAG.octetString, WHAT).content;
  const signing = values.get(OID.signingCertificateV2);
  return {
    digestHash,
    // RFC 5652 section 5.4: the signed encoding has the tag of a SET, not the tag [0] of the field.
    message: concat(Uint8Array.of(TAG.set), attributes.bytes.subarray(1)),
    contentDigest,
    content,
    algorithm,
    signature,
    ...(signing && { certificateDigest: readSigningCertificate(signing) }),
  };
}

function readSignerId(node: Der): SignerId {
  if (node.tag === primitive(0)) {
    return {
      is: ({ subjectKeyId }) => subjectKeyId !== undefined && equal(subjectKeyId, node.content),
      text: () => `key ${encodeHex(node.content)}`,
    };
  }
  const fields = fieldsOf(expectTag(node, TAG.sequence, WHAT), WHAT);
  const issuer = fields.next(TAG.sequence);
  const serialNumber = integerHex(fields.any(), WHAT);
  fields.end();
  return {
    is: (certificate) => certificate.serialNumber === serialNumber && equal(certificate.issuerDer, issuer.bytes),
    text: () => `certificate ${serialNumber} of ${nameText(issuer, WHAT)}`,
  };
}

/** Reads the signed attributes. Each type must occur once, with one value. */
function readAttributes(attributes: Der): Map<string, Der> {
  const values = new Map<string, Der>();
  if (attributes.children.length > MAX_ATTRIBUTES) throw badDer(WHAT, 'has too many attributes');
  for (const child of attributes.children) {
    const fields = fieldsOf(expectTag(child, TAG.sequence, WHAT), WHAT);
    const oid = oidOf(fields.any(), WHAT);
    const [value, ...others] = fields.next(TAG.set).children;
    fields.end();
    if (value === undefined || others.length > 0 || values.has(oid)) {
      throw badDer(WHAT, `does not have exactly one value of the attribute ${shownOid(oid)}`);
    }
    values.set(oid, value);
  }
  return values;
}

function required(values: ReadonlyMap<string, Der>, oid: string): Der {
  const value = values.get(oid);
  if (value === undefined) throw badDer(WHAT, `lacks the attribute ${oid}`);
  return value;
}

/** Reads the first ESSCertIDv2, which identifies the signer's certificate: RFC 5035 section 3. */
function readSigningCertificate(value: Der): NonNullable<Signer['certificateDigest']> {
  const list = fieldsOf(expectTag(value, TAG.sequence, WHAT), WHAT).next(TAG.sequence);
  const first = fieldsOf(expectTag(list.children[0], TAG.sequence, WHAT), WHAT);
  const algorithm = first.optional(TAG.sequence);
  const hash = algorithm === undefined ? 'sha256' : hashOf(algorithm);
  return { hash, digest: first.next(TAG.octetString).content };
}

function algorithmOf(node: Der): string {
  const fields = fieldsOf(node, WHAT);
  const oid = oidOf(fields.any(), WHAT);
  fields.optional(TAG.null);
  return fields.more() ? `${oid} with parameters` : oid;
}

/** @throws MerkleError `unsupported` */
function hashOf(node: Der): HashName {
  const oid = algorithmOf(node);
  const hash = HASH_OIDS.get(oid);
  if (hash !== undefined) return hash;
  throw new MerkleError(
    'unsupported',
    `${WHAT} uses the hash ${shownOid(oid)}; this version supports SHA-256, SHA-384 and SHA-512`,
  );
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
