/**
 * Certificates that few authorities issue, for the questions which of them a log takes and which a verifier reads.
 *
 * `refusal` is a part of Stele's message where Go's crypto/x509 refuses the certificate: rekor-server-posix of rekor-tiles
 * 2.3.0 refuses exactly these, if it is built as its releases are (as a Go module; see test/interop/odd-certificates.test.ts).
 */
import { bitString, der, sequence } from './der.ts';

export interface OddCertificate {
  readonly what: string;
  readonly certificate: Buffer;
  /** Undefined if Rekor takes the certificate. */
  readonly refusal: string | undefined;
}

interface Parts {
  readonly version?: Buffer | undefined;
  readonly serial?: Buffer;
  readonly algorithm?: Buffer;
  readonly outerAlgorithm?: Buffer;
  readonly issuer?: Buffer;
  readonly validity?: Buffer;
  readonly subject?: Buffer;
  readonly beforeExtensions?: readonly Buffer[];
  readonly extensions?: readonly Buffer[];
  readonly signature?: Buffer;
  readonly after?: Buffer;
}

const bytes = (text: string) => Buffer.from(text, 'latin1');
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const integer = (...content: number[]) => der(0x02, Buffer.from(content));
/** By the hex of its contents. */
const oid = (content: string) => der(0x06, hex(content));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const ECDSA_SHA1 = sequence(oid('2a8648ce3d0401'));
const TRUE = der(0x01, Buffer.from([0xff]));
const utcTime = (text: string) => der(0x17, bytes(text));
const generalizedTime = (text: string) => der(0x18, bytes(text));
const COMMON_NAME = oid('550403');
const nameOf = (value: Buffer, type = COMMON_NAME) => sequence(der(0x31, sequence(type, value)));
const utf8 = (text: string) => der(0x0c, Buffer.from(text));
const NAME = nameOf(utf8('odd'));
const extension = (id: string, value: Buffer, ...flag: Buffer[]) => sequence(oid(id), ...flag, der(0x04, value));
const alternativeNames = (...names: Buffer[]) => extension('551d11', sequence(...names));
const uri = (text: string) => alternativeNames(der(0x86, bytes(text)));
/** 2.25 and the UUID f81d4fae-7dec-11d0-a765-00a0c91e6bf6. */
const UUID = '6983f09da7ebcfdee0c7a1a7b2c0948cc8f9d776';

function build(spki: Buffer, sign: (tbs: Buffer) => Buffer, parts: Parts): Buffer {
  const { algorithm = ECDSA_SHA256 } = parts;
  const version = 'version' in parts ? parts.version : der(0xa0, integer(2));
  const tbs = sequence(
    ...(version === undefined ? [] : [version]),
    parts.serial ?? integer(1),
    algorithm,
    parts.issuer ?? NAME,
    parts.validity ?? sequence(utcTime('260101000000Z'), utcTime('460101000000Z')),
    parts.subject ?? NAME,
    spki,
    ...(parts.beforeExtensions ?? []),
    ...(parts.extensions === undefined ? [] : [der(0xa3, sequence(...parts.extensions))]),
  );
  const whole = sequence(tbs, parts.outerAlgorithm ?? algorithm, parts.signature ?? bitString(sign(tbs)));
  return Buffer.concat([whole, parts.after ?? Buffer.alloc(0)]);
}

const times = (from: Buffer, to: Buffer): Parts => ({ validity: sequence(from, to) });
const TO = utcTime('460101000000Z');

const CASES: readonly (readonly [what: string, refusal: string | undefined, parts: Parts])[] = [
  ['nothing odd', undefined, { extensions: [uri('https://example.com/build')] }],
  ['version 1', undefined, { version: undefined }],
  ['version 2', undefined, { version: der(0xa0, integer(1)) }],
  ['version 4', 'the version is not 1, 2 or 3', { version: der(0xa0, integer(3)) }],
  ['serial number 0', undefined, { serial: integer(0) }],
  ['a serial number of 21 bytes', undefined, { serial: integer(...Buffer.alloc(21, 0x11)) }],
  ['a negative serial number', 'the serial number is negative', { serial: integer(0x80) }],
  ['a serial number with leading zeros', 'the serial number is not in DER', { serial: integer(0, 0, 1) }],
  ['another algorithm outside', 'two different signature algorithms', { outerAlgorithm: ECDSA_SHA1 }],
  ['a signature with SHA-1', undefined, { algorithm: ECDSA_SHA1 }],
  ['a signature algorithm that nobody knows', undefined, { algorithm: sequence(oid('2a03')) }],
  [
    'a signature algorithm named by a UUID',
    'algorithm has a number of more than 31 bits',
    { algorithm: sequence(oid(UUID)) },
  ],
  ['a signature of another key', undefined, { signature: bitString(sequence(integer(1), integer(1))) }],
  ['a signature with unused bits', 'the signature is not in DER', { signature: der(0x03, Buffer.from([1, 1])) }],
  ['an empty issuer', undefined, { issuer: sequence() }],
  ['an empty subject', undefined, { subject: sequence() }],
  ['a PrintableString with an underscore', 'no text of its type', { subject: nameOf(der(0x13, bytes('a_b'))) }],
  ['a PrintableString with an asterisk', undefined, { subject: nameOf(der(0x13, bytes('*.example.com'))) }],
  ['a PrintableString with UTF-8', 'no text of its type', { subject: nameOf(der(0x13, Buffer.from('Zoë'))) }],
  ['a UTF8String with Latin-1', 'no text of its type', { subject: nameOf(der(0x0c, hex('5a6feb'))) }],
  ['an IA5String that is not ASCII', 'no text of its type', { subject: nameOf(der(0x16, hex('eb'))) }],
  ['a T61String', undefined, { subject: nameOf(der(0x14, hex('eb'))) }],
  ['a BMPString of three bytes', 'no text of its type', { subject: nameOf(der(0x1e, hex('005a00'))) }],
  ['a BMPString with a surrogate', 'no text of its type', { subject: nameOf(der(0x1e, hex('d83dde00'))) }],
  ['a NumericString with a letter', 'no text of its type', { subject: nameOf(der(0x12, bytes('12a'))) }],
  ['a name in a UniversalString', 'no text of its type', { subject: nameOf(der(0x1c, hex('0000005a'))) }],
  [
    'a name part of a type named by a UUID',
    'a part of a name has a number of more than 31 bits',
    { subject: nameOf(utf8('x'), oid(UUID)) },
  ],
  ['a UTCTime without seconds', undefined, times(utcTime('2601010000Z'), TO)],
  ['a UTCTime in a time zone', undefined, times(utcTime('260101000000+0100'), TO)],
  ['a UTCTime without zone', 'a time of the validity', times(utcTime('260101000000'), TO)],
  ['a second that does not exist', 'a time of the validity', times(utcTime('260101000060Z'), TO)],
  ['a day that does not exist', 'a time of the validity', times(utcTime('260230000000Z'), TO)],
  ['a GeneralizedTime for 2026', undefined, times(generalizedTime('20260101000000Z'), TO)],
  ['parts of a second', 'a time of the validity', times(generalizedTime('20260101000000.5Z'), TO)],
  ['an end before the start', undefined, times(TO, utcTime('260101000000Z'))],
  [
    'unique identifiers',
    undefined,
    { beforeExtensions: [der(0x81, Buffer.from([0, 1])), der(0x82, Buffer.from([0, 1]))] },
  ],
  [
    'an extension twice',
    'the certificate has an extension twice',
    { extensions: [extension('2a03', der(0x05)), extension('2a03', der(0x05))] },
  ],
  ['a critical extension that nobody knows', undefined, { extensions: [extension('2a03', der(0x05), TRUE)] }],
  [
    'an extension named by a UUID',
    'extension has a number of more than 31 bits',
    { extensions: [extension(UUID, der(0x05))] },
  ],
  ['an extension with a number of 31 bits', undefined, { extensions: [extension('2a87ffffff7f', der(0x05))] }],
  [
    'an extension with a number of 32 bits',
    'extension has a number of more than 31 bits',
    { extensions: [extension('2a8880808000', der(0x05))] },
  ],
  [
    'an extension with a flag of 1',
    'the critical flag of an extension is not in DER',
    { extensions: [extension('2a03', der(0x05), der(0x01, Buffer.from([1])))] },
  ],
  [
    'an extension with the flag FALSE',
    undefined,
    { extensions: [extension('2a03', der(0x05), der(0x01, Buffer.from([0])))] },
  ],
  [
    'a use named by a UUID',
    'an extended key usage has a number of more than 31 bits',
    { extensions: [extension('551d25', sequence(oid(UUID)))] },
  ],
  ['a list of uses without a use', undefined, { extensions: [extension('551d25', sequence())] }],
  ['a use of a server', undefined, { extensions: [extension('551d25', sequence(oid('2b06010505070301')))] }],
  ['a use that is no identifier', 'an extended key usage', { extensions: [extension('551d25', sequence(utf8('x')))] }],
  ['a key usage that is no bits', 'the key usage', { extensions: [extension('551d0f', integer(1))] }],
  ['the flag of an authority', undefined, { extensions: [extension('551d13', sequence(TRUE))] }],
  [
    'a negative path length',
    'the path length is negative',
    { extensions: [extension('551d13', sequence(TRUE, integer(0xff)))] },
  ],
  [
    'a critical subject key identifier',
    'the subject key identifier is marked critical',
    { extensions: [extension('551d0e', der(0x04, hex('01')), TRUE)] },
  ],
  [
    'a critical authority key identifier',
    'the authority key identifier is marked critical',
    { extensions: [extension('551d23', sequence(der(0x80, hex('01'))), TRUE)] },
  ],
  [
    'critical authority information',
    'the authority information access is marked critical',
    { extensions: [extension('2b06010505070101', sequence(), TRUE)] },
  ],
  [
    'a policy twice',
    'the certificate has a policy twice',
    { extensions: [extension('551d20', sequence(sequence(oid('2a03')), sequence(oid('2a03'))))] },
  ],
  ['a policy named by a UUID', undefined, { extensions: [extension('551d20', sequence(sequence(oid(UUID))))] }],
  [
    'name constraints of nothing',
    'the list of name constraints is empty',
    { extensions: [extension('551d1e', sequence())] },
  ],
  [
    'a name constraint with a dot at the end',
    'a name constraint is malformed',
    { extensions: [extension('551d1e', sequence(der(0xa0, sequence(der(0x82, bytes('example.com.'))))))] },
  ],
  ['no alternative names in the list', undefined, { extensions: [alternativeNames()] }],
  [
    'an e-mail address that is not ASCII',
    'an e-mail address is not ASCII',
    { extensions: [alternativeNames(der(0x81, Buffer.from('zoë@example.com')))] },
  ],
  ['an e-mail address that is none', undefined, { extensions: [alternativeNames(der(0x81, bytes('zoe')))] }],
  ['a DNS name with a space', undefined, { extensions: [alternativeNames(der(0x82, bytes('a b')))] }],
  [
    'an IP address of 5 bytes',
    'an IP address has not 4 or 16 bytes',
    { extensions: [alternativeNames(der(0x87, Buffer.alloc(5)))] },
  ],
  ['a URI without host', undefined, { extensions: [uri('urn:example:a')] }],
  ['a URI without scheme', 'a URI is malformed', { extensions: [uri('://example.com')] }],
  ['a URI with a bad escape', 'a URI is malformed', { extensions: [uri('https://example.com/%zz')] }],
  ['a URI with a control character', 'a URI is malformed', { extensions: [uri('https://example.com/\u0001')] }],
  ['a URI with a space in its host', 'a URI is malformed', { extensions: [uri('https://exa mple.com/')] }],
  ['a URI whose host ends with a dot', 'a URI is malformed', { extensions: [uri('https://example.com./')] }],
  ['a URI with a port that is no number', 'a URI is malformed', { extensions: [uri('https://example.com:x/')] }],
  ['a URI with two ports', 'a URI is malformed', { extensions: [uri('https://example.com:1:2/')] }],
  ['a URI with half an IP address', 'a URI is malformed', { extensions: [uri('https://[2001:db8::1/')] }],
  ['bytes after the certificate', 'the certificate has bytes after its end', { after: Buffer.from([0]) }],
];

/**
 * @param spki a P-256 key
 * @param sign signs with that key: ECDSA with SHA-256, in DER
 */
export function oddCertificates(spki: Buffer, sign: (tbs: Buffer) => Buffer): OddCertificate[] {
  return CASES.map(([what, refusal, parts]) => ({ what, refusal, certificate: build(spki, sign, parts) }));
}
