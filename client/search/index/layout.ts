/** The rows of the plain index, byte by byte: index-store.ts has the table. */
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { type IndexKey, KEY_KINDS, type KeyKind } from '../../../merkle/index/keys.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';

export const FAMILY = { log: 0x6c, checkpoint: 0x63, tile: 0x74, block: 0x62, posting: 0x70, value: 0x64, time: 0x77 };
type Family = (typeof FAMILY)[keyof typeof FAMILY];

/** Bytes of an index, a size or a time in a key: 48 bits, big-endian, so that rows are in the order of their numbers. */
const NUMBER = 6;
export const MAX_NUMBER = 2 ** 48 - 1;
/** Bytes of the hash that stands for a text: nobody finds two texts for one in 2^80 steps. */
const HASHED = 20;
/** Bytes of a text that stand in the key of its row; a longer text goes on in the value. */
export const MAX_TEXT_KEY = 512;

/** How a value is written in a key: as its hash, or as the bytes that its hex says. */
const RAW_FORMS: readonly { readonly kind: KeyKind; readonly form: number; readonly prefix: string; bytes: number }[] =
  [
    { kind: 'digest', form: 1, prefix: 'sha256:', bytes: 32 },
    { kind: 'digest', form: 2, prefix: 'sha384:', bytes: 48 },
    { kind: 'digest', form: 3, prefix: 'sha512:', bytes: 64 },
    { kind: 'key', form: 1, prefix: '', bytes: 32 },
  ];
const TEXT = 0;
const HEX = /^[0-9a-f]*$/;

/** A value in the form of the rows. `id` names it among the values of its kind. */
export interface PackedValue {
  readonly kind: KeyKind;
  /** 0: `bytes` are the text in UTF-8; else they are what its hex says. */
  readonly form: number;
  readonly bytes: Uint8Array;
}

export function kindNumber(kind: KeyKind): number {
  return KEY_KINDS.indexOf(kind);
}

export function packValue({ kind, value }: IndexKey): PackedValue {
  for (const raw of RAW_FORMS) {
    if (raw.kind !== kind || value.length !== raw.prefix.length + 2 * raw.bytes || !value.startsWith(raw.prefix))
      continue;
    const hex = value.slice(raw.prefix.length);
    if (HEX.test(hex)) return { kind, form: raw.form, bytes: Buffer.from(hex, 'hex') };
  }
  return { kind, form: TEXT, bytes: encodeUtf8(value) };
}

export function valueText({ kind, form, bytes }: PackedValue): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (form === TEXT) return buffer.toString('utf8');
  const raw = RAW_FORMS.find((one) => one.kind === kind && one.form === form)!;
  return raw.prefix + buffer.toString('hex');
}

/** Names the value in the keys of its postings: the form, then the bytes, or the hash of a text. */
export function valueId({ form, bytes }: PackedValue): Buffer {
  const body = form === TEXT ? fastSha256(bytes).subarray(0, HASHED) : bytes;
  const id = Buffer.allocUnsafe(1 + body.length);
  id[0] = form;
  id.set(body, 1);
  return id;
}

/** Bytes of an ID that begins with this form. */
export function idLength(kind: KeyKind, form: number): number {
  return 1 + (form === TEXT ? HASHED : RAW_FORMS.find((one) => one.kind === kind && one.form === form)!.bytes);
}

/** The values of a kind that begin with a prefix are those in these ranges, for each form. */
export function prefixRanges(kind: KeyKind, prefix: string): { form: number; gte: Buffer; lt: Buffer | undefined }[] {
  const ranges: { form: number; gte: Buffer; lt: Buffer | undefined }[] = [];
  for (const raw of RAW_FORMS) {
    if (raw.kind !== kind) continue;
    if (raw.prefix.startsWith(prefix)) {
      ranges.push({ form: raw.form, gte: Buffer.alloc(0), lt: undefined });
    } else if (prefix.startsWith(raw.prefix)) {
      const hex = prefix.slice(raw.prefix.length);
      if (!HEX.test(hex) || hex.length > 2 * raw.bytes) continue;
      const gte = Buffer.from(hex.length % 2 === 0 ? hex : `${hex}0`, 'hex');
      // Half a byte: the values of one upper half.
      const last = Buffer.from(hex.length % 2 === 0 ? hex : `${hex}f`, 'hex');
      ranges.push({ form: raw.form, gte, lt: after(last) });
    }
  }
  const text = Buffer.from(encodeUtf8(prefix));
  ranges.push({ form: TEXT, gte: text, lt: after(text) });
  return ranges;
}

/** The least bytes that are greater than all that begin with `bytes`; undefined where there are none. */
export function after(bytes: Uint8Array): Buffer | undefined {
  for (let end = bytes.length; end > 0; end--) {
    if (bytes[end - 1] === 0xff) continue;
    const next = Buffer.from(bytes.subarray(0, end));
    next[end - 1]!++;
    return next;
  }
  return undefined;
}

/** `family ‖ log (2 bytes) ‖ parts`. */
export function rowKey(family: Family, log: number, ...parts: readonly (Uint8Array | number)[]): Buffer {
  let length = 3;
  for (const part of parts) length += typeof part === 'number' ? 1 : part.length;
  const key = Buffer.allocUnsafe(length);
  key[0] = family;
  key.writeUInt16BE(log, 1);
  let at = 3;
  for (const part of parts) {
    if (typeof part === 'number') key[at++] = part;
    else {
      key.set(part, at);
      at += part.length;
    }
  }
  return key;
}

/** A number of 48 bits for a key. */
export function numberKey(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(NUMBER);
  bytes.writeUIntBE(value, 0, NUMBER);
  return bytes;
}

/** The number at the end of a key. */
export function lastNumber(key: Uint8Array): number {
  const at = key.length - NUMBER;
  return (
    ((key[at]! * 256 + key[at + 1]!) * 256 + key[at + 2]!) * 0x1000000 +
    ((key[at + 3]! << 16) | (key[at + 4]! << 8) | key[at + 5]!)
  );
}

/** Writes `value` (below 2^53) at `at` as an unsigned LEB128, and returns where it ends. */
export function putVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 0x80) {
    target[end++] = (rest % 0x80) + 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[end++] = rest;
  return end;
}

/** Reads what `putVarint` writes. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  get done(): boolean {
    return this.at >= this.#bytes.length;
  }

  next(): number {
    let value = 0;
    for (let unit = 1; ; unit *= 0x80) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw new RangeError('a row of the index ends too early');
      value += (byte % 0x80) * unit;
      if (byte < 0x80) return value;
    }
  }

  take(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.#bytes.length) throw new RangeError('a row of the index ends too early');
    const part = this.#bytes.subarray(this.at, end);
    this.at = end;
    return part;
  }
}
