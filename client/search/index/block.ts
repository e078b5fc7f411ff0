/**
 * The keys of up to 256 entries in a row, for terms that too many values match, and what a worker makes of entries.
 *
 * ```
 * block:   entries, values, then for each value: kind (1 byte), form (1 byte), length, bytes;
 *          then for each entry: number of its keys, and of each the number of the value
 * answer:  length of the block, the block, then for each value of it: length of its ID, the ID, number of its entries,
 *          and the place of each among the entries (1 byte)
 * ```
 * Numbers are unsigned LEB128 where no length is given.
 */
import { type IndexKey, KEY_KINDS, type KeyKind } from '../../../merkle/index/keys.ts';
import { kindNumber, type PackedValue, packValue, putVarint, VarintReader, valueId, valueText } from './layout.ts';

/** Entries of a block: those of an entry bundle. */
export const BLOCK = 256;

/** A value of a block, and the entries that have it. */
interface BlockValue {
  readonly packed: PackedValue;
  /** Places in the block, ascending. */
  readonly places: readonly number[];
}

interface EncodedBlock {
  readonly block: Uint8Array;
  readonly values: readonly BlockValue[];
}

/** The block of the entries that have these keys. */
export function encodeBlock(entries: readonly (readonly IndexKey[])[]): EncodedBlock {
  const numbers = new Map<string, number>();
  const values: { packed: PackedValue; places: number[] }[] = [];
  const lists: number[][] = [];
  let size = 10;
  for (const [place, keys] of entries.entries()) {
    const list: number[] = [];
    for (const key of keys) {
      const name = `${key.kind}\0${key.value}`;
      let number = numbers.get(name);
      if (number === undefined) {
        number = values.length;
        numbers.set(name, number);
        const packed = packValue(key);
        values.push({ packed, places: [] });
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

/** A run of entries as a worker read it. */
export interface ReadRun {
  readonly block: Uint8Array;
  readonly postings: readonly RunPosting[];
}

interface RunPosting {
  readonly value: PackedValue;
  readonly id: Uint8Array;
  /** Places in the run, ascending. */
  readonly places: Uint8Array;
}

export function readRun(entries: readonly (readonly IndexKey[])[]): ReadRun {
  const { block, values } = encodeBlock(entries);
  const postings = values.map(({ packed, places }) => ({
    value: packed,
    id: valueId(packed),
    places: Uint8Array.from(places),
  }));
  return { block, postings };
}

export function packRun({ block, postings }: ReadRun): Buffer {
  let size = 10 + block.length;
  for (const { id, places } of postings) size += 10 + id.length + places.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = putVarint(bytes, 0, block.length);
  bytes.set(block, at);
  at += block.length;
  for (const { id, places } of postings) {
    at = putVarint(bytes, at, id.length);
    bytes.set(id, at);
    at = putVarint(bytes, at + id.length, places.length);
    bytes.set(places, at);
    at += places.length;
  }
  return bytes.subarray(0, at);
}

/** The parts are views of `bytes`. */
export function unpackRun(bytes: Uint8Array): ReadRun {
  const reader = new VarintReader(bytes);
  const block = reader.take(reader.next());
  const inner = new VarintReader(block);
  inner.next();
  const postings = readValues(inner).map((value) => {
    const id = reader.take(reader.next());
    return { value, id, places: reader.take(reader.next()) };
  });
  return { block, postings };
}
