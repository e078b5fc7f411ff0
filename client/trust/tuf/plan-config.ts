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
import { isMapping, problemText, SettingsWalk, shown } from '../../../merkle/runtime/config/settings-walk.ts';
import { count, list, text } from '../../../merkle/runtime/config/values.ts';
import { ClientError } from '../../errors.ts';
import { DAY, DEFAULT_EXPIRY, HOLDER_NAME, HOUR, MAX_PLANNED, planProblems, type TrustPlan } from './plan.ts';
import { TOP_LEVEL_ROLES, TUF_LIMITS } from './role.ts';
import { type TufKey, tufKey } from './tuf-key.ts';

/** Bytes: the plan of 8,192 delegations with a key each has 3 MiB. */
const MAX_PLAN = 8 * 1024 * 1024;
const MAX_KEY_FILE = 64 * 1024;
const EXPIRY = /^([1-9][0-9]{0,4})(h|d)$/;
const EXPIRY_ALLOWED = '1h to 3650d, written as 12h or 90d';
/** Ten years. */
const MAX_EXPIRY = 3650 * DAY;

const holders = () =>
  list((name) => HOLDER_NAME.test(name), 'names of holders, each once', { description: 'Who holds keys of the role.' });
const threshold = () =>
  Type.Optional(
    count('signatures', 1, TUF_LIMITS.keys, { description: 'How many different holders must sign.', default: 1 }),
  );
const expires = (standard: number) =>
  Type.Optional(
    text(EXPIRY, EXPIRY_ALLOWED, {
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

const PlanSchema = Type.Object({
  holders: Type.Unsafe({ kind: 'holders', allowed: 'names of holders, each with the file of a public key' }),
  root: offline(DEFAULT_EXPIRY.root),
  targets: offline(DEFAULT_EXPIRY.targets),
  snapshot: online(DEFAULT_EXPIRY.snapshot),
  timestamp: online(DEFAULT_EXPIRY.timestamp),
  delegations: Type.Optional(
    Type.Unsafe({ kind: 'delegations', allowed: `a list of at most ${MAX_PLANNED} delegations`, default: [] }),
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
    own: { holders: readHolders, delegations: readDelegations },
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

/** Each member of a delegation: whether a value is right, what is right, and the default. */
const DELEGATION: Readonly<
  Record<string, readonly [isRight: (value: unknown) => boolean, allowed: string, standard?: unknown]>
> = {
  name: [isText, 'a name'],
  holders: [isTexts, 'a list of names of holders'],
  threshold: [Number.isSafeInteger, 'a whole number', 1],
  paths: [isTexts, 'a list of patterns of the names of targets'],
  terminating: [(value) => typeof value === 'boolean', 'true or false', true],
  expires: [
    (value) => typeof value === 'string' && EXPIRY.test(value),
    EXPIRY_ALLOWED,
    expiryText(DEFAULT_EXPIRY.targets),
  ],
};

/** By hand: TypeBox takes half a second for a thousand of them. */
function readDelegations(value: unknown, at: SettingPath, walk: SettingsWalk): unknown {
  if (!Array.isArray(value) || value.length > MAX_PLANNED) {
    return walk.problem(at, `must be a list of at most ${MAX_PLANNED} delegations`);
  }
  const names = Object.keys(DELEGATION);
  return value.map((item, i) => {
    if (!isMapping(item)) return walk.problem([...at, i], `must be a mapping with ${names.join(', ')}`);
    for (const name of Object.keys(item)) if (!names.includes(name)) walk.unknown([...at, i, name], name, names);
    const read: Record<string, unknown> = {};
    for (const [name, [isRight, allowed, standard]] of Object.entries(DELEGATION)) {
      const given = Object.hasOwn(item, name) ? item[name] : standard;
      if (given === undefined) walk.problem([...at, i, name], `is missing: ${allowed}`);
      else if (!isRight(given)) walk.problem([...at, i, name], `is ${shown(given)}; allowed: ${allowed}`);
      read[name] = given;
    }
    return read;
  });
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= 255;
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length <= TUF_LIMITS.keys && value.every(isText);
}

function planOf(read: Record<string, unknown>, walk: SettingsWalk): TrustPlan {
  const role = <T>(value: unknown, ...at: (string | number)[]): T => {
    const { expires, ...rest } = value as { readonly expires: string };
    return { ...rest, expires: parseExpiryAt(expires, [...at, 'expires'], walk) } as T;
  };
  const [root, targets, snapshot, timestamp] = TOP_LEVEL_ROLES.map((name) => role<TrustPlan['root']>(read[name], name));
  const delegations = (read.delegations as unknown[]).map((one, i) =>
    role<TrustPlan['delegations'][number]>(one, 'delegations', i),
  );
  const holders = read.holders as TrustPlan['holders'];
  return { holders, root: root!, targets: targets!, snapshot: snapshot!, timestamp: timestamp!, delegations };
}

function parseExpiryAt(period: string, at: SettingPath, walk: SettingsWalk): number {
  try {
    return parseExpiry(period);
  } catch {
    walk.problem(at, `is ${shown(period)}; allowed: ${EXPIRY_ALLOWED}`);
    return DAY;
  }
}
