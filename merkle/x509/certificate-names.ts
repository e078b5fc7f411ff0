/** Names in certificates: distinguished names (RFC 5280 section 4.1.2.4) and alternative names (section 4.2.1.6). */
import { encodeHex } from '../bytes.ts';
import { badDer, constructed, type Der, primitive, TAG } from './der.ts';
import { asciiOf, expectTag, fieldsOf, oidOf, utf8Of } from './der-fields.ts';

/**
 * One alternative name. `other` with an `oid` is an otherName with a text value (Fulcio's user names have the OID
 * 1.3.6.1.4.1.57264.1.7). `other` without an `oid` is a name of an unsupported kind: `value` is `#` and the hex of its DER.
 */
export interface AlternativeName {
  readonly type: 'email' | 'uri' | 'dns' | 'ip' | 'other';
  readonly value: string;
  readonly oid?: string;
}

/** Most names of a certificate. No real certificate has so many. */
const MAX_NAMES = 256;

const ATTRIBUTES = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);

/**
 * The text of a Name as in RFC 4514, the last part first: `CN=sigstore,O=sigstore.dev`. The text is for people; programs
 * compare names by their DER.
 * @throws MerkleError `bad-der`
 */
export function nameText(name: Der, what: string): string {
  const parts = expectTag(name, TAG.sequence, what).children.map((set) => {
    if (expectTag(set, TAG.set, what).children.length === 0) throw badDer(what, 'has an empty name part');
    const attributes = set.children.map((attribute) => {
      const fields = fieldsOf(expectTag(attribute, TAG.sequence, what), what);
      const oid = oidOf(fields.next(TAG.oid), what);
      const value = attributeText(fields.any(), what);
      fields.end();
      return `${ATTRIBUTES.get(oid) ?? oid}=${value}`;
    });
    return attributes.join('+');
  });
  return parts.reverse().join(',');
}

function attributeText(value: Der, what: string): string {
  switch (value.tag) {
    case TAG.utf8:
      return escaped(utf8Of(value.content, what));
    case TAG.printable:
    case TAG.ia5:
      return escaped(asciiOf(value.content, what));
    default:
      return `#${encodeHex(value.bytes)}`;
  }
}

/** RFC 4514 section 2.4. */
function escaped(text: string): string {
  return text
    .replace(/[\\",+;<>]/g, (character) => `\\${character}`)
    .replace(/^[ #]| $/g, (character) => `\\${character}`)
    .replaceAll('\0', '\\00');
}

/** The names of a GeneralNames, in their order. @throws MerkleError `bad-der` */
export function alternativeNames(names: Der, what: string): AlternativeName[] {
  const { children } = expectTag(names, TAG.sequence, what);
  if (children.length === 0 || children.length > MAX_NAMES) {
    throw badDer(what, `has ${children.length} alternative names, not 1 to ${MAX_NAMES}`);
  }
  return children.map((name) => alternativeName(name, what));
}

function alternativeName(name: Der, what: string): AlternativeName {
  switch (name.tag) {
    case primitive(1):
      return { type: 'email', value: asciiOf(name.content, what) };
    case primitive(2):
      return { type: 'dns', value: asciiOf(name.content, what) };
    case primitive(6):
      return { type: 'uri', value: asciiOf(name.content, what) };
    case primitive(7):
      return { type: 'ip', value: ipText(name.content, what) };
    case constructed(0):
      return otherName(name, what);
    default:
      return { type: 'other', value: `#${encodeHex(name.bytes)}` };
  }
}

function otherName(name: Der, what: string): AlternativeName {
  const fields = fieldsOf(name, what);
  const oid = oidOf(fields.next(TAG.oid), what);
  const [value, ...rest] = fields.next(constructed(0)).children;
  fields.end();
  if (value === undefined || rest.length > 0)
    throw badDer(what, 'has an alternative name that does not have exactly one value');
  if (value.tag === TAG.utf8) return { type: 'other', oid, value: utf8Of(value.content, what) };
  if (value.tag === TAG.printable || value.tag === TAG.ia5) {
    return { type: 'other', oid, value: asciiOf(value.content, what) };
  }
  return { type: 'other', value: `#${encodeHex(name.bytes)}` };
}

function ipText(bytes: Uint8Array, what: string): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw badDer(what, 'has an IP address that is not 4 or 16 bytes long');
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! * 256 + bytes[i + 1]!).toString(16));
  return groups.join(':');
}
