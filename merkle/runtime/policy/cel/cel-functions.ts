/**
 * The operators and functions of conditions: the standard definitions of google/cel-spec, doc/langdef.md. A name is the function's
 * and its number of arguments; a method's target is the first. A function that throws gives an error of the language.
 */
import { type CelList, type CelUint, celList, celType, celUint, isCelList, isCelMap } from '@bufbuild/cel';
import { arithmetic } from './cel-arithmetic.ts';
import { equalValues, lookUp, order } from './cel-compare.ts';
import {
  boolOfText,
  bytesOfText,
  checkedInstant,
  checkedInt,
  checkedUint,
  doubleOfText,
  durationOfText,
  instantOfText,
  intOfText,
  split,
  textOfBytes,
  textOfDouble,
  textOfDuration,
  textOfInstant,
  uintOfText,
  wholeOf,
} from './cel-conversions.ts';
import { MEMBER_WORK, type Meter } from './cel-limits.ts';
import { messageFunctions } from './cel-messages.ts';
import { patternOf } from './cel-pattern.ts';
import { timeFunctions } from './cel-time.ts';
import { KEY_TYPES } from './cel-types.ts';
import {
  type CelFunctions,
  type CelValue,
  DURATION,
  durationValue,
  kindOf,
  nanosOf,
  noOverload,
  TIMESTAMP,
  timestampValue,
} from './cel-values.ts';

export function standardFunctions(meter: Meter): CelFunctions {
  const plain = { ...timeFunctions(meter), ...messageFunctions };
  return {
    ...plain,
    ...comparisons(meter),
    ...arithmetic(meter),
    ...members(meter),
    ...texts(meter),
    ...conversions(meter),
    ...loops(meter),
  };
}

function comparisons(meter: Meter): CelFunctions {
  const ordered = (name: string, holds: (order: number) => boolean) => (left: CelValue, right: CelValue) => {
    const difference = order(left, right, meter);
    if (difference === undefined) throw noOverload(name, left, right);
    return holds(difference);
  };
  return {
    '==/2': (left, right) => equalValues(left, right, meter),
    '!=/2': (left, right) => !equalValues(left, right, meter),
    '</2': ordered('<', (difference) => difference < 0),
    '<=/2': ordered('<=', (difference) => difference <= 0),
    '>/2': ordered('>', (difference) => difference > 0),
    '>=/2': ordered('>=', (difference) => difference >= 0),
    '!_/1': (value) => {
      if (typeof value !== 'boolean') throw noOverload('!', value);
      return !value;
    },
  };
}

function members(meter: Meter): CelFunctions {
  const size = (value: CelValue): CelValue => {
    if (isCelList(value) || isCelMap(value)) return BigInt(value.size);
    if (value instanceof Uint8Array) return BigInt(value.length);
    if (typeof value !== 'string') throw noOverload('size', value);
    meter.work(value.length / 32);
    let count = value.length;
    for (const _ of value.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) count--;
    return BigInt(count);
  };
  return {
    'size/1': size,
    'in/2': (value, range) => {
      if (isCelMap(range)) return lookUp(range, value, meter) !== undefined;
      if (!isCelList(range)) throw noOverload('in', value, range);
      for (let i = 0; i < range.size; i++) if (equalValues(range.get(i)!, value, meter)) return true;
      return false;
    },
    '[]/2': (operand, index) => {
      if (isCelMap(operand)) return there(lookUp(operand, index, meter), index);
      if (!isCelList(operand)) throw noOverload('[ ]', operand, index);
      return itemOf(operand, index);
    },
    'select/2': (operand, name) => {
      if (!isCelMap(operand)) throw new Error(`a ${kindOf(operand)} has no field ${name}`);
      return there(operand.get(name as string), name);
    },
    'has/2': (operand, name) => {
      const kind = kindOf(operand);
      if (kind === 'list' || kind === 'type') throw new Error(`a ${kind} has no field ${name}`);
      return isCelMap(operand) && operand.get(name as string) !== undefined;
    },
  };
}

function there(value: CelValue | undefined, key: CelValue): CelValue {
  if (value === undefined) throw new Error(`there is no ${typeof key === 'string' ? JSON.stringify(key) : 'such key'}`);
  return value;
}

function itemOf(list: CelList, index: CelValue): CelValue {
  const kind = kindOf(index);
  const place = kind === 'uint' ? Number((index as CelUint).value) : Number(index);
  if ((kind !== 'int' && kind !== 'uint' && kind !== 'double') || !Number.isInteger(place))
    throw noOverload('[ ]', list, index);
  const item = place < 0 || place >= list.size ? undefined : list.get(place);
  if (item === undefined) throw new Error(`there is no item ${place} in a list of ${list.size}`);
  return item;
}

function texts(meter: Meter): CelFunctions {
  const method = (name: string, run: (text: string, part: string) => boolean) => (text: CelValue, part: CelValue) => {
    if (typeof text !== 'string' || typeof part !== 'string') throw noOverload(name, text, part);
    return run(text, part);
  };
  return {
    'contains/2': method('contains', (text, part) => {
      // In the worst case each place of the text is compared with much of the part.
      meter.work(1 + text.length / 32 + (text.length * Math.min(part.length, text.length)) / 512);
      return text.includes(part);
    }),
    'startsWith/2': method('startsWith', (text, part) => {
      meter.work(1 + part.length / 32);
      return text.startsWith(part);
    }),
    'endsWith/2': method('endsWith', (text, part) => {
      meter.work(1 + part.length / 32);
      return text.endsWith(part);
    }),
    'matches/2': method('matches', (text, source) => {
      const pattern = patternOf(source);
      meter.work(1 + text.length * (1 + pattern.steps / 8));
      return pattern.test(text);
    }),
  };
}

function conversions(meter: Meter): CelFunctions {
  const text = (value: string): string => {
    meter.build(value.length);
    return value;
  };
  const instant = (nanos: bigint): CelValue => timestampValue(checkedInstant(nanos));
  return {
    'dyn/1': (value) => value,
    'type/1': (value) => {
      const kind = kindOf(value);
      return kind === 'timestamp' ? TIMESTAMP : kind === 'duration' ? DURATION : celType(value);
    },
    // The types whose names are not those of the language itself.
    'typeNamed/1': (name) => (name === TIMESTAMP.name ? TIMESTAMP : DURATION),
    'bool/1': converter('bool', { bool: (value) => value, string: (value) => boolOfText(value as string) }),
    'int/1': converter('int', {
      int: (value) => value,
      uint: (value) => checkedInt((value as CelUint).value),
      double: (value) => wholeOf(value as number, checkedInt),
      string: (value) => intOfText(value as string),
      timestamp: (value) => split(nanosOf(value)).seconds,
    }),
    'uint/1': converter('uint', {
      uint: (value) => value,
      int: (value) => celUint(checkedUint(value as bigint)),
      double: (value) => celUint(wholeOf(value as number, checkedUint)),
      string: (value) => celUint(uintOfText(value as string)),
    }),
    'double/1': converter('double', {
      double: (value) => value,
      int: (value) => Number(value),
      uint: (value) => Number((value as CelUint).value),
      string: (value) => doubleOfText(value as string),
    }),
    'bytes/1': converter('bytes', {
      bytes: (value) => value,
      string: (value) => {
        meter.build(3 * (value as string).length);
        return bytesOfText(value as string);
      },
    }),
    'string/1': converter('string', {
      string: (value) => value,
      bool: (value) => String(value),
      int: (value) => text(String(value)),
      uint: (value) => text(String((value as CelUint).value)),
      double: (value) => text(textOfDouble(value as number)),
      bytes: (value) => text(textOfBytes(value as Uint8Array)),
      timestamp: (value) => text(textOfInstant(nanosOf(value))),
      duration: (value) => text(textOfDuration(nanosOf(value))),
    }),
    'timestamp/1': converter('timestamp', {
      timestamp: (value) => value,
      string: (value) => instant(instantOfText(value as string)),
      // Seconds since 1970; @bufbuild/cel reads milliseconds.
      int: (value) => instant((value as bigint) * 1_000_000_000n),
    }),
    'duration/1': converter('duration', {
      duration: (value) => value,
      string: (value) => durationValue(durationOfText(value as string)),
    }),
  };
}

function converter(name: string, from: { readonly [kind: string]: (value: CelValue) => CelValue }) {
  return (value: CelValue): CelValue => {
    const convert = from[kindOf(value)];
    if (convert === undefined) throw noOverload(name, value);
    return convert(value);
  };
}

/** The list that each loop of `map` makes, while it grows. */
const growing = new WeakMap<object, CelValue[]>();

/** What macros and maps that are written out use. */
function loops(meter: Meter): CelFunctions {
  return {
    'key/1': (key) => {
      const kind = kindOf(key);
      if (!KEY_TYPES.includes(kind)) throw new Error(`a ${kind} cannot be a key of a map`);
      return key;
    },
    'range/1': (range) => {
      if (!isCelList(range) && !isCelMap(range)) throw new Error(`a ${kindOf(range)} has no members to go through`);
      // The package makes all members before it goes through them.
      meter.work(1 + MEMBER_WORK * range.size);
      return range;
    },
    // Before each member: whether to go on, and how many operations the member takes.
    'step/2': (goOn, operations) => {
      meter.work(operations as number);
      return goOn;
    },
    'fresh/0': () => {
      const items: CelValue[] = [];
      const list = celList(items);
      growing.set(list, items);
      return list;
    },
    'append/2': (list, item) => {
      meter.build(MEMBER_WORK);
      growing.get(list as CelList & object)!.push(item);
      return list;
    },
    'oneMore/1': (count) => (count as bigint) + 1n,
    'isOne/1': (count) => count === 1n,
  };
}
