/** Reads the callers of an access policy. */
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { compileSpiffeIdPattern } from '../../../spiffe/spiffe-id-pattern.ts';
import type { TextRule } from '../../../x509/identity-rule.ts';
import { isSignerName } from '../../../x509/signer-names.ts';
import type { SettingPath } from '../../config/settings-file.ts';
import { isMapping, type SettingsWalk, shown } from '../../config/settings-walk.ts';
import type { Caller } from '../../identity/types.ts';
import { formOf } from '../policy-file.ts';
import { NAME, NAME_ALLOWED } from '../policy-values.ts';
import { CALLERS_ALLOWED, MAX_CALLERS } from './access-schema.ts';
import type { AccessCaller } from './types.ts';

const MAX_CALLER_TEXT = 1024;
const TEXT_RULE_ALLOWED = 'text, or { pattern: RE2 } that must match the whole text';

/** Each way to name a caller, and the members that may stand beside each other. */
const FORMS = {
  spiffeId: ['spiffeId'],
  issuer: ['issuer', 'subject', 'email'],
  certificate: ['certificate'],
  fingerprint: ['fingerprint'],
} as const;

type Test = (text: string) => boolean;
/** Compiles a pattern; undefined until the engine for patterns is loaded. */
export type PatternTest = (pattern: string, what: string) => Test;

/** Whether the value has a pattern of RE2 anywhere, for which the engine must be loaded. */
export function hasTextPattern(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasTextPattern);
  if (!isMapping(value)) return false;
  return Object.entries(value).some(([name, inner]) => name === 'pattern' || hasTextPattern(inner));
}

export function readCallers(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
  compile: PatternTest,
): AccessCaller[] | undefined {
  const entries = isMapping(value) ? Object.entries(value) : [];
  if (entries.length === 0 || entries.length > MAX_CALLERS) return walk.problem(at, `must be ${CALLERS_ALLOWED}`);
  return entries.flatMap(([name, one]) => {
    const place = [...at, name];
    if (!NAME.test(name)) {
      walk.problem(place, `is not ${NAME_ALLOWED}`);
      return [];
    }
    const matches = readCaller(one, place, walk, compile);
    return matches === undefined ? [] : [{ name, matches }];
  });
}

function readCaller(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
  compile: PatternTest,
): AccessCaller['matches'] | undefined {
  const named = formOf(value, FORMS, at, walk, 'caller');
  switch (named?.form) {
    case undefined:
      return undefined;
    case 'spiffeId':
      return bySpiffeId(named.members.spiffeId, [...at, 'spiffeId'], walk);
    case 'issuer':
      return byToken(named.members, at, walk, compile);
    case 'certificate':
      return byCertificate(named.members.certificate, [...at, 'certificate'], walk, compile);
    case 'fingerprint':
      return byFingerprint(named.members.fingerprint, [...at, 'fingerprint'], walk);
  }
}

/** An X.509-SVID or a JWT-SVID. */
function bySpiffeId(value: unknown, at: SettingPath, walk: SettingsWalk): AccessCaller['matches'] | undefined {
  if (typeof value !== 'string')
    return walk.problem(at, `is ${shown(value)}; allowed: a SPIFFE ID, or a pattern of them`);
  if (/^spiffe:\/\/[^/]*$/.test(value)) {
    return walk.problem(
      at,
      `is the ID of a trust domain, which no workload has: write ${printable(value)}/** for all of them`,
    );
  }
  const test = attempt(() => compileSpiffeIdPattern(value), at, walk);
  return test && (({ spiffeId }) => spiffeId !== undefined && test(spiffeId));
}

/** An ID token: its issuer, and one person or workload of it. */
function byToken(
  value: Readonly<Record<string, unknown>>,
  at: SettingPath,
  walk: SettingsWalk,
  compile: PatternTest,
): AccessCaller['matches'] | undefined {
  const before = walk.problems.length;
  const { issuer } = value;
  if (typeof issuer !== 'string' || issuer === '' || issuer.length > MAX_CALLER_TEXT) {
    walk.problem(
      [...at, 'issuer'],
      issuer === undefined ? 'is missing: the issuer (`iss`) of the tokens' : `is ${shown(issuer)}; allowed: text`,
    );
  }
  if (value.subject === undefined && value.email === undefined) {
    walk.problem(at, 'names nobody: an issuer vouches for many, so give a subject or an email with it');
  }
  const subject = readTextTest(value.subject, 'subject', [...at, 'subject'], walk, compile);
  const email = readTextTest(value.email, 'email', [...at, 'email'], walk, compile);
  if (walk.problems.length > before) return undefined;
  return (caller) =>
    caller.kind === 'id-token' &&
    caller.issuer === issuer &&
    (subject === undefined || (caller.subject !== undefined && subject(caller.subject))) &&
    (email === undefined || (caller.email !== undefined && email(caller.email)));
}

/** A certificate of the authorities of `clientCa`, by one of its names. A SPIFFE ID in it proves nothing: it is no SVID. */
function byCertificate(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
  compile: PatternTest,
): AccessCaller['matches'] | undefined {
  if (typeof value === 'string' && value.toLowerCase().startsWith('spiffe:')) {
    return walk.problem(at, 'is a SPIFFE ID: name the caller by spiffeId, which asks for an X.509-SVID');
  }
  if (value === undefined || value === null) return walk.problem(at, `is empty; allowed: ${TEXT_RULE_ALLOWED}`);
  const test = readTextTest(value, 'name', at, walk, compile);
  return (
    test && (({ kind, names }) => kind === 'certificate' && names.some((name) => isPlainName(name) && test(name.value)))
  );
}

function isPlainName(name: Caller['names'][number]): boolean {
  return isSignerName(name) && !name.value.toLowerCase().startsWith('spiffe:');
}

/** The key of a certificate. */
function byFingerprint(value: unknown, at: SettingPath, walk: SettingsWalk): AccessCaller['matches'] | undefined {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return (caller) => caller.fingerprint === value;
  return walk.problem(at, `is ${shown(value)}; allowed: SHA-256 of the SubjectPublicKeyInfo, 64 lower-case hex digits`);
}

/** Undefined where the value is missing, or wrong and reported. */
export function readTextTest(
  value: unknown,
  what: string,
  at: SettingPath,
  walk: SettingsWalk,
  compile: PatternTest,
): Test | undefined {
  if (value === undefined) return undefined;
  const rule = textRule(value);
  if (rule === undefined) return walk.problem(at, `is ${shown(value)}; allowed: ${TEXT_RULE_ALLOWED}`);
  if (typeof rule === 'string') return (text) => text === rule;
  return attempt(() => compile(rule.pattern, what), at, walk);
}

function textRule(value: unknown): TextRule | undefined {
  if (typeof value === 'string') return value !== '' && value.length <= MAX_CALLER_TEXT ? value : undefined;
  if (!isMapping(value) || Object.keys(value).length !== 1 || typeof value.pattern !== 'string') return undefined;
  return { pattern: value.pattern };
}

function attempt<T>(make: () => T, at: SettingPath, walk: SettingsWalk): T | undefined {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    return walk.problem(at, `cannot be used: ${error.message}`);
  }
}
