/** Equality and order of values: google/cel-spec, doc/langdef.md, "Equality" and "Ordering", with the cost of each. */
import { type CelList, type CelMap, type CelType, isCelUint } from '@bufbuild/cel';
import type { Meter } from './cel-limits.ts';
import { type CelValue, kindOf, nanosOf } from './cel-values.ts';

const NUMBERS: ReadonlySet<string> = new Set(['int', 'uint', 'double']);

/** The key's value, or undefined. A value that is null is there. */
export function lookUp(map: CelMap, key: CelValue, meter: Meter): CelValue | undefined {
  const kind = kindOf(key);
  if (kind === 'string' || kind === 'bool') return map.get(key as string);
  if (kind === 'bytes' || kind === 'list' || kind === 'map') throw new Error(`a map has no keys of type ${kind}`);
  if (!NUMBERS.has(kind)) return undefined;
  // The package looks through all keys for one of type uint.
  meter.work(1 + map.size);
  return map.get(key as bigint);
}

function asNumber(value: CelValue): bigint | number {
  return isCelUint(value) ? value.value : (value as bigint | number);
}

/** Less than 0, 0 or more than 0; NaN where one is NaN. An integer beside a double is compared as a double. */
function compareNumbers(left: CelValue, right: CelValue): number {
  let [a, b] = [asNumber(left), asNumber(right)];
  if (typeof a !== typeof b) [a, b] = [Number(a), Number(b)];
  if (a < b) return -1;
  if (a > b) return 1;
  return a === b ? 0 : Number.NaN;
}

export function equalValues(left: CelValue, right: CelValue, meter: Meter): boolean {
  meter.work(1);
  const [a, b] = [kindOf(left), kindOf(right)];
  if (NUMBERS.has(a) && NUMBERS.has(b)) return compareNumbers(left, right) === 0;
  if (a !== b) return false;
  switch (a) {
    case 'string':
      meter.work((left as string).length / 32);
      return left === right;
    case 'bytes':
      meter.work((left as Uint8Array).length / 32);
      return Buffer.compare(left as Uint8Array, right as Uint8Array) === 0;
    case 'list':
      return equalLists(left as CelList, right as CelList, meter);
    case 'map':
      return equalMaps(left as CelMap, right as CelMap, meter);
    case 'type':
      return (left as CelType).name === (right as CelType).name;
    case 'timestamp':
    case 'duration':
      return nanosOf(left) === nanosOf(right);
    default:
      return left === right;
  }
}

function equalLists(left: CelList, right: CelList, meter: Meter): boolean {
  if (left.size !== right.size) return false;
  for (let i = 0; i < left.size; i++) if (!equalValues(left.get(i)!, right.get(i)!, meter)) return false;
  return true;
}

function equalMaps(left: CelMap, right: CelMap, meter: Meter): boolean {
  if (left.size !== right.size) return false;
  for (const [key, value] of left.entries()) {
    const other = lookUp(right, key as CelValue, meter);
    if (other === undefined || !equalValues(value, other, meter)) return false;
  }
  return true;
}

/** UTF-16 puts what stands beyond the basic plane before U+E000; code points do not. */
function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    let [a, b] = [left.charCodeAt(i), right.charCodeAt(i)];
    if (a === b) continue;
    if (a >= 0xd800 && b >= 0xd800) {
      a += a >= 0xe000 ? -0x800 : 0x2000;
      b += b >= 0xe000 ? -0x800 : 0x2000;
    }
    return a - b;
  }
  return left.length - right.length;
}

/** Less than 0, 0, more than 0, or NaN; undefined where the two have no order. */
export function order(left: CelValue, right: CelValue, meter: Meter): number | undefined {
  const [a, b] = [kindOf(left), kindOf(right)];
  if (NUMBERS.has(a) && NUMBERS.has(b)) return compareNumbers(left, right);
  if (a !== b) return undefined;
  switch (a) {
    case 'bool':
      return Number(left) - Number(right);
    case 'string':
      meter.work(Math.min((left as string).length, (right as string).length) / 8);
      return compareText(left as string, right as string);
    case 'bytes':
      meter.work((left as Uint8Array).length / 32);
      return Buffer.compare(left as Uint8Array, right as Uint8Array);
    case 'timestamp':
    case 'duration': {
      const difference = nanosOf(left) - nanosOf(right);
      return difference < 0n ? -1 : difference > 0n ? 1 : 0;
    }
    default:
      return undefined;
  }
}
