/** The order of versions in one ecosystem. */
export interface VersionScheme {
  /** Negative, 0 or positive as `a` is before, equal to or after `b`; undefined where one of them is no version. */
  compare(a: string, b: string): number | undefined;
  /** Whether it comes before a release; undefined where it is no version. */
  isPrerelease(version: string): boolean | undefined;
}

/** Longer texts are no versions in any scheme. */
const MAX_LENGTH = 256;

/** A scheme of a reader that returns undefined for what is no version, and of the order of what it returns. */
export function scheme<T>(
  read: (text: string) => T | undefined,
  compare: (a: T, b: T) => number,
  isPrerelease: (version: T) => boolean,
): VersionScheme {
  const bounded = (text: string) => (text.length > MAX_LENGTH || !/^[\x21-\x7e]+$/.test(text) ? undefined : read(text));
  return {
    compare(a, b) {
      const [left, right] = [bounded(a), bounded(b)];
      return left === undefined || right === undefined ? undefined : compare(left, right);
    },
    isPrerelease(text) {
      const version = bounded(text);
      return version === undefined ? undefined : isPrerelease(version);
    },
  };
}

/** Digits of any length as numbers. */
export function compareDigits(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return left.length - right.length || compareText(left, right);
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Lists of digits of which the shorter goes on with zeros. */
export function compareNumbers(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = compareDigits(a[i] ?? '0', b[i] ?? '0');
    if (order !== 0) return order;
  }
  return 0;
}
