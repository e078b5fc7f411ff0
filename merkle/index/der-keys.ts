/**
 * What the index reads in a certificate or a public key: docs/index.md, "Certificates" and "Anchors".
 *
 * This reader is not merkle/x509's strict one on purpose. The rules of v1 never change, so that they stand on their own and are
 * few: definite lengths, the fields of a certificate in their order, and the values of two extensions as bytes.
 */
import { decodeUtf8, encodeHex, encodeUtf8 } from '../bytes.ts';
import { FULCIO_ARC, LAST_RAW_EXTENSION } from '../x509/fulcio.ts';

/** What one certificate, or one public key, says of its signer. */
export interface DerKeys {
  /** SubjectPublicKeyInfo; more than one only in bytes that are not one certificate. */
  readonly spkis: Uint8Array[];
  readonly names: string[];
  /** Fulcio's issuers: the extensions .1 and .8. */
  readonly issuers: string[];
  /** `OID=text` of Fulcio's other extensions. */
  readonly extensions: string[];
}

const SUBJECT_ALT_NAME = Uint8Array.of(0x55, 0x1d, 0x11);
/** 1.3.6.1.4.1.57264.1, without its last number. */
const ARC = Uint8Array.of(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01);
/** Most numbers of an OID after the arc, and most bytes of each. */
const MAX_NUMBERS = 8;
const MAX_NUMBER_BYTES = 4;
const SMALL = Array.from({ length: 0x80 }, (_, number) => String(number));
/** Most names of a certificate that are paired with its issuer, and the longest issuer that is, in bytes. */
export const MAX_PAIR_NAMES = 64;
const MAX_PAIR_ISSUER = 256;
/** What an anchor reads at most: bytes of a value, and bytes of a key. Anchors may overlap, and their work must stay linear. */
const MAX_ANCHOR_VALUE = 1024;
const MAX_ANCHOR_KEY = 4096;

/** Whether an issuer makes keys together with the names. All pairs of long ones would be much more text than the entry. */
export function isPairable(issuer: string): boolean {
  if (3 * issuer.length <= MAX_PAIR_ISSUER) return true;
  return issuer.length <= MAX_PAIR_ISSUER && encodeUtf8(issuer).length <= MAX_PAIR_ISSUER;
}

/** The text of bytes that are ASCII. On Node, a method of Buffer is faster. */
export type AsciiOf = (bytes: Uint8Array, start: number, end: number) => string;

const asciiOf: AsciiOf = (bytes, start, end) => {
  let text = '';
  for (let at = start; at < end; at += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, Math.min(end, at + 4096)) as unknown as number[]);
  }
  return text;
};

/** The keys of a well-formed certificate; undefined for all other bytes. */
export function readCertificate(der: Uint8Array, ascii: AsciiOf = asciiOf): DerKeys | undefined {
  const reader = new Reader(der, ascii);
  return reader.certificate() ? reader.found : undefined;
}

/** The keys of a well-formed SubjectPublicKeyInfo; undefined for all other bytes. */
export function readSpki(der: Uint8Array): DerKeys | undefined {
  const reader = new Reader(der);
  return reader.publicKey(0) === der.length ? reader.found : undefined;
}

/** The keys of any bytes: each place that has the form of a key, of alternative names, or of one of Fulcio's extensions. */
export function scanAnchors(bytes: Uint8Array): DerKeys {
  const reader = new Reader(bytes);
  reader.anchors();
  return reader.found;
}

class Reader {
  readonly found: DerKeys = { spkis: [], names: [], issuers: [], extensions: [] };
  readonly #der: Uint8Array;
  readonly #ascii: AsciiOf;
  /** The last element: its contents begin at `#start`, and it ends at `#end`. */
  #start = 0;
  #end = 0;

  constructor(der: Uint8Array, ascii: AsciiOf = asciiOf) {
    this.#der = der;
    this.#ascii = ascii;
  }

  certificate(): boolean {
    const size = this.#der.length;
    if (!this.#strict(0x30, 0, size) || this.#end !== size) return false;
    if (!this.#strict(0x30, this.#start, size)) return false;
    const [tbs, tbsEnd] = [this.#start, this.#end];
    if (!this.#strict(0x30, tbsEnd, size) || !this.#strict(0x03, this.#end, size) || this.#end !== size) return false;
    let at = tbs;
    // Version, serial number, signature algorithm, issuer, validity, subject.
    if (this.#strict(0xa0, at, tbsEnd)) at = this.#end;
    if (!this.#strict(0x02, at, tbsEnd)) return false;
    for (let i = 0; i < 4; i++) if (!this.#strict(0x30, this.#end, tbsEnd)) return false;
    at = this.publicKey(this.#end);
    if (at < 0 || at > tbsEnd) return false;
    if (this.#strict(0x81, at, tbsEnd)) at = this.#end;
    if (this.#strict(0x82, at, tbsEnd)) at = this.#end;
    if (at === tbsEnd) return true;
    if (!this.#strict(0xa3, at, tbsEnd) || this.#end !== tbsEnd) return false;
    if (!this.#strict(0x30, this.#start, tbsEnd) || this.#end !== tbsEnd) return false;
    return this.#extensions(this.#start, tbsEnd);
  }

  /** Where the SubjectPublicKeyInfo at `at` ends; -1 if none is there. */
  publicKey(at: number, most = Number.POSITIVE_INFINITY): number {
    const limit = Math.min(this.#der.length, at + most);
    if (!this.#strict(0x30, at, limit)) return -1;
    const [start, end] = [this.#start, this.#end];
    if (!this.#strict(0x30, start, end)) return -1;
    const bits = this.#end;
    if (!this.#strict(0x06, this.#start, bits)) return -1;
    if (!this.#strict(0x03, bits, end) || this.#end !== end) return -1;
    this.found.spkis.push(this.#der.subarray(at, end));
    return end;
  }

  anchors(): void {
    const der = this.#der;
    for (let at = 0; at < der.length; at++) {
      if (der[at] === 0x30) this.publicKey(at, MAX_ANCHOR_KEY);
      else if (der[at] === 0x06) this.#anchor(at);
    }
  }

  /** Reads alternative names, or an extension of Fulcio's, if the OID at `at` is theirs. */
  #anchor(at: number): void {
    const size = this.#der.length;
    const length = this.#der[at + 1]!;
    const oid = at + 2;
    const oidEnd = oid + length;
    if (length >= 0x80 || oidEnd > size) return;
    const isNames = length === 3 && this.#isAt(oid, SUBJECT_ALT_NAME);
    if (!isNames && !(length > ARC.length && this.#isAt(oid, ARC))) return;
    const limit = Math.min(size, oidEnd + MAX_ANCHOR_VALUE);
    let next = oidEnd;
    if (this.#lenient(next, limit) === 0x01) next = this.#end;
    if (this.#lenient(next, limit) !== 0x04) return;
    const [start, end] = [this.#start, Math.min(this.#end, limit)];
    if (!isNames) {
      if (this.#end <= limit) this.#fulcio(oid, oidEnd, start, end);
    } else if (this.#lenient(start, end) === 0x30) this.#someNames(this.#start, Math.min(this.#end, end));
  }

  /** Adds the first names of an anchor, as far as they are whole. */
  #someNames(start: number, end: number): void {
    for (let at = start, count = 0; at < end && count < MAX_PAIR_NAMES; at = this.#end, count++) {
      const tag = this.#lenient(at, end);
      if (tag === undefined || this.#end > end) return;
      const next = this.#end;
      this.found.names.push(this.#name(tag, this.#start, next).text ?? this.#hex(at, next));
      this.#end = next;
    }
  }

  #extensions(start: number, end: number): boolean {
    let hasNames = false;
    const numbers: string[] = [];
    for (let at = start; at < end; ) {
      if (!this.#strict(0x30, at, end)) return false;
      const next = this.#end;
      if (!this.#strict(0x06, this.#start, next)) return false;
      const [oid, oidEnd] = [this.#start, this.#end];
      at = oidEnd;
      if (this.#strict(0x01, at, next)) {
        if (this.#end - this.#start !== 1) return false;
        at = this.#end;
      }
      if (!this.#strict(0x04, at, next) || this.#end !== next) return false;
      const value = this.#start;
      if (oidEnd - oid === 3 && this.#isAt(oid, SUBJECT_ALT_NAME)) {
        if (hasNames || !this.#strict(0x30, value, next) || this.#end !== next) return false;
        hasNames = true;
        if (!this.#names(this.#start, next)) return false;
      } else if (oidEnd - oid > ARC.length && this.#isAt(oid, ARC)) {
        const number = this.#fulcio(oid, oidEnd, value, next);
        if (number === undefined || numbers.includes(number)) return false;
        numbers.push(number);
      }
      at = next;
    }
    const { issuers, names } = this.found;
    if (issuers.length === 0) return true;
    return new Set(issuers).size === 1 && isPairable(issuers[0]!) && names.length <= MAX_PAIR_NAMES;
  }

  /**
   * Reads an extension of Fulcio's. Gives what follows the arc, if the value has its form.
   */
  #fulcio(oid: number, oidEnd: number, start: number, end: number): string | undefined {
    const number = this.#numbers(oid + ARC.length, oidEnd);
    if (number === undefined) return undefined;
    const { issuers, extensions } = this.found;
    let from: number | undefined = start;
    if (number.length > 1 || number === '0' || Number(number) > LAST_RAW_EXTENSION) {
      from = this.#strict(0x0c, start, end) && this.#end === end ? this.#start : undefined;
    }
    const text = from === undefined ? undefined : this.#text(from, end);
    const shown = text ?? this.#hex(start, end);
    if (number === '1' || number === '8') issuers.push(shown);
    else extensions.push(`${FULCIO_ARC}${number}=${shown}`);
    return text === undefined ? undefined : number;
  }

  /** The numbers of an OID in decimal, with dots between them. */
  #numbers(start: number, end: number): string | undefined {
    if (end - start === 1 && this.#der[start]! < 0x80) return SMALL[this.#der[start]!];
    const numbers: number[] = [];
    let first = start;
    let value = 0;
    for (let at = start; at < end; at++) {
      const byte = this.#der[at]!;
      if (at === first && byte === 0x80) return undefined;
      if (at - first === MAX_NUMBER_BYTES) return undefined;
      value = value * 128 + (byte & 0x7f);
      if (byte >= 0x80) continue;
      if (numbers.push(value) > MAX_NUMBERS) return undefined;
      value = 0;
      first = at + 1;
    }
    return first === end && numbers.length > 0 ? numbers.join('.') : undefined;
  }

  /** Adds the names between `start` and `end`. Whether there is one, and all of them have their form. */
  #names(start: number, end: number): boolean {
    if (start === end) return false;
    for (let at = start; at < end; ) {
      const tag = this.#der[at]!;
      if (!this.#strict(tag, at, end)) return false;
      const next = this.#end;
      const name = this.#name(tag, this.#start, next);
      if (!name.good) return false;
      this.found.names.push(name.text ?? this.#hex(at, next));
      at = next;
    }
    return true;
  }

  /** The text of a name; without text the name is shown in hex. */
  #name(tag: number, start: number, end: number): { readonly text?: string; readonly good: boolean } {
    switch (tag) {
      case 0x81:
      case 0x82:
      case 0x86: {
        const text = this.#text(start, end);
        return text === undefined ? { good: false } : { text, good: text.length === end - start };
      }
      case 0x87: {
        const text = ipText(this.#der.subarray(start, end));
        return text === undefined ? { good: false } : { text, good: true };
      }
      case 0xa0: {
        const text = this.#otherName(start, end);
        return text === undefined ? { good: true } : { text, good: true };
      }
      default:
        return { good: (tag & 0x1f) !== 0x1f };
    }
  }

  /** The text of an otherName that has one: `SEQUENCE { OID, [0] { UTF8String, PrintableString or IA5String } }`. */
  #otherName(start: number, end: number): string | undefined {
    if (!this.#strict(0x06, start, end) || !this.#strict(0xa0, this.#end, end) || this.#end !== end) return undefined;
    const at = this.#start;
    const tag = this.#der[at]!;
    if (tag !== 0x0c && tag !== 0x13 && tag !== 0x16) return undefined;
    return this.#strict(tag, at, end) && this.#end === end ? this.#text(this.#start, end) : undefined;
  }

  /** Passes the element at `at`, which must have this tag, the shortest form of its length, and its end at `limit` or before. */
  #strict(tag: number, at: number, limit: number): boolean {
    const der = this.#der;
    if (at + 2 > limit || der[at] !== tag || (tag & 0x1f) === 0x1f) return false;
    let length = der[at + 1]!;
    let start = at + 2;
    if (length >= 0x80) {
      const bytes = length - 0x80;
      if (bytes < 1 || bytes > 3 || start + bytes > limit || der[start] === 0) return false;
      length = 0;
      for (let i = 0; i < bytes; i++) length = length * 256 + der[start++]!;
      if (length < 0x80) return false;
    }
    if (start + length > limit) return false;
    this.#start = start;
    this.#end = start + length;
    return true;
  }

  /**
   * Passes the element at `at`, with any tag, any length and any form of the length; it may reach beyond `limit`. Gives its tag;
   * undefined where no element of definite length begins before `limit`.
   */
  #lenient(at: number, limit: number): number | undefined {
    const der = this.#der;
    const first = der[at + 1]!;
    let start = at + 2;
    let length = first;
    if (start > limit || first === 0x80) return undefined;
    if (first > 0x80) {
      const end = start + (first & 0x7f);
      if (end > limit) return undefined;
      length = 0;
      for (; start < end; start++) length = Math.min(length * 256 + der[start]!, 2 ** 32);
    }
    this.#start = start;
    this.#end = start + length;
    return der[at];
  }

  #isAt(at: number, wanted: Uint8Array): boolean {
    for (let i = 0; i < wanted.length; i++) if (this.#der[at + i] !== wanted[i]) return false;
    return true;
  }

  /** Undefined for bytes that are not UTF-8. */
  #text(start: number, end: number): string | undefined {
    const der = this.#der;
    for (let at = start; at < end; at++) if (der[at]! >= 0x80) return utf8(der.subarray(start, end));
    return this.#ascii(der, start, end);
  }

  #hex(start: number, end: number): string {
    return `#${encodeHex(this.#der.subarray(start, end))}`;
  }
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return decodeUtf8(bytes);
  } catch {
    return undefined;
  }
}

function ipText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! * 256 + bytes[i + 1]!).toString(16));
  return groups.join(':');
}
