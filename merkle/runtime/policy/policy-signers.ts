/** Reads the signers of a decision policy: keys, and identities in certificates. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { encodeHex } from '../../bytes.ts';
import { MerkleError } from '../../errors.ts';
import { parsePem, pemBytes } from '../../pem.ts';
import { FULCIO_EXTENSIONS } from '../../x509/fulcio.ts';
import {
  compileExact,
  compileSvidRule,
  compileWith,
  hasPattern,
  type IdentityRule,
  type IdentityTest,
  type TextRule,
} from '../../x509/identity-rule.ts';
import { nearest } from '../config/nearest.ts';
import { readTextFile, type SettingPath } from '../config/settings-file.ts';
import { isMapping, type SettingsWalk, shown } from '../config/settings-walk.ts';
import { readPublicKey } from '../crypto/public-key.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { parseSshPublicKey } from './git/ssh-public-key.ts';
import { formOf } from './policy-file.ts';
import { MAX_SIGNERS, SIGNERS_ALLOWED } from './policy-schema.ts';
import { NAME, NAME_ALLOWED } from './policy-values.ts';
import type { PolicySigner } from './types.ts';

const MAX_KEY_FILE = 64 * 1024;
const MAX_TEXT = 1024;
const MAX_EXTENSIONS = 32;
const TEXT_ALLOWED = 'text, or { pattern: RE2 } that must match the whole text';

/** Each way to name a signer, and the members that may stand beside each other. */
const FORMS: Readonly<Record<string, readonly string[]>> = {
  key: ['key'],
  keyFile: ['keyFile'],
  fingerprint: ['fingerprint'],
  ssh: ['ssh'],
  identity: ['identity', 'issuer', 'anyIssuer', 'extensions'],
  spiffeId: ['spiffeId'],
};

type SignerKey = { readonly fingerprint: string; readonly spki?: Uint8Array };
type SignerIdentity = { readonly rule: IdentityRule } | { readonly identity: IdentityTest };
/** A signer as the file has it. Patterns in a rule are not compiled yet. */
export type NamedSigner = { readonly name: string } & (SignerKey | SignerIdentity);

/** The text of a file that a `keyFile` names: an absolute path, and the name for messages. @throws RuntimeError `file` */
export type ReadKeyFile = (path: string, name: string) => string;

export const readKeyText: ReadKeyFile = (path, name) => readTextFile(path, name, MAX_KEY_FILE);

/** Reads the signers, in the order of the file, without those that are wrong. */
export function readSigners(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
  readFile: ReadKeyFile,
): NamedSigner[] | undefined {
  const entries = isMapping(value) ? Object.entries(value) : [];
  if (entries.length === 0 || entries.length > MAX_SIGNERS) return walk.problem(at, `must be ${SIGNERS_ALLOWED}`);
  const holders = new Map<string, string>();
  return entries.flatMap(([name, signer]) => {
    const place = [...at, name];
    if (!NAME.test(name)) {
      walk.problem(place, `is not ${NAME_ALLOWED}`);
      return [];
    }
    const read = readSigner(signer, place, walk, readFile);
    if (read === undefined) return [];
    if ('fingerprint' in read) {
      const other = holders.get(read.fingerprint);
      // A rule could count one holder as two.
      if (other !== undefined) walk.problem(place, `has the key of the signer "${other}": name a signer once`);
      holders.set(read.fingerprint, name);
    }
    return [{ name, ...read }];
  });
}

function readSigner(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
  readFile: ReadKeyFile,
): SignerKey | SignerIdentity | undefined {
  const named = formOf(value, FORMS, at, walk, 'signer');
  if (named === undefined) return undefined;
  const { form: name, members } = named;
  if (name === 'identity') return readIdentity(members, at, walk);
  const text = members[name];
  if (typeof text !== 'string') return walk.problem([...at, name], `is ${shown(text)}; allowed: text`);
  try {
    if (name === 'spiffeId') return { identity: compileSvidRule(text) };
    return readKey(name, text, (path) => readFile(resolve(walk.base, path), path));
  } catch (error) {
    if (!(error instanceof RuntimeError || error instanceof MerkleError)) throw error;
    return walk.problem([...at, name], `cannot be used: ${error.message}`);
  }
}

/** @throws RuntimeError `key-format`, `file`; MerkleError `bad-pem`, `bad-key`, `unsupported` */
function readKey(form: string, text: string, readFile: (path: string) => string): SignerKey {
  switch (form) {
    case 'fingerprint':
      if (/^[0-9a-f]{64}$/.test(text)) return { fingerprint: text };
      throw notAKey('a fingerprint is SHA-256 of the SubjectPublicKeyInfo, 64 lower-case hex digits');
    case 'ssh':
      return ofSsh(text);
    case 'keyFile':
      return ofPem(readFile(text));
    default:
      return ofPem(text);
  }
}

function ofPem(text: string): SignerKey {
  const blocks = parsePem(text);
  const [block] = blocks;
  // What a private key says must not come to a terminal.
  if (block === undefined || blocks.length > 1 || block.label !== 'PUBLIC KEY') {
    throw notAKey('a key is one PEM block "PUBLIC KEY"');
  }
  return ofSpki(pemBytes(block));
}

/** A key in a security key signs no bundle: it counts by its fingerprint alone. */
function ofSsh(line: string): SignerKey {
  const { fingerprint, key, application } = parseSshPublicKey(line);
  return application === undefined ? { fingerprint, spki: key.spki } : { fingerprint };
}

function ofSpki(spki: Uint8Array): SignerKey {
  const { spki: own } = readPublicKey(Uint8Array.from(spki));
  return { fingerprint: encodeHex(createHash('sha256').update(own).digest()), spki: own };
}

function readIdentity(
  value: Readonly<Record<string, unknown>>,
  at: SettingPath,
  walk: SettingsWalk,
): { rule: IdentityRule } | undefined {
  const before = walk.problems.length;
  const identity = readText(value.identity, [...at, 'identity'], walk);
  const issuer = readText(value.issuer, [...at, 'issuer'], walk);
  const extensions = readExtensions(value.extensions, [...at, 'extensions'], walk);
  if (identity === undefined && extensions === undefined && walk.problems.length === before) {
    walk.problem(at, 'names nobody: an issuer vouches for many people, so give an identity or extensions with it');
  }
  if (Object.hasOwn(value, 'anyIssuer') && value.anyIssuer !== true) {
    walk.problem([...at, 'anyIssuer'], `is ${shown(value.anyIssuer)}; allowed: true`);
  }
  if (issuer === undefined && value.anyIssuer === undefined && walk.problems.length === before) {
    walk.problem(
      at,
      'names no issuer, so that every identity provider of every authority could vouch for it: give issuer, or anyIssuer: true where your authorities write none',
    );
  }
  if (issuer !== undefined && value.anyIssuer !== undefined) {
    walk.problem([...at, 'anyIssuer'], 'stands beside an issuer: keep one of them');
  }
  if (walk.problems.length > before) return undefined;
  return {
    rule: {
      ...(identity === undefined ? {} : { identity }),
      ...(issuer === undefined ? {} : { issuer }),
      ...(extensions === undefined ? {} : { extensions }),
    },
  };
}

function readText(value: unknown, at: SettingPath, walk: SettingsWalk): TextRule | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '' && value.length <= MAX_TEXT) return value;
  if (isMapping(value) && Object.keys(value).length === 1 && typeof value.pattern === 'string') {
    return { pattern: value.pattern };
  }
  return walk.problem(at, `is ${shown(value)}; allowed: ${TEXT_ALLOWED}`);
}

function readExtensions(value: unknown, at: SettingPath, walk: SettingsWalk): Record<string, string> | undefined {
  if (value === undefined) return undefined;
  const entries = isMapping(value) ? Object.entries(value) : [];
  if (entries.length === 0 || entries.length > MAX_EXTENSIONS) {
    return walk.problem(at, `must be a mapping from 1 to ${MAX_EXTENSIONS} names or OIDs to text`);
  }
  for (const [name, text] of entries) {
    if (!Object.hasOwn(FULCIO_EXTENSIONS, name) && !/^[0-9]+(\.[0-9]+)+$/.test(name)) {
      const best = nearest(name, Object.keys(FULCIO_EXTENSIONS));
      const hint = best === undefined ? '' : `; did you mean "${best}"?`;
      walk.problem([...at, name], `is neither an extension of Fulcio's nor an OID${hint}`);
    }
    if (typeof text !== 'string' || text === '' || text.length > MAX_TEXT) {
      walk.problem([...at, name], `is ${shown(text)}; allowed: text`);
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

/** The signers as rules use them. Loads the engine for patterns only where there is a pattern: loading it is slow. */
export async function compileSigners(
  signers: readonly NamedSigner[],
  at: SettingPath,
  walk: SettingsWalk,
): Promise<PolicySigner[]> {
  const patterns = signers.some((one) => 'rule' in one && hasPattern(one.rule))
    ? (await import('../../x509/identity-pattern.ts')).compilePattern
    : undefined;
  return signers.flatMap((one): PolicySigner[] => {
    if (!('rule' in one)) return [one];
    try {
      const { name, rule } = one;
      return [{ name, identity: patterns === undefined ? compileExact(rule) : compileWith(rule, patterns) }];
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      walk.problem([...at, one.name], `cannot be used: ${error.message}`);
      return [];
    }
  });
}

function notAKey(message: string): RuntimeError {
  return new RuntimeError('key-format', message);
}
