/**
 * CMS SignedData (RFC 5652 section 5) with one signature, in DER: time stamps of RFC 3161, and signatures that gitsign makes.
 *
 *   SEQUENCE { OID signedData, [0] SEQUENCE { version, digestAlgorithms,
 *     SEQUENCE { OID of the content's type, [0] OCTET STRING { content } OPTIONAL },
 *     [0] certificates OPTIONAL, [1] crls OPTIONAL, SET { one SignerInfo } } }
 *   SignerInfo: SEQUENCE { version, issuer and serial number or [0] key identifier, digestAlgorithm, [0] signedAttrs,
 *     signatureAlgorithm, signature, [1] unsignedAttrs OPTIONAL }
 *
 * The signature is over signedAttrs, encoded with the tag of a SET. signedAttrs hold the digest of the content.
 */
import { concat, encodeHex, equal } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import type { HashName } from '../rekor/hashes.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { nameText } from './certificate-names.ts';
import { badDer, constructed, type Der, primitive, TAG } from './der.ts';
import { expectTag, fieldsOf, integerHex, oidOf, shownOid, smallInteger } from './der-fields.ts';
import { HASH_OIDS } from './signature-algorithms.ts';

const OID = {
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
} as const;

const MAX_CERTIFICATES = 8;
const MAX_ATTRIBUTES = 32;

/** What a SignedData says about its signer. The rest is read only if the caller knows the signer. */
export interface SignedData {
  readonly signerId: SignerId;
  readonly signerInfo: Der;
  /** Absent where the signature is detached. */
  readonly content?: Uint8Array;
  /** A certificate that is malformed is an error only for a signer that the caller knows. */
  readonly certificates: readonly (Certificate | MerkleError)[];
}

interface SignerId {
  /** Whether the token names this certificate as the certificate of its signer. */
  readonly is: (certificate: Certificate) => boolean;
  /** For people; may hold control characters. */
  readonly text: () => string;
}

export interface CmsSigner {
  readonly digestHash: HashName;
  /** The signed bytes. */
  readonly message: Uint8Array;
  /** The digest of the content that `message` holds. */
  readonly contentDigest: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
  /** The signed attributes by OID; each type occurs once, with one value. */
  readonly attributes: ReadonlyMap<string, Der>;
  /** The unsigned ones, which anybody can change. @throws MerkleError `bad-der` */
  unsignedAttributes(): ReadonlyMap<string, Der>;
}

/**
 * @param outer the SEQUENCE
 * @param contentType OID that the content must have
 * @param what names the input in error messages: `the time stamp`
 * @throws MerkleError `bad-der`
 */
export function openSignedData(outer: Der, contentType: string, what: string): SignedData {
  const signedData = fieldsOf(explicit(outer, OID.signedData, what)!, what);
  const version = smallInteger(signedData.any(), what);
  if (version < 1 || version > 5) throw badDer(what, `has version ${version} of SignedData`);
  signedData.next(TAG.set);
  const wrapped = explicit(signedData.next(TAG.sequence), contentType, what, true);
  const content = wrapped && expectTag(wrapped, TAG.octetString, what).content;
  const certificates = signedData.optional(constructed(0))?.children ?? [];
  signedData.optional(constructed(1));
  const [signer, ...others] = signedData.next(TAG.set).children;
  signedData.end();
  if (signer === undefined || others.length > 0) throw badDer(what, 'does not have exactly one signature');
  const signerInfo = expectTag(signer, TAG.sequence, what);
  const fields = fieldsOf(signerInfo, what);
  smallInteger(fields.any(), what);
  return {
    signerId: readSignerId(fields.any(), what),
    signerInfo,
    ...(content === undefined ? {} : { content }),
    certificates: certificates
      .slice(0, MAX_CERTIFICATES + 1)
      // Attribute certificates and other formats have other tags, and are ignored.
      .filter(({ tag }) => tag === TAG.sequence)
      .map(({ bytes }) => readCertificate(bytes)),
  };
}

/** All certificates. @throws MerkleError `bad-der` where there are too many, or one is malformed */
export function wholeCertificates({ certificates }: SignedData, what: string): Certificate[] {
  if (certificates.length > MAX_CERTIFICATES) throw badDer(what, `has more than ${MAX_CERTIFICATES} certificates`);
  return certificates.map((one) => {
    if (one instanceof MerkleError) throw one;
    return one;
  });
}

/** @throws MerkleError `bad-der`; `unsupported` for an unknown hash */
export function readCmsSigner({ signerInfo }: SignedData, contentType: string, what: string): CmsSigner {
  const fields = fieldsOf(signerInfo, what);
  fields.any(); // version
  fields.any(); // signer identifier
  const digestHash = cmsHashOf(fields.next(TAG.sequence), what);
  const signed = fields.next(constructed(0));
  const algorithm = algorithmOf(fields.next(TAG.sequence), what);
  const signature = fields.next(TAG.octetString).content;
  const unsigned = fields.optional(constructed(1));
  fields.end();

  const attributes = readAttributes(signed, what);
  if (oidOf(required(attributes, OID.contentType, what), what) !== contentType) {
    throw badDer(what, 'is signed with another type of content than it holds');
  }
  return {
    digestHash,
    // RFC 5652 section 5.4: the signed encoding has the tag of a SET, not the tag [0] of the field.
    message: concat(Uint8Array.of(TAG.set), signed.bytes.subarray(1)),
    contentDigest: expectTag(required(attributes, OID.messageDigest, what), TAG.octetString, what).content,
    algorithm,
    signature,
    attributes,
    unsignedAttributes: () => (unsigned === undefined ? new Map() : readAttributes(unsigned, what)),
  };
}

/** @throws MerkleError `unsupported` */
export function cmsHashOf(node: Der, what: string): HashName {
  const oid = algorithmOf(node, what);
  const hash = HASH_OIDS.get(oid);
  if (hash !== undefined) return hash;
  throw new MerkleError(
    'unsupported',
    `${what} uses the hash ${shownOid(oid)}; this version supports SHA-256, SHA-384 and SHA-512`,
  );
}

function readCertificate(der: Uint8Array): Certificate | MerkleError {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof MerkleError) return error;
    throw error;
  }
}

/** SEQUENCE { OID, [0] value }. */
function explicit(node: Der, oid: string, what: string, mayLack = false): Der | undefined {
  const fields = fieldsOf(node, what);
  if (oidOf(fields.any(), what) !== oid) throw badDer(what, `is malformed: it lacks the type ${oid}`);
  if (mayLack && !fields.more()) return undefined;
  const wrapper = fieldsOf(fields.next(constructed(0)), what);
  fields.end();
  const value = wrapper.any();
  wrapper.end();
  return value;
}

function readSignerId(node: Der, what: string): SignerId {
  if (node.tag === primitive(0)) {
    return {
      is: ({ subjectKeyId }) => subjectKeyId !== undefined && equal(subjectKeyId, node.content),
      text: () => `key ${encodeHex(node.content)}`,
    };
  }
  const fields = fieldsOf(expectTag(node, TAG.sequence, what), what);
  const issuer = fields.next(TAG.sequence);
  const serialNumber = integerHex(fields.any(), what);
  fields.end();
  return {
    is: (certificate) => certificate.serialNumber === serialNumber && equal(certificate.issuerDer, issuer.bytes),
    text: () => `certificate ${serialNumber} of ${nameText(issuer, what)}`,
  };
}

/** Reads attributes. Each type must occur once, with one value. */
function readAttributes(attributes: Der, what: string): Map<string, Der> {
  const values = new Map<string, Der>();
  if (attributes.children.length > MAX_ATTRIBUTES) throw badDer(what, 'has too many attributes');
  for (const child of attributes.children) {
    const fields = fieldsOf(expectTag(child, TAG.sequence, what), what);
    const oid = oidOf(fields.any(), what);
    const [value, ...others] = fields.next(TAG.set).children;
    fields.end();
    if (value === undefined || others.length > 0 || values.has(oid)) {
      throw badDer(what, `does not have exactly one value of the attribute ${shownOid(oid)}`);
    }
    values.set(oid, value);
  }
  return values;
}

function required(values: ReadonlyMap<string, Der>, oid: string, what: string): Der {
  const value = values.get(oid);
  if (value === undefined) throw badDer(what, `lacks the attribute ${oid}`);
  return value;
}

function algorithmOf(node: Der, what: string): string {
  const fields = fieldsOf(node, what);
  const oid = oidOf(fields.any(), what);
  fields.optional(TAG.null);
  return fields.more() ? `${oid} with parameters` : oid;
}
