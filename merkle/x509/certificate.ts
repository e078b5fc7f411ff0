/**
 * X.509 certificates: RFC 5280 section 4, version 3 only, in DER.
 *
 *   SEQUENCE { tbsCertificate, signatureAlgorithm, BIT STRING signature }
 *   tbsCertificate: SEQUENCE { [0] version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo,
 *                              [1] issuerUniqueID OPTIONAL, [2] subjectUniqueID OPTIONAL, [3] extensions OPTIONAL }
 *
 * Parsing verifies nothing: see certificate-chain.ts.
 */
import { equal } from '../bytes.ts';
import { type AlternativeName, alternativeNames, nameText } from './certificate-names.ts';
import { badDer, constructed, type Der, parseDer, primitive, TAG } from './der.ts';
import {
  booleanOf,
  expectTag,
  type Fields,
  fieldsOf,
  integerHex,
  oidOf,
  shownOid,
  smallInteger,
  timeOf,
  wholeBits,
} from './der-fields.ts';

/** OIDs of the extensions that a chain check reads. */
export const EXTENSION = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  authorityKeyId: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
} as const;

/** OIDs of extended key usages. */
export const USAGE = {
  any: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  timeStamping: '1.3.6.1.5.5.7.3.8',
} as const;

/** In the order of the bits of the extension: RFC 5280 section 4.2.1.3. */
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
type KeyUsage = (typeof KEY_USAGES)[number];

interface Extension {
  readonly critical: boolean;
  /** The contents of the OCTET STRING: DER, but raw text in Fulcio's extensions .1 to .6. */
  readonly value: Uint8Array;
}

/** A parsed certificate. All byte arrays are views of `der`. Nothing is verified. */
export interface Certificate {
  readonly der: Uint8Array;
  /** The signed bytes: the TBSCertificate. */
  readonly tbs: Uint8Array;
  /** SubjectPublicKeyInfo, DER; for `parseSpki`. */
  readonly spki: Uint8Array;
  /** Lower-case hex, without leading zero byte. */
  readonly serialNumber: string;
  /** For people, as in RFC 4514: `CN=sigstore,O=sigstore.dev`. May hold control characters: see `printable`. */
  readonly issuer: string;
  readonly subject: string;
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  /** Milliseconds since 1970; the validity includes both ends. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** OID. ` with parameters` follows if the algorithm has parameters other than the NULL of RSA. */
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
  readonly isCa: boolean;
  /** How many intermediates may stand between this certificate and the leaf; only with `isCa`. */
  readonly pathLen?: number;
  /** Absent if the certificate does not restrict the key usage. */
  readonly keyUsage?: readonly KeyUsage[];
  /** OIDs; empty if the certificate does not restrict the extended key usage. */
  readonly extKeyUsage: readonly string[];
  readonly subjectKeyId?: Uint8Array;
  readonly authorityKeyId?: Uint8Array;
  /** Subject alternative names in their order. */
  readonly names: readonly AlternativeName[];
  /** By OID, in the order of the certificate. */
  readonly extensions: ReadonlyMap<string, Extension>;
  extension(oid: string): Extension | undefined;
}

const WHAT = 'the certificate';
/** Longest certificate in bytes. The largest certificates of public authorities have half as many. */
const MAX_CERTIFICATE = 16_384;
const MAX_EXTENSIONS = 64;

/**
 * Reads one certificate. The result has views of `der`, so the caller must not change `der` afterwards.
 * @throws MerkleError `bad-der` unless `der` is exactly one certificate of version 3 in DER, of at most 16,384 bytes,
 * without a repeated extension, and with the extensions of `EXTENSION` in the form of RFC 5280
 */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE) throw badDer(WHAT, `has ${der.length} bytes; the limit is ${MAX_CERTIFICATE}`);
  const outer = fieldsOf(expectTag(parseDer(der, WHAT), TAG.sequence, WHAT), WHAT);
  const tbs = outer.next(TAG.sequence);
  const algorithm = outer.next(TAG.sequence);
  const signature = wholeBits(outer.next(TAG.bitString), WHAT);
  outer.end();

  const fields = fieldsOf(tbs, WHAT);
  const explicit = fields.optional(constructed(0));
  if (explicit === undefined) throw badDer(WHAT, 'is of version 1, not of version 3');
  const version = fieldsOf(explicit, WHAT);
  if (smallInteger(version.any(), WHAT) !== 2) throw badDer(WHAT, 'is not of version 3');
  version.end();
  const serialNumber = integerHex(fields.next(TAG.integer), WHAT);
  // RFC 5280 section 4.1.1.2: the algorithm inside the signed part must equal the one outside, which is not signed.
  if (!equal(fields.next(TAG.sequence).bytes, algorithm.bytes)) {
    throw badDer(WHAT, 'names two different signature algorithms');
  }
  const issuer = fields.next(TAG.sequence);
  const validity = fieldsOf(fields.next(TAG.sequence), WHAT);
  const notBefore = timeOf(validity.any(), WHAT);
  const notAfter = timeOf(validity.any(), WHAT);
  validity.end();
  const subject = fields.next(TAG.sequence);
  const spki = fields.next(TAG.sequence);
  fields.optional(primitive(1));
  fields.optional(primitive(2));
  const extensions = readExtensions(fields);
  fields.end();

  return {
    der,
    tbs: tbs.bytes,
    spki: spki.bytes,
    serialNumber,
    issuer: nameText(issuer, WHAT),
    subject: nameText(subject, WHAT),
    issuerDer: issuer.bytes,
    subjectDer: subject.bytes,
    notBefore,
    notAfter,
    signatureAlgorithm: algorithmOid(algorithm),
    signature,
    ...readKnown(extensions),
    extensions,
    extension: (oid) => extensions.get(oid),
  };
}

/** Whether subject and issuer are equal: in practice, whether the certificate is a root. */
export function isSelfIssued({ subjectDer, issuerDer }: Certificate): boolean {
  return equal(subjectDer, issuerDer);
}

/** The OID, followed by ` with parameters` for parameters other than the NULL of RSA. No check supports those. */
function algorithmOid(algorithm: Der): string {
  const fields = fieldsOf(algorithm, WHAT);
  const oid = oidOf(fields.next(TAG.oid), WHAT);
  const isRsa = oid.startsWith('1.2.840.113549.1.1.');
  // Algorithms such as RSASSA-PSS (…1.10) name their hash in the parameters. The name with parameters is in no table of
  // signature-algorithms.ts, so a check of such a signature is refused.
  if (isRsa && oid !== '1.2.840.113549.1.1.10') fields.optional(TAG.null);
  return fields.more() ? `${oid} with parameters` : oid;
}

function readExtensions(fields: Fields): Map<string, Extension> {
  const found = new Map<string, Extension>();
  const wrapper = fields.optional(constructed(3));
  if (wrapper === undefined) return found;
  const [list, ...rest] = wrapper.children;
  const { children } = expectTag(list, TAG.sequence, WHAT);
  if (rest.length > 0 || children.length === 0 || children.length > MAX_EXTENSIONS) {
    throw badDer(WHAT, `does not have one list of 1 to ${MAX_EXTENSIONS} extensions`);
  }
  for (const child of children) {
    const extension = fieldsOf(expectTag(child, TAG.sequence, WHAT), WHAT);
    const oid = oidOf(extension.next(TAG.oid), WHAT);
    const flag = extension.optional(TAG.boolean);
    const { content } = extension.next(TAG.octetString);
    extension.end();
    if (found.has(oid)) throw badDer(WHAT, `has the extension ${shownOid(oid)} twice`);
    found.set(oid, { critical: flag !== undefined && booleanOf(flag, WHAT), value: content });
  }
  return found;
}

type Known = Pick<
  Certificate,
  'isCa' | 'pathLen' | 'keyUsage' | 'extKeyUsage' | 'subjectKeyId' | 'authorityKeyId' | 'names'
>;

function readKnown(extensions: ReadonlyMap<string, Extension>): Known {
  const read = <T>(oid: string, reader: (node: Der) => T): T | undefined => {
    const extension = extensions.get(oid);
    return extension && reader(parseDer(extension.value, WHAT));
  };
  const keyUsage = read(EXTENSION.keyUsage, readKeyUsage);
  const subjectKeyId = read(EXTENSION.subjectKeyId, (node) => expectTag(node, TAG.octetString, WHAT).content);
  const authorityKeyId = read(EXTENSION.authorityKeyId, readAuthorityKeyId);
  return {
    isCa: false,
    ...read(EXTENSION.basicConstraints, readBasicConstraints),
    ...(keyUsage && { keyUsage }),
    extKeyUsage: read(EXTENSION.extKeyUsage, readExtKeyUsage) ?? [],
    ...(subjectKeyId && { subjectKeyId }),
    ...(authorityKeyId && { authorityKeyId }),
    names: read(EXTENSION.subjectAltName, (node) => alternativeNames(node, WHAT)) ?? [],
  };
}

function readBasicConstraints(node: Der): Pick<Certificate, 'isCa' | 'pathLen'> {
  const fields = fieldsOf(expectTag(node, TAG.sequence, WHAT), WHAT);
  const flag = fields.optional(TAG.boolean);
  const length = fields.optional(TAG.integer);
  fields.end();
  const isCa = flag !== undefined && booleanOf(flag, WHAT);
  if (length === undefined) return { isCa };
  if (!isCa) throw badDer(WHAT, 'has a path length but is not an authority');
  return { isCa, pathLen: smallInteger(length, WHAT) };
}

function readKeyUsage(node: Der): KeyUsage[] {
  const bits = expectTag(node, TAG.bitString, WHAT).content.subarray(1);
  const usages = KEY_USAGES.filter((_, i) => ((bits[Math.floor(i / 8)] ?? 0) & (0x80 >> (i % 8))) !== 0);
  if (usages.length === 0) throw badDer(WHAT, 'has a key usage that allows nothing');
  return usages;
}

function readExtKeyUsage(node: Der): string[] {
  const usages = expectTag(node, TAG.sequence, WHAT).children.map((child) => oidOf(child, WHAT));
  if (usages.length === 0) throw badDer(WHAT, 'has an extended key usage that allows nothing');
  return usages;
}

/** Reads the key identifier. The extension may also hold the issuer's name and serial number, which are ignored. */
function readAuthorityKeyId(node: Der): Uint8Array | undefined {
  return fieldsOf(expectTag(node, TAG.sequence, WHAT), WHAT).optional(primitive(0))?.content;
}
