/** Packages that an artifact must not hold: by purl and range of versions, by license, or by digest. */
import { printable } from '../../../printable.ts';
import { formatPurl, isSamePackage, type Purl, packageKey, parsePurl, ruleProblem } from '../purl/purl.ts';
import { isInRange, isSameVersion, parseVersionRange, type VersionRange } from '../versions/vers.ts';
import { isLicenseIn, type LicenseExpression, type LicensePattern, parseLicensePattern } from './licenses.ts';
import type { SbomDigest } from './types.ts';

/** As the policy file has it. */
export interface ForbidSetting {
  readonly purl?: string;
  readonly range?: string;
  readonly prereleases: boolean;
  readonly license?: string;
  readonly digest?: string;
  readonly reason?: string;
}

type Forbidden =
  | {
      readonly kind: 'purl';
      readonly purl: Purl;
      readonly range: VersionRange | undefined;
      readonly prereleases: boolean;
      readonly text: string;
    }
  | { readonly kind: 'license'; readonly license: LicensePattern; readonly text: string }
  | { readonly kind: 'digest'; readonly digest: SbomDigest; readonly text: string };

/** A package with what was read of it. */
export interface ReadPackage {
  readonly purls: readonly Purl[];
  /** Versions that the package has beside those of its purls. */
  readonly version: string | undefined;
  readonly licenses: readonly LicenseExpression[];
  readonly digests: readonly SbomDigest[];
}

/** What a rule finds: it is the package, or nobody can tell. */
export interface Finding {
  readonly kind: 'forbidden' | 'unknown';
  readonly message: string;
}

const DIGEST = /^([a-z0-9_]+):([0-9a-f]{32,128})$/;

/** @throws PurlProblem, RangeProblem, LicenseProblem, or Error: what is wrong with the setting */
export function readForbidden(setting: ForbidSetting): Forbidden {
  const { purl, range, license, digest, reason } = setting;
  const named = [purl, license, digest].filter((one) => one !== undefined);
  if (named.length !== 1) throw new Error('must have one of "purl", "license" and "digest"');
  if (purl === undefined && range !== undefined) throw new Error('has a "range" without the "purl" that it is about');
  const because = reason === undefined ? '' : `: ${printable(reason)}`;
  if (license !== undefined) {
    return { kind: 'license', license: parseLicensePattern(license), text: `license ${printable(license)}${because}` };
  }
  if (digest !== undefined) {
    const [, algorithm, value] = DIGEST.exec(digest) ?? [];
    if (algorithm === undefined || value === undefined)
      throw new Error('must have a digest such as sha256:HEX in lower case');
    return { kind: 'digest', digest: { algorithm, value }, text: `digest ${digest}${because}` };
  }
  return purlRule(purl!, range, setting.prereleases, because);
}

function purlRule(text: string, rangeText: string | undefined, prereleases: boolean, because: string): Forbidden {
  const purl = parsePurl(text);
  const problem = ruleProblem(purl);
  if (problem !== undefined) throw new Error(`the purl ${printable(text)} ${problem}`);
  if (purl.version !== undefined && rangeText !== undefined)
    throw new Error('has a version in the purl and a "range" too');
  const range = rangeText === undefined ? undefined : parseVersionRange(rangeText);
  const isOfType = range === undefined || [purl.type, 'all', 'semver', 'intdot'].includes(range.type);
  if (!isOfType) throw new Error(`has a range of ${range.type} for a package of ${purl.type}`);
  const shown = `${formatPurl(purl)}${range === undefined ? '' : ` in ${range.text}`}`;
  return { kind: 'purl', purl, range, prereleases, text: `${shown}${because}` };
}

/** Finds the rules that may be about a package: an SBOM has up to 100,000 packages, and a policy up to 10,000 rules. */
export class ForbiddenIndex {
  readonly #byKey = new Map<string, Forbidden[]>();
  readonly #licenses: readonly Forbidden[];

  constructor(rules: readonly Forbidden[]) {
    this.#licenses = rules.filter(({ kind }) => kind === 'license');
    for (const rule of rules) {
      const key =
        rule.kind === 'purl' ? packageKey(rule.purl) : rule.kind === 'digest' ? digestKey(rule.digest) : undefined;
      if (key !== undefined) this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), rule]);
    }
  }

  /** Rules about licenses need those of each package. */
  get usesLicenses(): boolean {
    return this.#licenses.length > 0;
  }

  findings(found: ReadPackage): readonly Finding[] {
    const keys = [...found.purls.map(packageKey), ...found.digests.map(digestKey)];
    const rules = new Set([...this.#licenses, ...keys.flatMap((key) => this.#byKey.get(key) ?? [])]);
    return [...rules].flatMap((rule) => findForbidden(rule, found) ?? []);
  }
}

function digestKey({ algorithm, value }: SbomDigest): string {
  return `${algorithm}:${value}`;
}

/** Undefined where the package is another one. */
function findForbidden(rule: Forbidden, found: ReadPackage): Finding | undefined {
  if (rule.kind === 'license') {
    const isIn = found.licenses.some((one) => isLicenseIn(one, rule.license));
    return isIn ? { kind: 'forbidden', message: `the policy forbids ${rule.text}` } : undefined;
  }
  if (rule.kind === 'digest') {
    const { algorithm, value } = rule.digest;
    const isIt = found.digests.some((one) => one.algorithm === algorithm && one.value === value);
    return isIt ? { kind: 'forbidden', message: `the policy forbids ${rule.text}` } : undefined;
  }
  let unknown: Finding | undefined;
  for (const purl of found.purls) {
    if (!isSamePackage(rule.purl, purl)) continue;
    const answer = ofVersions(rule, purl, found.version);
    if (answer === true) return { kind: 'forbidden', message: `the policy forbids ${rule.text}` };
    if (typeof answer === 'string')
      unknown = { kind: 'unknown', message: `${answer}; the policy forbids ${rule.text}` };
  }
  return unknown;
}

/** Both the version of the purl and that of the package count, where they differ. */
function ofVersions(rule: Forbidden & { kind: 'purl' }, purl: Purl, other: string | undefined): boolean | string {
  const everyVersion = rule.range === undefined && rule.purl.version === undefined;
  if (everyVersion) return true;
  const versions = new Set([purl.version, other].filter((one) => one !== undefined).map((one) => withEpoch(purl, one)));
  if (versions.size === 0) return 'the package has no version that could be compared';
  let unknown: string | undefined;
  for (const version of versions) {
    const answer =
      rule.range === undefined
        ? isSameVersion(rule.purl.type, withEpoch(rule.purl, rule.purl.version!), version)
        : isInRange(rule.range, version, rule.prereleases);
    if (answer === true) return true;
    if (typeof answer === 'string') unknown = answer;
  }
  return unknown ?? false;
}

/** The epoch of an RPM is a qualifier of its purl. */
function withEpoch({ type, qualifiers }: Purl, version: string): string {
  const epoch = type === 'rpm' ? qualifiers.get('epoch') : undefined;
  return epoch === undefined || version.includes(':') ? version : `${epoch}:${version}`;
}
