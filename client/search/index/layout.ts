/** The rows of the plain index, byte by byte: index-store.ts has the table. */
import { type IndexKey, KEY_KINDS, type KeyKind } from '../../../merkle/index/keys.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';

export const FAMILY = { log: 0x6c, checkpoint: 0x63, tile: 0x74, block: 0x62, posting: 0x70, value: 0x64, time: 0x77 };
type Family = (typeof FAMILY)[keyof typeof FAMILY];

/** Bytes of an index, a size or a time in a key: 48 bits, big-endian, so that rows are in the order of their numbers. */
export const NUMBER_BYTES = 6;
export const MAX_NUMBER = 2 ** 48 - 1;
/** Bytes of the hash that stands for the rest of a long text: nobody finds two texts for one in 2^80 steps. */
const HASHED = 20;
/** Bytes of a text that stand in the keys of its rows. A longer text has a row of its own. */
const MAX_TEXT_KEY = 512;
/** Behind a text in a key, which has 0x00 as 0x00 0xff: no text goes on where another one ends, and they keep their order. */
const END = 0x01;
/** Behind the beginning of a long text; its hash follows. */
const CUT = 0x02;

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

/** A value in the form of the rows. */
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
  return { kind, form: TEXT, bytes: Buffer.from(value) };
}

export function valueText({ kind, form, bytes }: PackedValue): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (form === TEXT) return buffer.toString('utf8');
  const raw = RAW_FORMS.find((one) => one.kind === kind && one.form === form)!;
  return raw.prefix + buffer.toString('hex');
}

/** Names a value in the keys of its rows: `kind ‖ form ‖ bytes`, and what ends a text. */
export function valueKey({ kind, form, bytes }: PackedValue): Buffer {
  const head = Buffer.of(kindNumber(kind), form);
  if (form !== TEXT) return Buffer.concat([head, bytes]);
  const isLong = isLongText(bytes);
  const text = escaped(isLong ? bytes.subarray(0, MAX_TEXT_KEY) : bytes);
  const end = isLong ? [Buffer.of(0, CUT), fastSha256(bytes).subarray(0, HASHED)] : [Buffer.of(0, END)];
  return Buffer.concat([head, text, ...end]);
}

/** Whether a text does not stand whole in the keys of its rows. */
export function isLongText(bytes: Uint8Array): boolean {
  return bytes.length > MAX_TEXT_KEY;
}

/**
 * The value that `valueKey` named in a key, with its form and the rest behind it; `long` where the bytes are the beginning of
 * a text only.
 */
export function readValueKey(kind: KeyKind, form: number, bytes: Uint8Array): { value: PackedValue; long: boolean } {
  if (form !== TEXT) return { value: { kind, form, bytes }, long: false };
  const end = bytes.length - 2;
  const isShort = bytes[end] === 0 && bytes[end + 1] === END;
  const text = bytes.subarray(0, isShort ? end : end - HASHED);
  return { value: { kind, form, bytes: unescaped(text) }, long: !isShort };
}

/** Most texts have no 0x00. */
function escaped(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(0)) return bytes;
  const out: number[] = [];
  for (const byte of bytes) out.push(...(byte === 0 ? [0, 0xff] : [byte]));
  return Buffer.from(out);
}

function unescaped(bytes: Uint8Array): Uint8Array {
  return bytes.includes(0) ? bytes.filter((_, at) => at === 0 || bytes[at - 1] !== 0) : bytes;
}

/** The values of a kind that begin with a prefix are, for each form, those whose bytes in keys are in these ranges. */
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
  const text = Buffer.from(escaped(Buffer.from(prefix).subarray(0, MAX_TEXT_KEY)));
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
  const bytes = Buffer.allocUnsafe(NUMBER_BYTES);
  bytes.writeUIntBE(value, 0, NUMBER_BYTES);
  return bytes;
}

/** The number at the end of a key. */
export function lastNumber(key: Uint8Array): number {
  const at = key.length - NUMBER_BYTES;
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
