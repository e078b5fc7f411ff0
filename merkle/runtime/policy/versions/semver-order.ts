/** Semantic Versioning 2.0.0, section 11, and the ecosystems that order their versions so. Build metadata do not count. */
import { compareDigits, compareNumbers, compareText, scheme } from './version-scheme.ts';

interface SemanticVersion {
  /** Digits of major, minor, patch (and NuGet's revision). */
  readonly numbers: readonly string[];
  /** Empty for a release. */
  readonly prerelease: readonly string[];
}

const NUMBER = '(?:0|[1-9][0-9]*)';
/** A number in a prerelease has no zeros before it. */
const IDENTIFIER = '(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)';
const BUILD = '(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?';
const TAIL = `(?:-(${IDENTIFIER}(?:\\.${IDENTIFIER})*))?${BUILD}`;
/** A leading `v` is no part of a version, and tools write it. */
const SEMVER = new RegExp(`^v?(${NUMBER}\\.${NUMBER}\\.${NUMBER})${TAIL}$`);
/** Go's own releases have two numbers, or begin with `go`. */
const GOLANG = new RegExp(`^(?:v|go)?(${NUMBER}(?:\\.${NUMBER}){0,2})(?:((?:rc|beta)[0-9]+)|${TAIL})$`);
/** NuGet takes one to four numbers, zeros before all numbers, and any case. */
const NUGET = new RegExp(`^v?([0-9]+(?:\\.[0-9]+){0,3})(?:-([0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*))?${BUILD}$`);

function reader(pattern: RegExp, fold = (text: string) => text): (text: string) => SemanticVersion | undefined {
  return (text) => {
    const match = pattern.exec(text);
    if (match === null) return undefined;
    const prerelease = match.slice(2).find((group) => group !== undefined);
    return {
      numbers: match[1]!.split('.'),
      prerelease: prerelease === undefined ? [] : fold(prerelease).split('.'),
    };
  };
}

function compare(a: SemanticVersion, b: SemanticVersion): number {
  return compareNumbers(a.numbers, b.numbers) || comparePrereleases(a.prerelease, b.prerelease);
}

function comparePrereleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compareIdentifiers(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareIdentifiers(a: string, b: string): number {
  const [left, right] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)];
  if (left && right) return compareDigits(a, b);
  return left === right ? compareText(a, b) : left ? -1 : 1;
}

const isPrerelease = ({ prerelease }: SemanticVersion) => prerelease.length > 0;

export const SEMVER_ORDER = scheme(reader(SEMVER), compare, isPrerelease);
export const GOLANG_ORDER = scheme(
  // `1.21rc2`: the number after the word is a number.
  reader(GOLANG, (text) => text.replace(/^(rc|beta)(?=[0-9]+$)/, '$1.')),
  compare,
  isPrerelease,
);
export const NUGET_ORDER = scheme(
  reader(NUGET, (text) => text.toLowerCase()),
  compare,
  isPrerelease,
);
