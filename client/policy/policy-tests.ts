/** Files of tests of a policy: each test has an artifact, evidence, a time, and the decision that is expected. */
import { dirname, resolve } from 'node:path';
import { type TSchema, Type } from 'typebox';
import { printable } from '../../merkle/printable.ts';
import { nearest } from '../../merkle/runtime/config/nearest.ts';
import { parseYaml, type SettingPath } from '../../merkle/runtime/config/settings-file.ts';
import {
  isMapping,
  type OwnReader,
  problemText,
  SettingsWalk,
  shown,
} from '../../merkle/runtime/config/settings-walk.ts';
import { choice, path } from '../../merkle/runtime/config/values.ts';
import { REASONS, type ReasonCode } from '../../merkle/runtime/policy/reasons.ts';
import type { Decision } from '../../merkle/runtime/policy/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { timeOfText } from '../../merkle/x509/utc-time.ts';
import { decisionSentence } from './decision-text.ts';

export const MAX_POLICY_TESTS = 1024 * 1024;
const MAX_TESTS = 1000;
const CODES = Object.keys(REASONS);
const opt = Type.Optional;

export interface PolicyTest {
  readonly name: string;
  /** A digest, an image, a commit or tag of git, or the absolute path of a file. */
  readonly artifact: string;
  /** Its name for the policy, where it is another. */
  readonly as?: string;
  /** Absolute paths. */
  readonly evidence?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly expect: Decision['verdict'];
  /** Codes that the reasons apart from any rule have. */
  readonly reasons?: readonly ReasonCode[];
  /** Of each rule that is named: that it holds (an empty list), or codes that its reasons have. */
  readonly rules?: Readonly<Record<string, readonly ReasonCode[]>>;
}

interface PolicyTests {
  /** Absolute path. */
  readonly policy: string;
  readonly trustedRoot?: string;
  readonly quorumPolicy?: string;
  readonly logKey?: string;
  /** Files that name their trust domains. */
  readonly spiffeBundle?: readonly string[];
  readonly lastCheckpoint?: readonly string[];
  /** At least one. */
  readonly tests: readonly PolicyTest[];
}

type OwnKind = 'text' | 'artifact' | 'time' | 'codes' | 'rule-codes' | 'paths';

function own(kind: OwnKind, allowed: string): TSchema {
  return Type.Unknown({ kind, allowed });
}

const codes = own('codes', `a list of codes of reasons: ${CODES.join(', ')}`);
const paths = own('paths', 'a list of 1 to 64 paths');

const TestSchema = Type.Object({
  name: own('text', 'a name'),
  artifact: own('artifact', 'a path, a digest (sha256:HEX), an image NAME@sha256:HEX, or gitCommit:HEX'),
  as: opt(own('text', 'a name')),
  evidence: opt(paths),
  now: own('time', 'a time of RFC 3339, such as 2026-08-01T12:00:00Z'),
  expect: choice(['allow', 'deny'], { description: '' }),
  reasons: opt(codes),
  rules: opt(own('rule-codes', 'a mapping from names of rules to `holds` or to a list of codes of reasons')),
});

const TestsSchema = Type.Object({
  policy: path({ description: '' }),
  trustedRoot: opt(path({ description: '' })),
  quorumPolicy: opt(path({ description: '' })),
  logKey: opt(own('text', 'a verifier key')),
  spiffeBundle: opt(paths),
  lastCheckpoint: opt(paths),
  tests: Type.Array(TestSchema, { minItems: 1, maxItems: MAX_TESTS, allowed: `a list of 1 to ${MAX_TESTS} tests` }),
});

/**
 * @param file names the file in messages, and is the base of relative paths in it
 * @throws RuntimeError `decision-policy` naming everything that is unknown, wrong or missing
 */
export function parsePolicyTests(bytes: Uint8Array, file: string): PolicyTests {
  const { value, problems, lineOf } = parseYaml(new TextDecoder().decode(bytes));
  if (problems.length > 0) throw wrong(file, `it is not valid YAML: ${problemText(problems)}`);
  const walk = new SettingsWalk({ base: dirname(resolve(file)), where: (at) => `line ${lineOf(at)}`, own: OWN });
  const read = walk.object(TestsSchema, value, []) as PolicyTests | undefined;
  const seen = new Set<string>();
  for (const [i, { name, expect, reasons = [] }] of (read?.tests ?? []).entries()) {
    if (seen.has(name)) walk.problem(['tests', i, 'name'], `"${printable(name)}" is the name of another test already`);
    seen.add(name);
    if (expect === 'allow' && reasons.length > 0) walk.problem(['tests', i, 'reasons'], 'are of a deny');
  }
  if (walk.problems.length > 0 || read === undefined) throw wrong(file, problemText(walk.problems));
  return read;
}

const OWN: Readonly<Record<string, OwnReader>> = {
  text: (value, at, walk) =>
    typeof value === 'string' && value !== '' && value.length <= 1024
      ? value
      : walk.problem(at, `is ${shown(value)}; allowed: text`),
  artifact: (value, at, walk) => {
    if (typeof value !== 'string' || value === '') return walk.problem(at, `is ${shown(value)}; allowed: text`);
    return /^(?:sha[0-9]+|git(?:commit|tag)):|@sha[0-9]+:/i.test(value) ? value : resolve(walk.base, value);
  },
  time: (value, at, walk) => {
    const time = typeof value === 'string' ? timeOfText(value) : undefined;
    return time ?? walk.problem(at, `is ${shown(value)}; allowed: a time of RFC 3339, such as 2026-08-01T12:00:00Z`);
  },
  paths: (value, at, walk) => {
    const isList = Array.isArray(value) && value.length >= 1 && value.length <= 64;
    if (isList && value.every((one) => typeof one === 'string' && one !== '')) {
      return value.map((one: string) => resolve(walk.base, one));
    }
    return walk.problem(at, 'must be a list of 1 to 64 paths');
  },
  codes: readCodes,
  'rule-codes': (value, at, walk) => {
    if (!isMapping(value)) return walk.problem(at, 'must be a mapping from names of rules to what is expected of each');
    const read = Object.entries(value).map(([name, one]) => [
      name,
      one === 'holds' ? [] : readCodes(one, [...at, name], walk),
    ]);
    return Object.fromEntries(read);
  },
};

function readCodes(value: unknown, at: SettingPath, walk: SettingsWalk): readonly ReasonCode[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return walk.problem(at, 'must be a list of codes of reasons');
  for (const [i, code] of value.entries()) {
    if (CODES.includes(code)) continue;
    const best = typeof code === 'string' ? nearest(code, CODES) : undefined;
    const hint = best === undefined ? `known are ${CODES.join(', ')}` : `did you mean "${best}"?`;
    walk.problem([...at, i], `is ${shown(code)}, which is no code of a reason; ${hint}`);
  }
  return value as ReasonCode[];
}

/** What differs from the expected decision, a sentence each; empty where nothing does. */
export function differencesFrom(test: PolicyTest, decision: Decision): string[] {
  const { expect, reasons = [], rules = {} } = test;
  const found: string[] = [];
  if (decision.verdict !== expect) {
    const why = decision.verdict === 'deny' ? `: ${decisionSentence(decision)}` : '';
    found.push(`expected ${expect}, got ${decision.verdict}${why}`);
  }
  const got = decision.reasons.map(({ code }) => code);
  for (const code of reasons) if (!got.includes(code)) found.push(`expected the reason ${code}, got ${listed(got)}`);
  for (const [name, codes] of Object.entries(rules)) {
    const rule = decision.rules.find((one) => one.name === name);
    if (rule === undefined) {
      found.push(`expected something of the rule "${printable(name)}", and no such rule is for this artifact`);
      continue;
    }
    if (codes.length === 0) {
      if (!rule.holds) found.push(`expected that the rule "${printable(name)}" holds, and it does not`);
      continue;
    }
    const inRule = [...rule.reasons, ...rule.evidence.flatMap((one) => one.reasons)].map(({ code }) => code);
    const missing = codes.filter((code) => !inRule.includes(code));
    if (rule.holds) found.push(`expected that the rule "${printable(name)}" does not hold, and it does`);
    else if (missing.length > 0) {
      found.push(`expected ${listed(codes)} of the rule "${printable(name)}", got ${listed([...new Set(inRule)])}`);
    }
  }
  return found;
}

function listed(codes: readonly string[]): string {
  return codes.length === 0 ? 'none' : codes.join(', ');
}

function wrong(file: string, why: string): RuntimeError {
  return new RuntimeError('decision-policy', `${printable(file)}: ${why}\ndocs/policy.md describes tests of policies`);
}
