/**
 * The messages that an expression can write: times, durations and single values (google/protobuf's timestamp.proto, duration.proto
 * and wrappers.proto). google.protobuf.Value, Struct, ListValue and Any are left out: a map, a list or a value says the same.
 */
import type { CelUint } from '@bufbuild/cel';
import { checkedDuration, checkedInstant } from './cel-conversions.ts';
import {
  type CelFunctions,
  type CelValue,
  durationValue,
  type KindName,
  kindOf,
  timestampValue,
} from './cel-values.ts';

/** Types of the fields, by name. */
type Fields = Readonly<Record<string, KindName>>;

const SECONDS: Fields = { seconds: 'int', nanos: 'int' };

export const MESSAGES: ReadonlyMap<string, Fields> = new Map<string, Fields>([
  ['google.protobuf.Timestamp', SECONDS],
  ['google.protobuf.Duration', SECONDS],
  ['google.protobuf.BoolValue', { value: 'bool' }],
  ['google.protobuf.BytesValue', { value: 'bytes' }],
  ['google.protobuf.DoubleValue', { value: 'double' }],
  ['google.protobuf.FloatValue', { value: 'double' }],
  ['google.protobuf.Int32Value', { value: 'int' }],
  ['google.protobuf.Int64Value', { value: 'int' }],
  ['google.protobuf.StringValue', { value: 'string' }],
  ['google.protobuf.UInt32Value', { value: 'uint' }],
  ['google.protobuf.UInt64Value', { value: 'uint' }],
]);

function time(kind: 'timestamp' | 'duration') {
  return (seconds: CelValue, nanos: CelValue): CelValue => {
    if (typeof seconds !== 'bigint' || typeof nanos !== 'bigint') throw new Error('seconds and nanos are of type int');
    const mixed = kind === 'timestamp' ? nanos < 0n : seconds * nanos < 0n;
    if (mixed || nanos > 999_999_999n || nanos < -999_999_999n) throw new Error(`a ${kind} has no ${nanos} nanos`);
    const all = seconds * 1_000_000_000n + nanos;
    return kind === 'timestamp' ? timestampValue(checkedInstant(all)) : durationValue(checkedDuration(all));
  };
}

/** For each message a function of its fields in their order. */
export const messageFunctions: CelFunctions = Object.fromEntries(
  [...MESSAGES].map(([name, fields]) => {
    if (fields === SECONDS) return [`${name}/2`, time(name.endsWith('Duration') ? 'duration' : 'timestamp')];
    const single = (value: CelValue): CelValue => {
      if (kindOf(value) !== fields.value) throw new Error(`${name} holds a ${fields.value}, not a ${kindOf(value)}`);
      if (name.endsWith('FloatValue')) return Math.fround(value as number);
      const size = typeof value === 'bigint' ? value : name.endsWith('UInt32Value') ? (value as CelUint).value : 0n;
      const within = name.endsWith('UInt32Value') ? size < 2n ** 32n : size >= -(2n ** 31n) && size < 2n ** 31n;
      if (name.includes('32') && !within) throw new Error(`${name} holds 32 bits`);
      return value;
    };
    return [`${name}/1`, single];
  }),
);
