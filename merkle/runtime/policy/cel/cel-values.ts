import { type CelInput, type CelMap, celList, celMap, celUint, type CelValue as PackageValue } from '@bufbuild/cel';
import { create } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';
import { Instant } from '../predicates/instant.ts';

/** A value that conditions can read. `toCel` makes it. */
export type CelValue = PackageValue;

/**
 * What becomes a value of conditions: parsed JSON (an integer is a bigint, and a number is a double), an instant, bytes, and what
 * is a `CelValue` already.
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

const MAX_INT = 2n ** 63n - 1n;

/** The value of conditions for `value`. A member that is undefined is left out. */
export function toCel(value: CelSource): CelValue {
  if (typeof value === 'bigint') return value > MAX_INT ? celUint(value) : value;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (value instanceof Date) {
    const ms = value.getTime();
    const seconds = Math.floor(ms / 1000);
    const nanos = (ms - seconds * 1000) * 1e6;
    return reflect(TimestampSchema, create(TimestampSchema, { seconds: BigInt(seconds), nanos }));
  }
  if (value instanceof Instant) {
    return reflect(TimestampSchema, create(TimestampSchema, { seconds: value.seconds, nanos: value.nanos }));
  }
  if (Array.isArray(value)) return celList(value.map(toCel) as CelInput[]);
  const entries = Object.entries(value).filter((entry): entry is [string, CelSource] => entry[1] !== undefined);
  return celMap(new Map(entries.map(([name, member]) => [name, toCel(member)])));
}
