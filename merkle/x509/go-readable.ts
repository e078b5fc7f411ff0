/**
 * Whether Go's crypto/x509 (Go 1.26, `ParseCertificate`) reads a certificate. Rekor, cosign and sigstore-go read certificates
 * with it, so that no user of theirs could verify an entry with a certificate that it refuses.
 *
 * One pass over the bytes takes 25 µs for a certificate of Fulcio, where `parseCertificate` takes 110 (Node 20). This file is no
 * parser: it takes version 1, which `parseCertificate` refuses, and it does not look at the public key, which has its own
 * reader.
 */
import { equal } from '../bytes.ts';
import { constructed, primitive, TAG } from './der.ts';
import { ASCII, charactersOf, Elements, readBits, readInteger, readOid, unreadable } from './go-elements.ts';
import { readExtensions } from './go-extensions.ts';
import { timeOfDate } from './utc-time.ts';

/** @throws MerkleError `bad-certificate`, with the rule that the certificate breaks */
export function checkGoReadable(der: Uint8Array): void {
  // A Buffer makes views more slowly than a Uint8Array.
  const input = new Elements(new Uint8Array(der.buffer, der.byteOffset, der.length), 0, der.length);
  if (!input.isNext(TAG.sequence)) throw unreadable('it is not an X.509 certificate in DER');
  const fields = input.any('the certificate');
  if (input.more()) throw unreadable('the certificate has bytes after its end');
  const tbs = fields.next(TAG.sequence, 'the signed part');
  const version = tbs.optional(constructed(0));
  const number = version === undefined ? 1 : readVersion(version);
  readInteger(tbs.next(TAG.integer, 'the serial number'), 'serial number');
  const algorithm = tbs.next(TAG.sequence, 'the signature algorithm');
  if (!equal(algorithm.bytes, fields.next(TAG.sequence, 'the signature algorithm').bytes)) {
    throw unreadable('the certificate names two different signature algorithms');
  }
  readAlgorithm(algorithm);
  readName(tbs.next(TAG.sequence, 'the issuer'), 'issuer');
  const validity = tbs.next(TAG.sequence, 'the validity');
  readTime(validity);
  readTime(validity);
  readName(tbs.next(TAG.sequence, 'the subject'), 'subject');
  const key = tbs.next(TAG.sequence, 'the public key');
  readAlgorithm(key.next(TAG.sequence, 'the algorithm of the public key'));
  readBits(key, 'the public key');
  if (number > 1) {
    tbs.optional(primitive(1));
    tbs.optional(primitive(2));
  }
  const extensions = number === 3 ? tbs.optional(constructed(3)) : undefined;
  if (extensions !== undefined) readExtensions(extensions.next(TAG.sequence, 'the list of extensions'));
  readBits(fields, 'the signature');
}

function readVersion(field: Elements): number {
  const { bytes } = field.next(TAG.integer, 'the version');
  if (field.more() || bytes.length !== 1 || bytes[0]! > 2) throw unreadable('the version is not 1, 2 or 3');
  return bytes[0]! + 1;
}

function readAlgorithm(algorithm: Elements): void {
  readOid(algorithm, 'the object identifier of an algorithm');
  if (algorithm.more()) algorithm.any('the parameters of an algorithm');
}

/** Also `*` and `&`, which certificates have in spite of the standard. */
const PRINTABLE = /^[A-Za-z0-9 '()+,./:=?*&-]*$/;
const NUMERIC = /^[0-9 ]*$/;
const NUMERIC_STRING = 0x12;

function readName(name: Elements, what: string): void {
  while (name.more()) {
    const set = name.next(TAG.set, `a part of the ${what}`);
    while (set.more()) {
      const attribute = set.next(TAG.sequence, `a part of the ${what}`);
      readOid(attribute, 'the object identifier of a part of a name');
      const { bytes } = attribute.any(`a part of the ${what}`);
      if (!isText(attribute.tag, bytes)) throw unreadable(`a part of the ${what} is no text of its type`);
    }
  }
}

function isText(tag: number, bytes: Uint8Array): boolean {
  switch (tag) {
    case TAG.printable:
      return PRINTABLE.test(charactersOf(bytes));
    case TAG.utf8:
      return isUtf8(bytes);
    case TAG.ia5:
      return ASCII.test(charactersOf(bytes));
    case NUMERIC_STRING:
      return NUMERIC.test(charactersOf(bytes));
    case TAG.bmp:
      return isBmp(bytes);
    default:
      return tag === TAG.t61;
  }
}

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true });

function isUtf8(bytes: Uint8Array): boolean {
  if (ASCII.test(charactersOf(bytes))) return true;
  try {
    STRICT_UTF8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Code points of two bytes, without surrogates and without those that are no characters. */
function isBmp(bytes: Uint8Array): boolean {
  if (bytes.length % 2 !== 0) return false;
  for (let at = 0; at < bytes.length; at += 2) {
    const point = bytes[at]! * 256 + bytes[at + 1]!;
    if (point >= 0xfffe || (point >= 0xd800 && point <= 0xdfff) || (point >= 0xfdd0 && point <= 0xfdef)) return false;
  }
  return true;
}

/** Go takes a UTCTime without seconds, and a time zone that is not UTC, in spite of RFC 5280. */
const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:Z|[+-](?!0000)(?:[01]\d|2[0-4])[0-5]\d)$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:Z|[+-](?!0000)(?:[01]\d|2[0-4])[0-5]\d)$/;

function readTime(validity: Elements): void {
  const { bytes } = validity.any('a time of the validity');
  const isUtc = validity.tag === TAG.utcTime;
  if (!isUtc && validity.tag !== TAG.generalizedTime)
    throw unreadable('a time of the validity is missing, or of another type');
  const match = (isUtc ? UTC_TIME : GENERALIZED_TIME).exec(charactersOf(bytes));
  const [year, month, day, hour, minute, second] = (match ?? []).slice(1).map((part = '0') => Number(part));
  // 19 and 20 before a year of two digits have leap years alike, except 1900, which no UTCTime can mean.
  const full = isUtc ? 2000 + year! : year!;
  if (match === null || timeOfDate(full, month!, day!, hour!, minute!, second!) === undefined) {
    throw unreadable('a time of the validity is malformed, or does not exist');
  }
}
