/**
 * The keys of up to 256 entries in a row, for terms that too many values match, and the rows that a worker makes of entries.
 *
 * ```
 * block:   entries, values, then for each value: kind (1 byte), form (1 byte), length, bytes;
 *          then for each entry: number of its keys, and of each the number of the value
 * run:     length of the block, the block; number of its values, then for each of them: length of its key, the key, number of its
 *          entries, and the place of each among the entries (1 byte); then for each long text: length of its key, the key, length,
 *          the text
 * ```
 * Numbers are unsigned LEB128 where no length is given.
 */
import { type IndexKey, KEY_KINDS, type KeyKind } from '../../../merkle/index/keys.ts';
import {
  isLongText,
  kindNumber,
  type PackedValue,
  packValue,
  putVarint,
  VarintReader,
  valueKey,
  valueText,
} from './layout.ts';

/** Entries of a block: those of an entry bundle. */
export const BLOCK = 256;

interface EncodedBlock {
  readonly block: Buffer;
  readonly values: readonly { readonly packed: PackedValue; readonly places: readonly number[] }[];
}

/** The block of the entries that have these keys, and its values with the places of their entries, ascending. */
function encodeBlock(entries: readonly (readonly IndexKey[])[]): EncodedBlock {
  const known = new Map<KeyKind, Map<string, number>>(KEY_KINDS.map((kind) => [kind, new Map()]));
  const values: { packed: PackedValue; places: number[] }[] = [];
  const lists: number[][] = [];
  let size = 10;
  for (const [place, keys] of entries.entries()) {
    const list: number[] = [];
    for (const key of keys) {
      const numbers = known.get(key.kind)!;
      let number = numbers.get(key.value);
      if (number === undefined) {
        const packed = packValue(key);
        number = values.push({ packed, places: [] }) - 1;
        numbers.set(key.value, number);
        size += 12 + packed.bytes.length;
      }
      values[number]!.places.push(place);
      list.push(number);
    }
    lists.push(list);
    size += 10 + 4 * list.length;
  }
  const block = Buffer.allocUnsafe(size);
  let at = putVarint(block, 0, entries.length);
  at = putVarint(block, at, values.length);
  for (const { packed } of values) {
    block[at++] = kindNumber(packed.kind);
    block[at++] = packed.form;
    at = putVarint(block, at, packed.bytes.length);
    block.set(packed.bytes, at);
    at += packed.bytes.length;
  }
  for (const list of lists) {
    at = putVarint(block, at, list.length);
    for (const number of list) at = putVarint(block, at, number);
  }
  return { block: block.subarray(0, at), values };
}

/** The block of the entries of two blocks, one behind the other. */
export function joinBlocks(first: Uint8Array, second: Uint8Array): Uint8Array {
  const parts = [new Block(first), new Block(second)];
  const keys = parts.flatMap((part) => Array.from({ length: part.entries }, (_, place) => part.keysOf(place)));
  return encodeBlock(keys).block;
}

/** The number of entries in a block. */
export function blockEntries(block: Uint8Array): number {
  return new VarintReader(block).next();
}

function readValues(reader: VarintReader): PackedValue[] {
  const count = reader.next();
  const values: PackedValue[] = [];
  for (let i = 0; i < count; i++) {
    const [kind, form] = reader.take(2);
    values.push({ kind: KEY_KINDS[kind!]!, form: form!, bytes: reader.take(reader.next()) });
  }
  return values;
}

/** A block as it is read: values without their texts, and the numbers of each entry's values. */
export class Block {
  readonly values: readonly PackedValue[];
  /** The values of entry i are `#numbers` from `#starts[i]` to `#starts[i + 1]`. */
  readonly #numbers: Uint32Array;
  readonly #starts: Uint32Array;

  constructor(bytes: Uint8Array) {
    const reader = new VarintReader(bytes);
    const entries = reader.next();
    this.values = readValues(reader);
    const numbers: number[] = [];
    const starts = new Uint32Array(entries + 1);
    for (let i = 0; i < entries; i++) {
      const length = reader.next();
      for (let j = 0; j < length; j++) numbers.push(reader.next());
      starts[i + 1] = numbers.length;
    }
    this.#numbers = Uint32Array.from(numbers);
    this.#starts = starts;
  }

  get entries(): number {
    return this.#starts.length - 1;
  }

  /** The keys of an entry, in the order in which they came. */
  keysOf(place: number): IndexKey[] {
    return this.numbersOf(place).map((number) => {
      const value = this.values[number]!;
      return { kind: value.kind, value: valueText(value) };
    });
  }

  numbersOf(place: number): number[] {
    return [...this.#numbers.subarray(this.#starts[place]!, this.#starts[place + 1]!)];
  }

  /** The places of the entries that have a value for which `chosen[number]` is 1: 1 in the result. */
  placesOf(chosen: Uint8Array): Uint8Array {
    const places = new Uint8Array(this.entries);
    for (let place = 0; place < places.length; place++) {
      for (let at = this.#starts[place]!; at < this.#starts[place + 1]!; at++) {
        if (chosen[this.#numbers[at]!] === 1) {
          places[place] = 1;
          break;
        }
      }
    }
    return places;
  }

  /** The numbers of the values of a kind. */
  ofKind(kind: KeyKind): number[] {
    return this.values.flatMap((value, number) => (value.kind === kind ? [number] : []));
  }
}

/** The run of the entries that have these keys. */
export function encodeRun(entries: readonly (readonly IndexKey[])[]): Buffer {
  const { block, values } = encodeBlock(entries);
  const keys = values.map(({ packed }) => valueKey(packed));
  const long = values.flatMap(({ packed }, i) => (packed.form === 0 && isLongText(packed.bytes) ? [i] : []));
  let size = 20 + block.length;
  for (const [i, { places }] of values.entries()) size += 10 + keys[i]!.length + places.length;
  for (const i of long) size += 10 + keys[i]!.length + values[i]!.packed.bytes.length;
  const run = Buffer.allocUnsafe(size);
  let at = putVarint(run, 0, block.length);
  const put = (bytes: Uint8Array): void => {
    run.set(bytes, at);
    at += bytes.length;
  };
  put(block);
  at = putVarint(run, at, values.length);
  for (const [i, { places }] of values.entries()) {
    at = putVarint(run, at, keys[i]!.length);
    put(keys[i]!);
    at = putVarint(run, at, places.length);
    for (const place of places) run[at++] = place;
  }
  for (const i of long) {
    const { bytes } = values[i]!.packed;
    at = putVarint(run, at, keys[i]!.length);
    put(keys[i]!);
    at = putVarint(run, at, bytes.length);
    put(bytes);
  }
  return run.subarray(0, at);
}

/** Takes a run apart. What it gives to the functions are views of `run`. */
export function readRun(
  run: Uint8Array,
  onPosting: (key: Uint8Array, places: Uint8Array) => void,
  onLongText: (key: Uint8Array, text: Uint8Array) => void,
): Uint8Array {
  const reader = new VarintReader(run);
  const block = reader.take(reader.next());
  for (let left = reader.next(); left > 0; left--) {
    const key = reader.take(reader.next());
    onPosting(key, reader.take(reader.next()));
  }
  while (!reader.done) {
    const key = reader.take(reader.next());
    onLongText(key, reader.take(reader.next()));
  }
  return block;
}
