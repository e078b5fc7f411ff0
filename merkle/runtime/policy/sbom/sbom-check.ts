/** The check `sbom`: what an attested SBOM says is inside, against what may be inside. */
import { CodedError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { formatPurl, type Purl, PurlProblem, parsePurl } from '../purl/purl.ts';
import { reason } from '../reasons.ts';
import { typedPredicate } from '../typed-predicate.ts';
import type { Artifact, EvidenceCheck, Reason, ReportMistake, VerifiedEvidence } from '../types.ts';
import { type Finding, ForbiddenIndex, type ReadPackage, readForbidden } from './forbidden.ts';
import {
  type LicenseExpression,
  type LicensePattern,
  LicenseProblem,
  type LicenseRules,
  parseLicense,
  parseLicensePattern,
  refusedLicenses,
} from './licenses.ts';
import { pathsFrom, readSbom } from './sbom.ts';
import type { SbomSettings } from './sbom-settings.ts';
import { type Sbom, type SbomPackage, SbomProblem } from './types.ts';

/** Most reasons of one SBOM; more are counted. */
const MAX_REASONS = 50;

interface Rules {
  readonly settings: SbomSettings;
  readonly forbidden: ForbiddenIndex;
  readonly licenses: LicenseRules | undefined;
}

export function sbomCheck(settings: SbomSettings, report: ReportMistake): EvidenceCheck {
  const { forbid = [], licenses } = settings;
  const forbidden = new ForbiddenIndex(
    forbid.flatMap((one, i) => tried(() => readForbidden(one), ['forbid', i], report)),
  );
  const patterns = (name: 'allow' | 'deny') =>
    (licenses?.[name] ?? []).flatMap((text, i) =>
      tried(() => parseLicensePattern(text), ['licenses', name, i], report),
    );
  const allow: readonly LicensePattern[] | undefined = licenses?.allow === undefined ? undefined : patterns('allow');
  const rules = {
    settings,
    forbidden,
    licenses: licenses === undefined ? undefined : { allow, deny: patterns('deny') },
  };
  // Evidence does not change, and admission judges the same piece again and again.
  const judged = new WeakMap<
    VerifiedEvidence,
    { readonly sbom: Sbom | undefined; readonly reasons: readonly Reason[] }
  >();
  return ({ artifact, evidence }) => {
    let known = judged.get(evidence);
    if (known === undefined) {
      known = judge(evidence, rules);
      judged.set(evidence, known);
    }
    const about = known.sbom === undefined ? [] : judgeRoot(known.sbom, artifact, settings);
    return [...about, ...known.reasons];
  };
}

function tried<T>(read: () => T, at: readonly (string | number)[], report: ReportMistake): T[] {
  try {
    return [read()];
  } catch (error) {
    report(at, (error as Error).message);
    return [];
  }
}

function judge(evidence: VerifiedEvidence, rules: Rules): { sbom: Sbom | undefined; reasons: readonly Reason[] } {
  const { statement } = evidence;
  if (statement === undefined)
    return { sbom: undefined, reasons: [reason('predicate', 'the evidence is no statement')] };
  let sbom: Sbom;
  try {
    sbom = readSbom(typedPredicate(statement));
  } catch (error) {
    if (!(error instanceof SbomProblem || error instanceof CodedError)) throw error;
    return { sbom: undefined, reasons: [reason('predicate', `the SBOM cannot be read: ${error.message}`)] };
  }
  const all = [...judgeWhole(sbom, rules.settings), ...judgePackages(sbom, rules)];
  const more = all.length - MAX_REASONS;
  const last = more > 0 ? [reason('limit', `and ${more} more reasons of this SBOM`)] : [];
  return { sbom, reasons: [...all.slice(0, MAX_REASONS), ...last] };
}

/** The SBOM must be about the artifact: what it states of its own root must not contradict the digest. */
function judgeRoot({ roots, packages }: Sbom, { digest }: Artifact, { root }: SbomSettings): readonly Reason[] {
  if (root === 'any') return [];
  const ids = new Set(roots);
  const described = packages.filter(({ id }) => ids.has(id));
  const stated = described.flatMap(rootDigests).filter(({ algorithm }) => Object.hasOwn(digest, algorithm));
  if (stated.some(({ algorithm, value }) => digest[algorithm] === value)) return [];
  const names = printable(described.map(({ name }) => name).join(', ') || 'nothing');
  if (stated.length > 0) {
    const [first] = stated;
    const text = `the SBOM is about ${names} with ${first!.algorithm}:${printable(first!.value)}, and not about this artifact`;
    return [reason('sbom-artifact', text)];
  }
  if (root === 'matching') return [];
  return [reason('sbom-artifact', `the SBOM is about ${names}, and states no digest of it`)];
}

/** Digests of an image also stand in its version, and in the version of its purl. */
function rootDigests({ digests, version, purls }: SbomPackage): SbomPackage['digests'] {
  const texts = [
    version,
    ...purls.map((text) => readPurl(text)).map((purl) => (typeof purl === 'string' ? undefined : purl.version)),
  ];
  const inVersions = texts.flatMap((text) => {
    const [, algorithm, value] = /^(sha(?:256|384|512)):([0-9a-f]+)$/.exec(text ?? '') ?? [];
    return algorithm === undefined || value === undefined ? [] : [{ algorithm, value }];
  });
  return [...digests, ...inVersions];
}

/** The package that the document is about. Where it is about many, none of them is the artifact alone. */
function soleRoot({ roots, packages }: Sbom): SbomPackage | undefined {
  const ids = new Set(roots);
  const described = packages.filter(({ id }) => ids.has(id));
  return described.length === 1 ? described[0] : undefined;
}

function judgeWhole(sbom: Sbom, { minPackages, incomplete }: SbomSettings): readonly Reason[] {
  const root = soleRoot(sbom);
  const named = sbom.packages.filter((one) => one.kind === 'package' && one !== root).length;
  const few = `the SBOM names ${named} packages apart from its root, fewer than ${minPackages}`;
  return [
    ...(named < minPackages ? [reason('sbom-incomplete', few)] : []),
    ...(incomplete === 'allow'
      ? []
      : sbom.gaps.map((gap) => reason('sbom-incomplete', `the SBOM leaves something out: ${gap}`))),
  ];
}

function judgePackages(sbom: Sbom, rules: Rules): readonly Reason[] {
  const pathOf = pathsFrom(sbom);
  const root = soleRoot(sbom);
  const found: Reason[] = [];
  for (const one of sbom.packages) {
    const reasons = judgePackage(one, one === root, rules);
    // A path may be as long as the SBOM, so it is made for the reasons that are shown alone.
    const where = reasons.length > 0 && found.length < MAX_REASONS ? `${placeOf(one, pathOf)}: ` : '';
    for (const { code, message } of reasons) found.push(reason(code, `${where}${message}`));
  }
  return found;
}

function judgePackage(one: SbomPackage, isRoot: boolean, rules: Rules): readonly Reason[] {
  const { settings, forbidden, licenses } = rules;
  const reasons: Reason[] = [];
  const purls: Purl[] = [];
  for (const text of one.purls) {
    const purl = readPurl(text);
    if (typeof purl !== 'string') purls.push(purl);
    else if (settings.withoutPurl === 'deny') reasons.push(reason('sbom-unknown', purl));
  }
  if (one.purls.length === 0 && one.kind === 'package' && !isRoot && settings.withoutPurl === 'deny') {
    reasons.push(reason('sbom-unknown', 'it has no purl, so that no rule about packages can find it'));
  }
  const expressions: LicenseExpression[] = [];
  const usesLicenses = licenses !== undefined || forbidden.usesLicenses;
  const problems = usesLicenses ? readLicenses(one.licenses, expressions) : [];
  const read: ReadPackage = { purls, version: one.version, licenses: expressions, digests: one.digests };
  reasons.push(...forbidden.findings(read).map(findingReason));
  if (usesLicenses) reasons.push(...judgeLicenses(one, expressions, problems, isRoot, rules));
  return reasons;
}

function findingReason({ kind, message }: Finding): Reason {
  return reason(kind === 'forbidden' ? 'forbidden-package' : 'sbom-unknown', message);
}

function readLicenses(texts: readonly string[], expressions: LicenseExpression[]): readonly string[] {
  return texts.flatMap((text) => {
    try {
      expressions.push(parseLicense(text));
      return [];
    } catch (error) {
      if (error instanceof LicenseProblem) return [error.message];
      throw error;
    }
  });
}

function judgeLicenses(
  { kind, licenses: texts }: SbomPackage,
  expressions: readonly LicenseExpression[],
  problems: readonly string[],
  isRoot: boolean,
  { settings, licenses }: Rules,
): readonly Reason[] {
  const isUnknownDenied = settings.licenses?.unknown !== 'allow';
  const isSilent = texts.length === 0 && kind === 'package' && !isRoot;
  const silent = isSilent && isUnknownDenied ? [reason('license', 'the SBOM says nothing of its license')] : [];
  const unknown = isUnknownDenied ? problems.map((problem) => reason('license', problem)) : [];
  if (licenses === undefined) return [...silent, ...unknown];
  const refused = new Set(expressions.flatMap((one) => refusedLicenses(one, licenses)));
  return [
    ...silent,
    ...unknown,
    ...[...refused].map((text) => reason('license', `the policy does not take the license ${text}`)),
  ];
}

function readPurl(text: string): Purl | string {
  try {
    return parsePurl(text);
  } catch (error) {
    if (error instanceof PurlProblem) return error.message;
    throw error;
  }
}

/** Most names of a path that a reason shows: the first ones, and the last. */
const MAX_PATH = 8;

function placeOf(one: SbomPackage, pathOf: ReturnType<typeof pathsFrom>): string {
  const first = one.purls.map(readPurl).find((purl) => typeof purl !== 'string');
  const version = one.version === undefined ? '' : ` ${printable(one.version)}`;
  const label = first === undefined ? `${printable(one.name)}${version}` : printable(formatPurl(first));
  const path = pathOf(one.id);
  if (path == null) return `${label} (nothing in the SBOM leads to it)`;
  if (path.length < 2) return label;
  const shown = path.length > MAX_PATH ? [...path.slice(0, MAX_PATH - 2), '…', path.at(-1)!] : path;
  return `${label} (${shown.map(printable).join(' > ')})`;
}
