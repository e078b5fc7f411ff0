/** Arithmetic of google/cel-spec, doc/langdef.md: what leaves 64 bits or divides by zero is an error, and no two types mix. */
import { type CelList, type CelUint, celList, celUint } from '@bufbuild/cel';
import { checkedDuration, checkedInstant, checkedInt, checkedUint } from './cel-conversions.ts';
import { MEMBER_WORK, type Meter } from './cel-limits.ts';
import {
  type CelFunctions,
  type CelValue,
  durationValue,
  kindOf,
  nanosOf,
  noOverload,
  timestampValue,
} from './cel-values.ts';

interface Numbers {
  readonly whole: (left: bigint, right: bigint) => bigint;
  readonly double?: (left: number, right: number) => number;
}

function dividable(right: bigint): bigint {
  if (right === 0n) throw new Error('it divides by zero');
  return right;
}

const NUMBERS: Readonly<Record<string, Numbers>> = {
  '+': { whole: (left, right) => left + right, double: (left, right) => left + right },
  '-': { whole: (left, right) => left - right, double: (left, right) => left - right },
  '*': { whole: (left, right) => left * right, double: (left, right) => left * right },
  '/': { whole: (left, right) => left / dividable(right), double: (left, right) => left / right },
  '%': {
    whole: (left, right) => {
      // As in cel-go: the quotient leaves 64 bits.
      checkedInt(right === -1n ? -left : 0n);
      return left % dividable(right);
    },
  },
};

export function arithmetic(meter: Meter): CelFunctions {
  const operators = Object.entries(NUMBERS).map(([name, { whole, double }]) => {
    const run = (left: CelValue, right: CelValue): CelValue => {
      const [a, b] = [kindOf(left), kindOf(right)];
      if (a === b) {
        if (a === 'int') return checkedInt(whole(left as bigint, right as bigint));
        if (a === 'double' && double !== undefined) return double(left as number, right as number);
        if (a === 'uint') return celUint(checkedUint(whole((left as CelUint).value, (right as CelUint).value)));
      }
      const other =
        (name === '+' && joined(left, right, meter)) || ((name === '+' || name === '-') && moved(name, left, right));
      if (!other) throw noOverload(name, left, right);
      return other.value;
    };
    return [`${name}/2`, run] as const;
  });
  return {
    ...Object.fromEntries(operators),
    '-_/1': (value) => {
      if (typeof value === 'bigint') return checkedInt(-value);
      if (typeof value !== 'number') throw noOverload('-', value);
      return -value;
    },
  };
}

/** Two texts, bytes or lists as one. */
function joined(left: CelValue, right: CelValue, meter: Meter): { value: CelValue } | undefined {
  const kind = kindOf(left);
  if (kind !== kindOf(right)) return undefined;
  if (kind === 'string') {
    meter.build((left as string).length + (right as string).length);
    return { value: (left as string) + (right as string) };
  }
  if (kind === 'bytes') {
    const parts = [left as Uint8Array, right as Uint8Array];
    meter.build(parts[0]!.length + parts[1]!.length);
    return { value: Buffer.concat(parts) };
  }
  if (kind !== 'list') return undefined;
  const lists = [left as CelList, right as CelList] as const;
  meter.build(MEMBER_WORK * (lists[0].size + lists[1].size));
  return { value: celList([...lists[0], ...lists[1]]) };
}

/** Sums and differences of times and durations. */
function moved(name: '+' | '-', left: CelValue, right: CelValue): { value: CelValue } | undefined {
  const kinds = `${kindOf(left)} ${name} ${kindOf(right)}`;
  const result = (): bigint => nanosOf(left) + (name === '+' ? nanosOf(right) : -nanosOf(right));
  switch (kinds) {
    case 'timestamp + duration':
    case 'duration + timestamp':
    case 'timestamp - duration':
      return { value: timestampValue(checkedInstant(result())) };
    case 'duration + duration':
    case 'duration - duration':
    case 'timestamp - timestamp':
      return { value: durationValue(checkedDuration(result())) };
    default:
      return undefined;
  }
}
