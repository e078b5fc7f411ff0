/** Values of conditions. What evidence holds becomes one when a condition first reads it, and once. */
import {
  type CelMap,
  celList,
  celMap,
  celUint,
  isCelList,
  isCelMap,
  isCelType,
  isCelUint,
  objectType,
  type CelValue as PackageValue,
} from '@bufbuild/cel';
import { Instant } from '../predicates/instant.ts';
import { MAX_INT, MAX_UINT, MIN_INT } from './cel-conversions.ts';

/** A value that conditions can read. `toCel` makes it. */
export type CelValue = PackageValue;

/**
 * What becomes a value of conditions: parsed JSON (an integer is a bigint, and a number is a double), an instant, bytes, and what
 * is a `CelMap` already. A member that is undefined is not there.
 */
export type CelSource =
  | null
  | boolean
  | string
  | number
  | bigint
  | Date
  | Instant
  | Uint8Array
  | CelMap
  | readonly CelSource[]
  | { readonly [name: string]: CelSource | undefined };

/**
 * The value of conditions for `source`, whose members become values when they are read. A caller must not change `source`
 * afterwards. An integer outside the 64 bits of int and uint becomes an error where a condition uses it, never a double, and so
 * does a date outside the years 1 to 9999.
 */
export function toCel(source: CelSource): CelValue {
  if (typeof source === 'bigint') {
    if (source > MAX_UINT || source < MIN_INT) return unusable('an integer there is outside 64 bits');
    return source > MAX_INT ? celUint(source) : source;
  }
  if (typeof source !== 'object' || source === null || source instanceof Uint8Array || isCelMap(source)) return source;
  if (source instanceof Date) {
    const ms = source.getTime();
    const within = ms >= -62_135_596_800_000 && ms <= 253_402_300_799_999;
    return within
      ? timestampValue(BigInt(Math.floor(ms)) * 1_000_000n)
      : unusable('a time there is outside the years 1 to 9999');
  }
  if (source instanceof Instant) return timestampValue(source.seconds * 1_000_000_000n + BigInt(source.nanos));
  if (isArray(source)) return celList(new Proxy(source, ITEMS) as unknown as CelValue[]);
  return celMap(new Members(source));
}

/** What no value of the language stands for, and what it must be. Every use of it is an error. */
function unusable(why: string): CelValue {
  return { ...objectType('unusable'), why } as CelValue;
}

/**
 * The items of an array, each made anew when it is read: a list of a million empty objects is small as JSON, and its values
 * are not.
 */
const ITEMS: ProxyHandler<readonly CelSource[]> = {
  get: (items, key) => {
    const item = items[key as unknown as number];
    return typeof key === 'string' && /^\d+$/.test(key) && item !== undefined ? toCel(item) : item;
  },
};

function isArray(source: object): source is readonly CelSource[] {
  return Array.isArray(source);
}

/** The members of an object. Only its own names count, whatever they are. */
class Members extends Map<string, CelValue> {
  readonly #source: { readonly [name: string]: CelSource | undefined };
  #names: readonly string[] | undefined;

  constructor(source: { readonly [name: string]: CelSource | undefined }) {
    super();
    this.#source = source;
  }

  #all(): readonly string[] {
    this.#names ??= Object.keys(this.#source).filter((name) => this.#source[name] !== undefined);
    return this.#names;
  }

  override get size(): number {
    return this.#all().length;
  }

  override get(name: unknown): CelValue | undefined {
    // A number is no name, although JavaScript takes it for one.
    if (typeof name !== 'string') return undefined;
    const known = super.get(name);
    if (known !== undefined || !Object.hasOwn(this.#source, name)) return known;
    const member = this.#source[name];
    if (member === undefined) return undefined;
    const value = toCel(member);
    super.set(name, value);
    return value;
  }

  override has(name: unknown): boolean {
    return this.get(name) !== undefined;
  }

  override *keys(): MapIterator<string> {
    yield* this.#all();
  }

  override *values(): MapIterator<CelValue> {
    for (const name of this.#all()) yield this.get(name)!;
  }

  override *entries(): MapIterator<[string, CelValue]> {
    for (const name of this.#all()) yield [name, this.get(name)!];
  }

  override [Symbol.iterator](): MapIterator<[string, CelValue]> {
    return this.entries();
  }

  override forEach(call: (value: CelValue, name: string, map: Map<string, CelValue>) => void): void {
    for (const name of this.#all()) call(this.get(name)!, name, this);
  }
}

/**
 * The package's own timestamps and durations are messages of protobuf, whose descriptions take 30 ms to load. It hands types on as
 * they are, so an instant or a duration goes through it as its type that also says how many nanoseconds it has.
 */
interface Measured {
  readonly name: string;
  readonly nanos: bigint;
}

export const TIMESTAMP = objectType('google.protobuf.Timestamp');
export const DURATION = objectType('google.protobuf.Duration');

/** @param nanos nanoseconds since 1970 */
export function timestampValue(nanos: bigint): CelValue {
  return { ...TIMESTAMP, nanos } as CelValue;
}

export function durationValue(nanos: bigint): CelValue {
  return { ...DURATION, nanos } as CelValue;
}

/** Nanoseconds of a timestamp or a duration. */
export function nanosOf(value: CelValue): bigint {
  return (value as unknown as Measured).nanos;
}

export type KindName =
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'list'
  | 'map'
  | 'type'
  | 'timestamp'
  | 'duration';

/** The type of a value. @throws Error for an unusable value */
export function kindOf(value: CelValue): KindName {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'bigint':
      return 'int';
    case 'boolean':
      return 'bool';
    case 'number':
      return 'double';
    default:
  }
  if (value === null) return 'null';
  if (isCelMap(value)) return 'map';
  if (isCelList(value)) return 'list';
  if (isCelUint(value)) return 'uint';
  if (value instanceof Uint8Array) return 'bytes';
  if (!isCelType(value)) throw new Error('a value there is of no type of the language');
  if ('why' in value) throw new Error(String(value.why));
  if (!('nanos' in value)) return 'type';
  return value.name === TIMESTAMP.name ? 'timestamp' : 'duration';
}

/** By name and number of arguments: `size/1`. */
export type CelFunctions = Readonly<Record<string, (...args: CelValue[]) => CelValue>>;

/** The error of arguments of types that a function or an operator does not take. */
export function noOverload(name: string, ...args: readonly CelValue[]): Error {
  return new Error(`\`${name}\` does not take ${args.map((value) => kindOf(value)).join(' and ')}`);
}
