/** Reads an access policy, and reports all mistakes at once, each with its line. */
import { dirname, resolve } from 'node:path';
import { printable } from '../../../printable.ts';
import { nearest } from '../../config/nearest.ts';
import type { SettingPath } from '../../config/settings-file.ts';
import { isMapping, type OwnReader, problemText, SettingsWalk, shown } from '../../config/settings-walk.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { digestOfFile } from '../file-digest.ts';
import { HEAD_READERS, parsePolicyFile } from '../policy-file.ts';
import { type ConditionText, readConditions } from '../read-conditions.ts';
import { hasTextPattern, type PatternTest, readCallers, readTextTest } from './access-callers.ts';
import {
  ACTION_NAMES,
  AccessPolicySchema,
  CALLER_NAMES_ALLOWED,
  ISSUERS_ALLOWED,
  KEY_NAMES,
  MAX_ISSUERS,
  MAX_ORIGINS,
  ORIGINS_ALLOWED,
} from './access-schema.ts';
import {
  type AccessAction,
  type AccessCaller,
  type AccessEntryKind,
  type AccessPolicy,
  type AccessRule,
  ENTRY_KINDS,
} from './types.ts';

/** Longest list of names of callers in a rule. */
const MAX_NAMES = 64;
/** The first line of a checkpoint: printable, and it may have spaces (`go.sum database tree`). */
const ORIGIN = /^[!-~](?:[ -~]{0,253}[!-~])?$/;

type RawAccessRule = Partial<
  Pick<AccessRule, 'name' | 'calls' | 'kinds' | 'keys' | 'issuers' | 'logs' | 'perMinute'>
> & {
  readonly callers?: readonly string[];
  readonly conditions?: readonly ConditionText[];
};

interface RawAccessPolicy {
  readonly name: string;
  readonly callers: readonly AccessCaller[];
  readonly allow: readonly RawAccessRule[];
}

interface LoadOptions {
  /** Names the file in messages. */
  readonly file: string;
  /** The actions of the service that reads the policy; a rule about another is a mistake. Default: all. */
  readonly actions?: readonly AccessAction[];
}

/**
 * The access policy in `bytes`.
 *
 * @throws RuntimeError `access-policy` naming everything that is unknown, wrong or missing
 */
export async function loadAccessPolicy(bytes: Uint8Array, { file, actions }: LoadOptions): Promise<AccessPolicy> {
  const { value, lineOf } = parsePolicyFile(bytes, (why) => wrong(file, why));
  const where = (at: SettingPath) => `line ${lineOf(at)}`;
  const compile = await patternsFor(value);
  const own: Record<string, OwnReader> = {
    ...OWN,
    actions: listOf(actions ?? ACTION_NAMES),
    callers: (value, at, walk) => readCallers(value, at, walk, compile),
    issuers: (value, at, walk) => readIssuers(value, at, walk, compile),
  };
  const walk = new SettingsWalk({ base: dirname(resolve(file)), where, own });
  const raw = walk.object(AccessPolicySchema, value, []) as Partial<RawAccessPolicy> | undefined;
  const { name = '', callers = [], allow = [] } = raw ?? {};
  // A rule that is no mapping is left out, and then the others do not stand at their places.
  const given = isMapping(value) && Array.isArray(value.allow) ? value.allow.length : 0;
  if (given !== allow.length) throw wrong(file, problemText(walk.problems));
  checkRuleNames(allow, walk);
  checkCallers(callers, allow, value, walk);
  const rules: AccessRule[] = [];
  for (const [i, rule] of allow.entries()) rules.push(await compileAccessRule(rule, callers, ['allow', i], walk));
  if (walk.problems.length > 0) throw wrong(file, problemText(walk.problems));
  return { name, digest: digestOfFile(bytes), allow: rules };
}

/** Loads the engine for patterns only where there is one: loading it is slow. */
async function patternsFor(value: unknown): Promise<PatternTest> {
  if (hasTextPattern(value)) return (await import('../../../x509/identity-pattern.ts')).compilePattern;
  return () => {
    throw new Error('the policy has no pattern');
  };
}

async function compileAccessRule(
  rule: RawAccessRule,
  callers: readonly AccessCaller[],
  at: SettingPath,
  walk: SettingsWalk,
): Promise<AccessRule> {
  const { name = '', calls = [], kinds, keys, issuers, logs, perMinute, conditions = [] } = rule;
  const other = calls.find((action) => action !== 'write');
  for (const member of ['kinds', 'keys', 'issuers'] as const) {
    if (rule[member] === undefined || other === undefined) continue;
    walk.problem(
      [...at, member],
      `is about entries, and the rule is also for ${other}: give \`write\` a rule of its own`,
    );
  }
  const notCosign = calls.find((action) => action !== 'cosign');
  if (rule.logs !== undefined && notCosign !== undefined) {
    walk.problem(
      [...at, 'logs'],
      `is about tree heads, and the rule is also for ${notCosign}: give \`cosign\` a rule of its own`,
    );
  }
  if (kinds?.every((kind) => kind === 'raw') === true && (keys !== undefined || issuers !== undefined)) {
    walk.problem(
      [...at, 'kinds'],
      'has only raw, and opaque entries have neither keys nor issuers: the rule could never hold',
    );
  }
  const report = (inner: SettingPath, mistake: string) => walk.problem([...at, 'conditions', ...inner], mistake);
  const compiled =
    conditions.length === 0 ? [] : (await import('./access-conditions.ts')).compileAccessConditions(conditions, report);
  const names = rule.callers ?? [];
  return {
    name,
    callers: callers.filter((one) => names.includes(one.name)),
    calls,
    ...(kinds && { kinds }),
    ...(keys && { keys }),
    ...(issuers && { issuers }),
    ...(logs && { logs }),
    ...(perMinute !== undefined && { perMinute }),
    conditions: compiled,
  };
}

function checkRuleNames(rules: readonly RawAccessRule[], walk: SettingsWalk): void {
  const seen = new Set<string>();
  for (const [i, { name }] of rules.entries()) {
    if (name === undefined) continue;
    if (seen.has(name)) walk.problem(['allow', i, 'name'], `"${printable(name)}" is the name of another rule already`);
    seen.add(name);
  }
}

/** Each name of a caller in a rule must be one of `callers`, and each caller must be in a rule. */
function checkCallers(
  callers: readonly AccessCaller[],
  rules: readonly RawAccessRule[],
  value: unknown,
  walk: SettingsWalk,
): void {
  // Also those that are wrong: they are a mistake of their own.
  const given = isMapping(value) && isMapping(value.callers) ? Object.keys(value.callers) : [];
  for (const [i, rule] of rules.entries()) {
    for (const [j, name] of (rule.callers ?? []).entries()) {
      if (given.includes(name)) continue;
      const best = nearest(name, given);
      const hint =
        best === undefined
          ? `those are ${given.map(printable).join(', ') || 'none'}`
          : `did you mean "${printable(best)}"?`;
      walk.problem(
        ['allow', i, 'callers', j],
        `names "${printable(name)}", which is no caller of this policy; ${hint}`,
      );
    }
  }
  const used = new Set(rules.flatMap((rule) => rule.callers ?? []));
  for (const { name } of callers) {
    if (!used.has(name)) walk.problem(['callers', name], 'is in no rule: leave it out, or name it in one');
  }
}

/** A list of some of `known`, each once. */
function listOf(known: readonly string[]): OwnReader {
  return (value, at, walk) => {
    const allowed = `a list of ${known.join(', ')}`;
    if (!Array.isArray(value) || value.length === 0) return walk.problem(at, `is ${shown(value)}; allowed: ${allowed}`);
    const before = walk.problems.length;
    for (const [i, one] of value.entries()) {
      if (known.includes(one as string)) continue;
      const best = typeof one === 'string' ? nearest(one, known) : undefined;
      walk.problem(
        [...at, i],
        `is ${shown(one)}; ${best === undefined ? `allowed: ${known.join(', ')}` : `did you mean "${best}"?`}`,
      );
    }
    return walk.problems.length > before ? undefined : [...new Set(value as string[])];
  };
}

function readNames(value: unknown, at: SettingPath, walk: SettingsWalk): string[] | undefined {
  const isList = Array.isArray(value) && value.length > 0 && value.length <= MAX_NAMES;
  if (!isList || !value.every((one) => typeof one === 'string')) {
    return walk.problem(at, `must be ${CALLER_NAMES_ALLOWED}`);
  }
  return [...new Set(value as string[])];
}

function readIssuers(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
  compile: PatternTest,
): AccessRule['issuers'] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_ISSUERS) {
    return walk.problem(at, `must be ${ISSUERS_ALLOWED}`);
  }
  const tests = value.map((one: unknown, i) => {
    if (one === undefined || one === null) return walk.problem([...at, i], 'is empty');
    return readTextTest(one, 'issuer', [...at, i], walk, compile);
  });
  return (issuer) => tests.some((test) => test?.(issuer) === true);
}

function readOrigins(value: unknown, at: SettingPath, walk: SettingsWalk): string[] | undefined {
  const isList = Array.isArray(value) && value.length > 0 && value.length <= MAX_ORIGINS;
  if (!isList || !value.every((one) => typeof one === 'string' && ORIGIN.test(one))) {
    return walk.problem(at, `must be ${ORIGINS_ALLOWED}`);
  }
  return [...new Set(value as string[])];
}

const OWN: Readonly<Record<string, OwnReader>> = {
  ...HEAD_READERS,
  names: readNames,
  origins: readOrigins,
  kinds: listOf(ENTRY_KINDS satisfies readonly AccessEntryKind[]),
  keys: listOf(KEY_NAMES),
  conditions: readConditions,
};

function wrong(file: string, why: string): RuntimeError {
  return new RuntimeError('access-policy', `${printable(file)}: ${why}\ndocs/identity.md describes access policies`);
}
