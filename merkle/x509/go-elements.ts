/** DER elements of a certificate, and the rules of Go's cryptobyte for them. */
import { MerkleError } from '../errors.ts';
import { TAG } from './der.ts';

/** @param rule what is wrong with the certificate */
export function unreadable(rule: string): MerkleError {
  return new MerkleError(
    'bad-certificate',
    `${rule}: Go's crypto/x509 does not read such a certificate, so that cosign, sigstore-go and Rekor refuse it`,
  );
}

/** Reads elements one after the other, in the encoding of DER. */
export class Elements {
  readonly #der: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  #at: number;
  /** Identifier octet of the last element of `any`. */
  tag = 0;

  constructor(der: Uint8Array, start: number, end: number) {
    this.#der = der;
    this.#start = start;
    this.#at = start;
    this.#end = end;
  }

  get bytes(): Uint8Array {
    return this.#der.subarray(this.#start, this.#end);
  }

  more(): boolean {
    return this.#at < this.#end;
  }

  isNext(tag: number): boolean {
    return this.more() && this.#der[this.#at] === tag;
  }

  /** The contents of the next element, if it has this tag. */
  optional(tag: number): Elements | undefined {
    return this.isNext(tag) ? this.any('an element') : undefined;
  }

  /** The contents of the next element, which must have this tag. */
  next(tag: number, what: string): Elements {
    if (!this.isNext(tag)) throw unreadable(`${what} is missing, or of another type`);
    return this.any(what);
  }

  /** The contents of the next element, with any tag. */
  any(what: string): Elements {
    const der = this.#der;
    const at = this.#at;
    const first = der[at + 1];
    this.tag = der[at] ?? 0;
    if (first === undefined || at + 2 > this.#end || (this.tag & 0x1f) === 0x1f) throw notDer(what);
    let start = at + 2;
    let length = first;
    if (first >= 0x80) {
      const count = first - 0x80;
      if (count < 1 || count > 4 || start + count > this.#end || der[start] === 0) throw notDer(what);
      length = 0;
      for (const end = start + count; start < end; start++) length = length * 256 + der[start]!;
      if (length < 0x80) throw notDer(what);
    }
    if (start + length > this.#end) throw notDer(what);
    this.#at = start + length;
    return new Elements(der, start, this.#at);
  }
}

export function notDer(what: string): MerkleError {
  return unreadable(`${what} is not in DER`);
}

/** Bytes of an INTEGER in its shortest form. */
function isShortest(bytes: Uint8Array): boolean {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return first !== undefined;
  return !((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
}

export function readInteger({ bytes }: Elements, what: string): void {
  if (!isShortest(bytes)) throw notDer(`the ${what}`);
  if (bytes[0]! >= 0x80) throw unreadable(`the ${what} is negative`);
}

/** An INTEGER of 64 bits. Go takes negative ones. */
export function readInt64({ bytes }: Elements, what: string): void {
  if (!isShortest(bytes) || bytes.length > 8) throw unreadable(`the ${what} is no number of 64 bits`);
}

export function readBits(fields: Elements, what: string): void {
  const { bytes } = fields.next(TAG.bitString, what);
  const [unused] = bytes;
  const isGood =
    unused !== undefined && unused <= 7 && (bytes.length === 1 ? unused === 0 : bytes.at(-1)! % 2 ** unused === 0);
  if (!isGood) throw notDer(what);
}

/** An OBJECT IDENTIFIER whose arcs have 31 bits at the most. @returns its bytes */
export function readOid(fields: Elements, what: string): Uint8Array {
  const { bytes } = fields.next(TAG.oid, what);
  let arc = 0;
  let isFirst = true; // of the bytes of this arc
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (isFirst && byte === 0x80) throw notDer(what);
    if (arc >= 2 ** 24) throw unreadable(`${what} has a number of more than 31 bits`);
    arc = arc * 128 + (byte & 0x7f);
    isFirst = byte < 0x80;
    if (isFirst) arc = 0;
  }
  if (!isFirst || bytes.length === 0) throw notDer(what);
  return bytes;
}

export const ASCII = /^[\0-\x7f]*$/;

/** One character for each byte. */
export function charactersOf(bytes: Uint8Array): string {
  if (bytes.length <= 1_024) return String.fromCharCode.apply(null, bytes as unknown as number[]);
  return charactersOf(bytes.subarray(0, 1_024)) + charactersOf(bytes.subarray(1_024));
}
