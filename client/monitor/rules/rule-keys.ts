/** The keys of an index by which the entries of rules are found, where a scan of the log is not needed. */
import { type IndexKey, issuerIdentity } from '../../../merkle/index/keys.ts';
import { FULCIO_EXTENSIONS } from '../../../merkle/x509/fulcio.ts';
import type { Rule, RuleCondition } from './types.ts';

const DIGESTS: Readonly<Record<number, string>> = { 64: 'sha256', 96: 'sha384', 128: 'sha512' };

/**
 * Entries that could not be read in full: rules search them for the texts that they watch, so a monitor that does not scan the log
 * has to look at each of them.
 */
const UNREAD: readonly IndexKey[] = [
  { kind: 'kind', value: 'unreadable' },
  { kind: 'kind', value: 'opaque' },
];

const ISSUERS = ['issuer', 'issuerV1', FULCIO_EXTENSIONS.issuer, FULCIO_EXTENSIONS.issuerV1];

/** A key that every readable entry has which the condition holds for; undefined where there is none, and it takes a scan. */
export function keyOfCondition({
  digest,
  key,
  identity,
  issuer,
  extensions = {},
}: RuleCondition): IndexKey | undefined {
  if (digest !== undefined) return { kind: 'digest', value: `${DIGESTS[digest.length]}:${digest}` };
  if (key !== undefined) return { kind: 'key', value: key };
  if (typeof identity === 'string') {
    if (typeof issuer === 'string') return { kind: 'issuer-identity', value: issuerIdentity(issuer, identity) };
    return { kind: 'identity', value: identity };
  }
  for (const [name, match] of Object.entries(extensions)) {
    if (typeof match !== 'string') continue;
    // The issuer is found by itself, from whichever of its two extensions it comes.
    if (ISSUERS.includes(name)) return { kind: 'issuer', value: match };
    const oid = Object.hasOwn(FULCIO_EXTENSIONS, name) ? FULCIO_EXTENSIONS[name] : name;
    return { kind: 'extension', value: `${oid}=${match}` };
  }
  return typeof issuer === 'string' ? { kind: 'issuer', value: issuer } : undefined;
}

/** All keys that the rules for a log need, each once. */
export function keysOfRules(rules: readonly Rule[], log: string): readonly IndexKey[] {
  const keys = new Map<string, IndexKey>();
  for (const { watch, logs } of rules) {
    if (logs !== undefined && !logs.includes(log)) continue;
    for (const condition of watch) {
      const key = keyOfCondition(condition);
      if (key !== undefined) keys.set(`${key.kind} ${key.value}`, key);
    }
  }
  for (const key of UNREAD) keys.set(`${key.kind} ${key.value}`, key);
  return [...keys.values()];
}
