/**
 * The plan of a repository in YAML. Public keys are PEM files beside it, or PEM text in it.
 *
 *   holders:
 *     holder-1: holder-1.pub.pem
 *     online: online.pub.pem
 *   root: { holders: [holder-1], threshold: 1, expires: 365d }
 *   targets: { holders: [holder-1], threshold: 1, expires: 90d }
 *   snapshot: { holders: [online], threshold: 1, expires: 7d }
 *   timestamp: { holders: [online], threshold: 1, expires: 1d }
 *   delegations:
 *     - { name: team, holders: [holder-1], threshold: 1, paths: ['team/*'], terminating: true, expires: 90d }
 */
import { dirname, resolve } from 'node:path';
import { type TSchema, Type } from 'typebox';
import { stringify } from 'yaml';
import { formatPem, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { printable } from '../../../merkle/printable.ts';
import { parseYaml, readTextFile, type SettingPath } from '../../../merkle/runtime/config/settings-file.ts';
import { isMapping, problemText, SettingsWalk } from '../../../merkle/runtime/config/settings-walk.ts';
import { count, list, onOff, text } from '../../../merkle/runtime/config/values.ts';
import { ClientError } from '../../errors.ts';
import { DAY, DEFAULT_EXPIRY, HOLDER_NAME, HOUR, MAX_PLANNED, planProblems, type TrustPlan } from './plan.ts';
import { TOP_LEVEL_ROLES, TUF_LIMITS } from './role.ts';
import { type TufKey, tufKey } from './tuf-key.ts';

/** Bytes: the plan of 8,192 delegations with a key each has 3 MiB. */
const MAX_PLAN = 8 * 1024 * 1024;
const MAX_KEY_FILE = 64 * 1024;
const EXPIRY = /^([1-9][0-9]{0,4})(h|d)$/;
/** Ten years. */
const MAX_EXPIRY = 3650 * DAY;

const holders = () =>
  list((name) => HOLDER_NAME.test(name), 'names of holders', { description: 'Who holds keys of the role.' });
const threshold = () =>
  Type.Optional(
    count('signatures', 1, TUF_LIMITS.keys, { description: 'How many different holders must sign.', default: 1 }),
  );
const expires = (standard: number) =>
  Type.Optional(
    text(EXPIRY, '1h to 3650d, written as 12h or 90d', {
      description: 'How long a version is valid.',
      default: expiryText(standard),
    }),
  );
/** Root and targets say their threshold: a forgotten one must not mean that one holder suffices. */
const offline = (standard: number) =>
  Type.Object({
    holders: holders(),
    threshold: count('signatures', 1, TUF_LIMITS.keys, { description: 'How many different holders must sign.' }),
    expires: expires(standard),
  });
const online = (standard: number) =>
  Type.Object({ holders: holders(), threshold: threshold(), expires: expires(standard) });

const DelegationSchema = Type.Object({
  name: text(/^.+$/, 'a name', { description: 'Name of the role.' }),
  holders: holders(),
  threshold: threshold(),
  paths: list(() => true, 'patterns of the names of targets', { description: 'What the role may sign.' }),
  terminating: Type.Optional(onOff({ description: 'Whether later delegations count for these names.', default: true })),
  expires: expires(DEFAULT_EXPIRY.targets),
});

const PlanSchema = Type.Object({
  holders: Type.Unsafe({ kind: 'holders', allowed: 'names of holders, each with the file of a public key' }),
  root: offline(DEFAULT_EXPIRY.root),
  targets: offline(DEFAULT_EXPIRY.targets),
  snapshot: online(DEFAULT_EXPIRY.snapshot),
  timestamp: online(DEFAULT_EXPIRY.timestamp),
  delegations: Type.Optional(
    Type.Array(DelegationSchema, {
      maxItems: MAX_PLANNED,
      allowed: `a list of at most ${MAX_PLANNED} delegations`,
      default: [],
    }),
  ),
});

/** @throws ClientError `trust`, with every mistake and its line; RuntimeError `file` where the plan cannot be read */
export function readPlan(file: string): TrustPlan {
  return parsePlan(readTextFile(file, file, MAX_PLAN), file);
}

/** @param file its path, which the files of keys are relative to */
export function parsePlan(yaml: string, file: string): TrustPlan {
  const name = printable(file);
  const { value, problems, lineOf } = parseYaml(yaml);
  const fail = (all: readonly string[]) => new ClientError('trust', `the plan ${name} is wrong: ${problemText(all)}`);
  if (problems.length > 0) throw fail(problems);
  const walk = new SettingsWalk({
    base: dirname(resolve(file)),
    where: (at) => `line ${lineOf(at)}`,
    own: { holders: readHolders },
  });
  const read = walk.object(PlanSchema as unknown as TSchema, value, []);
  if (read === undefined || walk.problems.length > 0) throw fail(walk.problems);
  const plan = planOf(read, walk);
  if (walk.problems.length === 0) for (const { at, why } of planProblems(plan)) walk.problem(at, why);
  if (walk.problems.length > 0) throw fail(walk.problems);
  return plan;
}

/** The plan in YAML, with the keys in it. */
export function formatPlan(plan: TrustPlan): string {
  const role = ({ expires, ...rest }: TrustPlan['root']) => ({ ...rest, expires: expiryText(expires) });
  const keys = [...plan.holders].map(([name, key]) => [name, formatPem('PUBLIC KEY', key.spki!)]);
  const value = {
    holders: Object.fromEntries(keys),
    ...Object.fromEntries(TOP_LEVEL_ROLES.map((name) => [name, role(plan[name])])),
    ...(plan.delegations.length > 0 && { delegations: plan.delegations.map(role) }),
  };
  return `# Stele writes this file. \`stele trust add-key\`, \`remove-key\` and \`expire\` change it; so may you: then run \`stele trust stage\`.\n${stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

/** `90d`, `12h`. @throws ClientError `usage` for another text */
export function parseExpiry(given: string): number {
  const [, number, unit] = EXPIRY.exec(given) ?? [];
  const time = Number(number) * (unit === 'd' ? DAY : HOUR);
  if (time > 0 && time <= MAX_EXPIRY) return time;
  throw new ClientError('usage', `a period is 1h to 3650d, written as 12h or 90d, and not "${printable(given)}"`);
}

function expiryText(ms: number): string {
  return ms % DAY === 0 ? `${ms / DAY}d` : `${Math.max(1, Math.round(ms / HOUR))}h`;
}

/** The public key in a PEM text, or in the file of this path. @throws ClientError `key`; RuntimeError `file` */
export function readPublicKeyOf(given: string, base: string): TufKey {
  const isText = given.includes('-----BEGIN');
  const pem = isText ? given : readTextFile(resolve(base, given), given, MAX_KEY_FILE);
  const where = isText ? 'the text' : printable(given);
  const blocks = orKeyError(where, () => parsePem(pem));
  const [block, ...more] = blocks;
  if (block === undefined || more.length > 0 || block.label !== 'PUBLIC KEY') {
    throw new ClientError('key', `${where} must hold one PEM block "PUBLIC KEY"`);
  }
  return tufKey(orKeyError(where, () => pemBytes(block)));
}

function orKeyError<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new ClientError('key', `${where} is not PEM: ${(cause as Error).message}`, { cause });
  }
}

function readHolders(value: unknown, at: SettingPath, walk: SettingsWalk): unknown {
  if (!isMapping(value)) return walk.problem(at, 'must be names of holders, each with the file of a public key');
  const entries = Object.entries(value);
  if (entries.length === 0 || entries.length > MAX_PLANNED)
    return walk.problem(at, `must have 1 to ${MAX_PLANNED} holders`);
  const keys = new Map<string, TufKey>();
  for (const [name, given] of entries) {
    if (typeof given !== 'string') {
      walk.problem([...at, name], 'must be the file of a public key in PEM, or its text');
      continue;
    }
    try {
      keys.set(name, readPublicKeyOf(given, walk.base));
    } catch (error) {
      walk.problem([...at, name], (error as Error).message);
    }
  }
  return keys;
}

function planOf(read: Record<string, unknown>, walk: SettingsWalk): TrustPlan {
  const role = (value: unknown, ...at: (string | number)[]) => {
    const { expires: period, ...rest } = value as { expires: string; holders: string[]; threshold: number };
    const ms = parseExpiryAt(period, [...at, 'expires'], walk);
    return { ...rest, expires: ms };
  };
  const delegations = (read.delegations as unknown[]).map((one, i) => role(one, 'delegations', i));
  const [root, targets, snapshot, timestamp] = TOP_LEVEL_ROLES.map((name) => role(read[name], name));
  return {
    holders: read.holders as TrustPlan['holders'],
    root: root!,
    targets: targets!,
    snapshot: snapshot!,
    timestamp: timestamp!,
    delegations: delegations as unknown as TrustPlan['delegations'],
  };
}

function parseExpiryAt(period: string, at: SettingPath, walk: SettingsWalk): number {
  try {
    return parseExpiry(period);
  } catch (error) {
    walk.problem(at, (error as Error).message);
    return DAY;
  }
}
