/** Reads a decision policy, and reports all mistakes at once, each with its line. */
import { dirname, resolve } from 'node:path';
import { printable } from '../../printable.ts';
import { isTypeUri, PREDICATE_TYPES } from '../../rekor/predicate-types.ts';
import { nearest } from '../config/nearest.ts';
import type { SettingPath } from '../config/settings-file.ts';
import { isMapping, type OwnReader, problemText, SettingsWalk, shown } from '../config/settings-walk.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { MAX_ARTIFACT_PATTERN } from './artifact-pattern.ts';
import { CHECKS } from './checks.ts';
import { digestOfFile } from './file-digest.ts';
import { SIGNATURE_TYPE } from './judge-evidence.ts';
import { HEAD_READERS, parsePolicyFile } from './policy-file.ts';
import { AGE_ALLOWED, PolicySchema, TYPES_ALLOWED } from './policy-schema.ts';
import { compileSigners, type NamedSigner, type ReadKeyFile, readKeyText, readSigners } from './policy-signers.ts';
import { type ConditionText, readConditions } from './read-conditions.ts';
import type { DecisionPolicy, DecisionRule, EvidenceCheck, PolicySigner } from './types.ts';

/** Types of rules that are no predicate types. */
const OWN_TYPES: readonly string[] = [SIGNATURE_TYPE, 'commit', 'tag'];
const MAX_TYPES = 16;
const AGE = /^([1-9][0-9]{0,9})([smhd])$/;
const AGE_UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const MAX_AGE = 36_500 * 86_400_000;

type RawRule = Omit<DecisionRule, 'signers' | 'checks' | 'quorum' | 'types'> & {
  readonly type: readonly string[];
  readonly signers: readonly string[];
  readonly witnesses?: string;
  readonly conditions?: readonly ConditionText[];
};

interface RawPolicy {
  readonly name: string;
  readonly artifacts?: readonly string[];
  readonly signers: readonly NamedSigner[];
  readonly rules: readonly RawRule[];
}

/**
 * The policy in `bytes`.
 *
 * @param file names the file in messages, and is the base of relative paths in it
 * @param readKey reads the files that the policy names; by default from the disk
 * @throws RuntimeError `decision-policy` naming everything that is unknown, wrong or missing
 */
export async function loadDecisionPolicy(
  bytes: Uint8Array,
  { file, readKey = readKeyText }: { readonly file: string; readonly readKey?: ReadKeyFile },
): Promise<DecisionPolicy> {
  const { value, lineOf } = parsePolicyFile(bytes, (why) => wrong(file, why));
  const where = (at: SettingPath) => `line ${lineOf(at)}`;
  const own: Record<string, OwnReader> = {
    ...OWN,
    signers: (value, at, walk) => readSigners(value, at, walk, readKey),
  };
  const walk = new SettingsWalk({ base: dirname(resolve(file)), where, own });
  const raw = walk.object(PolicySchema, value, []) as Partial<RawPolicy> | undefined;
  const { name = '', artifacts, signers = [], rules = [] } = raw ?? {};
  // A rule that is no mapping is left out, and then the others do not stand at their places.
  const given = isMapping(value) && Array.isArray(value.rules) ? value.rules.length : 0;
  if (given !== rules.length) throw wrong(file, problemText(walk.problems));
  const compiled = await compileSigners(signers, ['signers'], walk);
  if (artifacts !== undefined) checkPatterns(artifacts, ['artifacts'], walk);
  checkNames(rules, walk);
  checkUse(signers, rules, value, walk);
  const done: DecisionRule[] = [];
  for (const [i, rule] of rules.entries()) done.push(await compileRule(rule, compiled, ['rules', i], walk));
  if (walk.problems.length > 0) throw wrong(file, problemText(walk.problems));
  const keys = compiled.flatMap((one) => ('spki' in one && one.spki !== undefined ? [one.spki] : []));
  return {
    name,
    digest: digestOfFile(bytes),
    ...(artifacts === undefined ? {} : { artifacts }),
    rules: done,
    signers: compiled,
    keys,
    fingerprints: compiled.flatMap((one) => ('fingerprint' in one ? [one.fingerprint] : [])),
    identities: compiled.some((one) => 'identity' in one),
  };
}

async function compileRule(
  rule: RawRule,
  signers: readonly PolicySigner[],
  at: SettingPath,
  walk: SettingsWalk,
): Promise<DecisionRule> {
  const { name, artifacts, type = [], threshold = 1, logs, witnesses, maxAge, conditions } = rule;
  if (artifacts !== undefined) checkPatterns(artifacts, [...at, 'artifacts'], walk);
  const own = (rule.signers ?? []).flatMap((one) => signers.find((signer) => signer.name === one) ?? []);
  if (rule.signers !== undefined && threshold > rule.signers.length) {
    const why = `is ${threshold}, and the rule has ${rule.signers.length} ${rule.signers.length === 1 ? 'signer' : 'signers'}: it could never hold`;
    walk.problem([...at, 'threshold'], why);
  }
  const checks: EvidenceCheck[] = [];
  for (const kind of CHECKS) {
    const config = (rule as unknown as Readonly<Record<string, unknown>>)[kind.name];
    if (config === undefined) continue;
    const place = [...at, kind.name];
    const other = type.find((one) => !kind.types.includes(one));
    if (other !== undefined) walk.problem(place, `is not about evidence of the type ${printable(other)}`);
    const before = walk.problems.length;
    const check = await kind.compile(
      config as never,
      (inner, mistake) => walk.problem([...place, ...inner], mistake),
      signers.map((one) => one.name),
    );
    if (walk.problems.length === before) checks.push(check);
  }
  if (conditions !== undefined) {
    const { compileConditions } = await import('./conditions.ts');
    checks.push(
      ...compileConditions(conditions, (inner, mistake) => walk.problem([...at, 'conditions', ...inner], mistake)),
    );
  }
  return {
    name,
    ...(artifacts === undefined ? {} : { artifacts }),
    types: type,
    signers: own,
    threshold,
    ...(logs === undefined ? {} : { logs }),
    quorum: witnesses !== undefined,
    ...(maxAge === undefined ? {} : { maxAge }),
    checks,
  };
}

function checkPatterns(patterns: readonly string[], at: SettingPath, walk: SettingsWalk): void {
  for (const [i, pattern] of patterns.entries()) {
    if (pattern.length > MAX_ARTIFACT_PATTERN)
      walk.problem([...at, i], `has more than ${MAX_ARTIFACT_PATTERN} characters`);
  }
}

function checkNames(rules: readonly RawRule[], walk: SettingsWalk): void {
  const seen = new Set<string>();
  for (const [i, { name }] of rules.entries()) {
    if (name !== undefined && seen.has(name))
      walk.problem(['rules', i, 'name'], `"${printable(name)}" is the name of another rule already`);
    seen.add(name);
  }
}

/** Each name of a signer in a rule must be one of `signers`, and each signer must be in a rule. */
function checkUse(
  signers: readonly NamedSigner[],
  rules: readonly RawRule[],
  value: unknown,
  walk: SettingsWalk,
): void {
  // Also those that are wrong: they are a mistake of their own.
  const given = isMapping(value) && isMapping(value.signers) ? Object.keys(value.signers) : [];
  const used = new Set(rules.flatMap((rule) => [...(rule.signers ?? []), ...signersOfChecks(rule)]));
  for (const [i, rule] of rules.entries()) {
    for (const [j, name] of (rule.signers ?? []).entries()) {
      if (given.includes(name)) continue;
      const best = nearest(name, given);
      const hint =
        best === undefined
          ? `those are ${given.map(printable).join(', ') || 'none'}`
          : `did you mean "${printable(best)}"?`;
      walk.problem(
        ['rules', i, 'signers', j],
        `names "${printable(name)}", which is no signer of this policy; ${hint}`,
      );
    }
  }
  for (const { name } of signers) {
    if (!used.has(name)) walk.problem(['signers', name], 'is in no rule: leave it out, or name it in one');
  }
}

function signersOfChecks(rule: RawRule): readonly string[] {
  const configs = rule as unknown as Readonly<Record<string, unknown>>;
  return CHECKS.flatMap((kind) => {
    const config = configs[kind.name];
    return config === undefined ? [] : (kind.signers?.(config as never) ?? []);
  });
}

const OWN: Readonly<Record<string, OwnReader>> = {
  ...HEAD_READERS,
  types: readTypes,
  age: (value, at, walk) => {
    const [, count, unit] = (typeof value === 'string' && AGE.exec(value)) || [];
    const age = Number(count) * (AGE_UNITS[unit ?? ''] ?? Number.NaN);
    return age <= MAX_AGE ? age : walk.problem(at, `is ${shown(value)}; allowed: ${AGE_ALLOWED}`);
  },
  conditions: readConditions,
  ...Object.assign({}, ...CHECKS.map(({ own }) => own ?? {})),
};

function readTypes(value: unknown, at: SettingPath, walk: SettingsWalk): string[] | undefined {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > MAX_TYPES) return walk.problem(at, `must be ${TYPES_ALLOWED}`);
  const read = list.map((one, i) => {
    if (typeof one === 'string' && OWN_TYPES.includes(one)) return one;
    const uri = typeof one === 'string' ? (PREDICATE_TYPES.get(one) ?? (isTypeUri(one) ? one : undefined)) : undefined;
    if (uri !== undefined) return uri;
    const best = typeof one === 'string' ? nearest(one, [...OWN_TYPES, ...PREDICATE_TYPES.keys()]) : undefined;
    const hint = best === undefined ? `allowed: ${TYPES_ALLOWED}` : `did you mean "${best}"?`;
    return walk.problem(Array.isArray(value) ? [...at, i] : at, `is ${shown(one)}; ${hint}`);
  });
  return read.includes(undefined) ? undefined : [...new Set(read as string[])];
}

function wrong(file: string, why: string): RuntimeError {
  return new RuntimeError('decision-policy', `${printable(file)}: ${why}\ndocs/policy.md describes decision policies`);
}
