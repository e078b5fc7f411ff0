/**
 * Reads the names, the issuer and the key of a certificate in one pass over its bytes: 8 µs, where `parseCertificate` and
 * `identityOf` take 130 for a certificate with Fulcio's twenty extensions (Node 20). Most certificates of a log concern no
 * rule of its reader, and a million of them take seconds this way, not minutes.
 *
 * This reader knows only the form that authorities write (definite lengths in their shortest form, ASCII in names and
 * extensions) and gives up on everything else. The caller then takes `parseCertificate`, as for every certificate that
 * matters to it. A test compares the two readers over mutated certificates: where both read one, they read the same.
 */
import type { AlternativeName } from '../../x509/certificate-names.ts';
import { FULCIO_ARC, FULCIO_EXTENSIONS, LAST_RAW_EXTENSION } from '../../x509/fulcio.ts';

export interface QuickIdentity {
  readonly names: readonly AlternativeName[];
  readonly issuer?: string;
  readonly extensions: { get(nameOrOid: string): string | undefined };
  /** SubjectPublicKeyInfo: a view of the input. */
  readonly spki: Uint8Array;
}

/** DER of `FULCIO_ARC`, without its last number. */
const ARC_BYTES = Buffer.from('2b0601040183bf3001', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('551d11', 'hex');
const VERSION_3 = Buffer.from('020102', 'hex');
const NAME_TYPES: Readonly<Record<number, AlternativeName['type']>> = { 129: 'email', 130: 'dns', 134: 'uri' };
/** Name or OID to the last number of the OID. */
const NUMBERS: ReadonlyMap<string, number> = new Map(
  Object.entries(FULCIO_EXTENSIONS).flatMap(([name, oid]) => {
    const number = Number(oid.slice(FULCIO_ARC.length));
    return [
      [name, number],
      [oid, number],
    ];
  }),
);
const MAX_BYTES = 16_384;
const MAX_NAMES = 256;
const MAX_EXTENSIONS = 64;

/** Only this file throws and catches it: a return value through all levels would cost more than it explains. */
const GIVE_UP = Symbol('not of the common form');

/** Undefined for every certificate that is not of the common form, well-formed or not. */
export function quickIdentity(der: Buffer): QuickIdentity | undefined {
  if (der.length > MAX_BYTES) return undefined;
  try {
    return new Reader(der).certificate();
  } catch (error) {
    if (error === GIVE_UP) return undefined;
    throw error;
  }
}

class Reader {
  readonly #der: Buffer;
  /** Where the last element, its contents and the bytes after it begin. */
  #begin = 0;
  #start = 0;
  #end = 0;

  constructor(der: Buffer) {
    this.#der = der;
  }

  certificate(): QuickIdentity {
    const der = this.#der;
    this.#element(0x30, 0, der.length);
    if (this.#end !== der.length) throw GIVE_UP;
    const whole = this.#end;
    this.#element(0x30, this.#start, whole);
    const tbsEnd = this.#end;
    const tbsStart = this.#start;
    this.#element(0x30, tbsEnd, whole);
    this.#element(0x03, this.#end, whole);
    if (this.#end !== whole) throw GIVE_UP;

    this.#element(0xa0, tbsStart, tbsEnd);
    // Version 3.
    if (this.#end - this.#start !== 3 || !isBytes(der, this.#start, VERSION_3)) throw GIVE_UP;
    this.#element(0x02, this.#end, tbsEnd);
    // Signature algorithm, issuer, validity, subject, key.
    for (let i = 0; i < 5; i++) this.#element(0x30, this.#end, tbsEnd);
    const spki = der.subarray(this.#begin, this.#end);
    const found: Found = { names: [], places: [] };
    if (this.#end < tbsEnd) {
      this.#element(0xa3, this.#end, tbsEnd);
      if (this.#end !== tbsEnd) throw GIVE_UP;
      this.#element(0x30, this.#start, tbsEnd);
      if (this.#end !== tbsEnd) throw GIVE_UP;
      this.#extensions(this.#start, tbsEnd, found);
    }
    const extensions = new Extensions(der, found.places);
    const old = extensions.number(1);
    const issuer = extensions.number(8) ?? old;
    if (old !== undefined && old !== issuer) throw GIVE_UP;
    return { names: found.names, ...(issuer === undefined ? {} : { issuer }), extensions, spki };
  }

  #extensions(start: number, end: number, found: Found): void {
    const der = this.#der;
    let count = 0;
    for (let at = start; at < end; ) {
      this.#element(0x30, at, end);
      const next = this.#end;
      this.#element(0x06, this.#start, next);
      const [oid, oidEnd] = [this.#start, this.#end];
      if (++count > MAX_EXTENSIONS) throw GIVE_UP;
      at = oidEnd;
      if (der[at] === 0x01) {
        this.#element(0x01, at, next);
        if (this.#end - this.#start !== 1 || der[this.#start] !== 0xff) throw GIVE_UP;
        at = this.#end;
      }
      this.#element(0x04, at, next);
      if (this.#end !== next) throw GIVE_UP;
      const value = this.#start;
      if (oidEnd - oid === 3 && isBytes(der, oid, SUBJECT_ALT_NAME)) this.#names(value, next, found);
      else if (isFulcio(der, oid, oidEnd)) this.#text(der[oidEnd - 1]!, value, next, found);
      at = next;
    }
  }

  #names(start: number, end: number, found: Found): void {
    // The extension is there twice.
    if (found.names.length > 0) throw GIVE_UP;
    this.#element(0x30, start, end);
    if (this.#end !== end) throw GIVE_UP;
    for (let at = this.#start; at < end; at = this.#end) {
      const type = NAME_TYPES[this.#der[at]!];
      // User names and rarer kinds.
      if (type === undefined || found.names.length === MAX_NAMES) throw GIVE_UP;
      this.#element(this.#der[at]!, at, end);
      this.#checkAscii(this.#start, this.#end);
      found.names.push({ type, value: this.#der.toString('latin1', this.#start, this.#end) });
    }
    if (found.names.length === 0) throw GIVE_UP;
  }

  #text(number: number, start: number, end: number, { places }: Found): void {
    let from = start;
    if (number > LAST_RAW_EXTENSION) {
      this.#element(0x0c, start, end);
      if (this.#end !== end) throw GIVE_UP;
      from = this.#start;
    }
    this.#checkAscii(from, end);
    for (let i = 0; i < places.length; i += 3) if (places[i] === number) throw GIVE_UP;
    places.push(number, from, end);
  }

  /** Text beyond ASCII has rules that only the strict reader knows. */
  #checkAscii(start: number, end: number): void {
    for (let at = start; at < end; at++) if (this.#der[at]! >= 0x80) throw GIVE_UP;
  }

  /** The element at `at`, which must have this identifier and end at `limit` or before. */
  #element(tag: number, at: number, limit: number): void {
    const der = this.#der;
    if (at + 2 > limit || der[at] !== tag) throw GIVE_UP;
    let length = der[at + 1]!;
    let start = at + 2;
    if (length >= 0x80) {
      const bytes = length - 0x80;
      if (bytes < 1 || bytes > 2 || start + bytes > limit) throw GIVE_UP;
      length = bytes === 1 ? der[start]! : der[start]! * 256 + der[start + 1]!;
      start += bytes;
      // The shortest form only.
      if (length < (bytes === 1 ? 0x80 : 0x100)) throw GIVE_UP;
    }
    if (start + length > limit) throw GIVE_UP;
    this.#begin = at;
    this.#start = start;
    this.#end = start + length;
  }
}

interface Found {
  readonly names: AlternativeName[];
  /** Last number of the OID, where the text begins and ends, and again. */
  readonly places: number[];
}

/** Whether the OID is one of Fulcio's. Gives up where its last number has more than one byte. */
function isFulcio(der: Buffer, start: number, end: number): boolean {
  if (end - start < ARC_BYTES.length || !isBytes(der, start, ARC_BYTES)) return false;
  if (end - start !== ARC_BYTES.length + 1 || der[end - 1]! >= 0x80) throw GIVE_UP;
  return true;
}

/** For a few bytes: calling `compare` takes longer. */
function isBytes(der: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (der[at + i] !== wanted[i]) return false;
  return true;
}

/** Makes the texts when a caller asks for them. */
class Extensions {
  readonly #der: Buffer;
  readonly #places: readonly number[];

  constructor(der: Buffer, places: readonly number[]) {
    this.#der = der;
    this.#places = places;
  }

  get(nameOrOid: string): string | undefined {
    const number =
      NUMBERS.get(nameOrOid) ?? (nameOrOid.startsWith(FULCIO_ARC) ? Number(nameOrOid.slice(FULCIO_ARC.length)) : -1);
    return this.number(number);
  }

  number(wanted: number): string | undefined {
    const places = this.#places;
    for (let i = 0; i < places.length; i += 3) {
      if (places[i] === wanted) return this.#der.toString('latin1', places[i + 1], places[i + 2]);
    }
    return undefined;
  }
}
