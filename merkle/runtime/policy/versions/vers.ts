/**
 * Version ranges (`vers:npm/>=1.0.0|<2.0.0`; package-url/vers-spec, its specification of November 2026).
 *
 * A version that cannot be compared is never "not in the range": the answer is then a text that says why.
 */
import { printable } from '../../../printable.ts';
import { APK_ORDER, DEB_ORDER, RPM_ORDER } from './distribution-orders.ts';
import { MAVEN_ORDER } from './maven-order.ts';
import { COMPOSER_ORDER, CRAN_ORDER, GEM_ORDER, INTDOT_ORDER } from './other-orders.ts';
import { PYPI_ORDER } from './pep440.ts';
import { GOLANG_ORDER, NUGET_ORDER, SEMVER_ORDER } from './semver-order.ts';
import type { VersionScheme } from './version-scheme.ts';

/** By the type of a purl or of a range. */
const SCHEMES: Readonly<Record<string, VersionScheme>> = {
  apk: APK_ORDER,
  bitnami: SEMVER_ORDER,
  cargo: SEMVER_ORDER,
  cocoapods: GEM_ORDER,
  composer: COMPOSER_ORDER,
  cran: CRAN_ORDER,
  deb: DEB_ORDER,
  gem: GEM_ORDER,
  golang: GOLANG_ORDER,
  hackage: INTDOT_ORDER,
  hex: SEMVER_ORDER,
  intdot: INTDOT_ORDER,
  maven: MAVEN_ORDER,
  npm: SEMVER_ORDER,
  nuget: NUGET_ORDER,
  pub: SEMVER_ORDER,
  pypi: PYPI_ORDER,
  rpm: RPM_ORDER,
  semver: SEMVER_ORDER,
  swift: SEMVER_ORDER,
  'vscode-extension': SEMVER_ORDER,
};

type Comparator = '=' | '!=' | '<' | '<=' | '>' | '>=';

interface Constraint {
  readonly comparator: Comparator;
  readonly version: string;
}

export interface VersionRange {
  /** The text of the range. */
  readonly text: string;
  readonly type: string;
  /** Empty: every version. */
  readonly constraints: readonly Constraint[];
}

/** What is wrong with a range. */
export class RangeProblem extends Error {}

const MAX_LENGTH = 16_384;
const TYPE = /^[a-z][a-z0-9.-]*$/;

/** @throws RangeProblem for a range that is not in canonical form, or whose versions cannot be compared */
export function parseVersionRange(text: string): VersionRange {
  const wrong = (why: string) => new RangeProblem(`the range ${printable(text.slice(0, 200))} ${why}`);
  if (text.length > MAX_LENGTH) throw wrong(`is longer than ${MAX_LENGTH} characters`);
  if (!/^[\x21-\x7e]+$/.test(text)) throw wrong('has a space, or a character outside of ASCII');
  const [, type = '', list = ''] = /^vers:([^/]*)\/(.*)$/.exec(text) ?? [];
  if (!TYPE.test(type)) throw wrong('is not written as vers:TYPE/CONSTRAINTS, such as vers:npm/>=1.0.0|<2.0.0');
  if (type === 'none') throw wrong('holds no version');
  if (list === '*') return { text, type, constraints: [] };
  const order = schemeOf(type);
  if (order === undefined) throw wrong(`is of a type whose versions cannot be compared; known are ${knownTypes()}`);
  const constraints = list.split('|').map((part): Constraint => {
    const [, comparator = '', encoded = ''] = /^(>=|<=|!=|<|>)?(.*)$/.exec(part)!;
    const version = decodedVersion(encoded);
    if (version === undefined) throw wrong(`has the constraint "${printable(part)}", which is not canonical`);
    if (order.compare(version, version) === undefined)
      throw wrong(`has "${printable(version)}", no version of ${type}`);
    return { comparator: comparator === '' ? '=' : (comparator as Comparator), version };
  });
  const mistake = sequenceProblem(constraints, order);
  if (mistake !== undefined) throw wrong(mistake);
  return { text, type, constraints };
}

/**
 * Whether the version of a package is in the range.
 * @param prereleases whether versions before a release count, also where the range does not name one of them
 * @returns a text where the version cannot be compared
 */
export function isInRange(range: VersionRange, version: string, prereleases: boolean): boolean | string {
  const { type, constraints } = range;
  if (constraints.length === 0 && prereleases) return true;
  const order = schemeOf(type);
  const isEarly = order?.isPrerelease(version);
  if (order === undefined || isEarly === undefined) {
    return `the version "${printable(version)}" cannot be compared as one of ${type}`;
  }
  const compared = constraints.map((one) => ({ ...one, order: order.compare(version, one.version)! }));
  const equal = compared.find((one) => one.order === 0);
  if (equal !== undefined) return equal.comparator !== '!=' && equal.comparator.endsWith('=');
  if (!prereleases && isEarly) return false;
  const bounds = compared.filter(({ comparator }) => comparator !== '=' && comparator !== '!=');
  if (bounds.length === 0) return compared.every(({ comparator }) => comparator === '!=');
  // The version is in an interval where the bound before it is a ">", or the first bound is a "<".
  const next = bounds.findIndex((one) => one.order < 0);
  const below = next === -1 ? bounds.at(-1) : bounds[next - 1];
  return below === undefined ? bounds[0]!.comparator.startsWith('<') : below.comparator.startsWith('>');
}

/** As `isInRange` for one version. Types without an order compare as text. */
export function isSameVersion(type: string, expected: string, version: string): boolean | string {
  if (expected === version) return true;
  const order = schemeOf(type);
  if (order === undefined) return false;
  const compared = order.compare(version, expected);
  if (compared === undefined)
    return `the version "${printable(version)}" cannot be compared with ${printable(expected)}`;
  return compared === 0;
}

function schemeOf(type: string): VersionScheme | undefined {
  return Object.hasOwn(SCHEMES, type) ? SCHEMES[type] : undefined;
}

function knownTypes(): string {
  return Object.keys(SCHEMES).join(', ');
}

/** Undefined unless the version is there and encoded exactly where the specification requires it. */
function decodedVersion(encoded: string): string | undefined {
  if (encoded === '' || /[<>=!*]/.test(encoded)) return undefined;
  if (/%(?!3[CDE]|2[15A]|7C)/.test(encoded)) return undefined;
  return decodeURIComponent(encoded);
}

/** The rules of "Normalized, canonical representation and validation". */
function sequenceProblem(constraints: readonly Constraint[], order: VersionScheme): string | undefined {
  for (const [i, { version }] of constraints.entries()) {
    const before = constraints[i - 1];
    if (before !== undefined && order.compare(before.version, version)! >= 0) {
      return `must name each version once, in rising order: "${before.version}" stands before "${version}"`;
    }
  }
  const kept = constraints.filter(({ comparator }) => comparator !== '!=');
  for (const [i, { comparator }] of kept.entries()) {
    const before = kept[i - 1]?.comparator;
    if (before === '=' && comparator.startsWith('<')) return 'has "<" after a single version, which it covers';
    if (before?.startsWith('>') === true && comparator === '=')
      return 'has a single version after ">", which covers it';
  }
  const bounds = kept.filter(({ comparator }) => comparator !== '=');
  for (const [i, { comparator }] of bounds.entries()) {
    if (i > 0 && bounds[i - 1]!.comparator[0] === comparator[0])
      return `has "${comparator[0]}" twice without the other between`;
  }
  return undefined;
}
