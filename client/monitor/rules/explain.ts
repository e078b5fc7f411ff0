/** Explains to people why a rule does or does not alert about an entry: each condition, and what the entry has for it. */
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { isSignerName, kindOfName } from '../../../merkle/x509/signer-names.ts';
import { claimsMore, mustBeIssued, RuleEngine } from './engine.ts';
import type { EntrySigner, ReadEntry } from './entry-reader.ts';
import type { Trust } from './issuer-trust.ts';
import { escaped, textMatcher } from './text.ts';
import type { Rule, RuleCondition, TextMatch } from './types.ts';

interface ExplainedCondition {
  /** `identity`, `extensions.sourceRepositoryURI` … */
  readonly field: string;
  readonly wanted: string;
  /** Escaped values of the entry; empty if the entry has no such field. */
  readonly got: readonly string[];
  readonly holds: boolean;
}

export interface ExplainedAlternative {
  readonly holds: boolean;
  readonly conditions: readonly ExplainedCondition[];
}

interface ExplainedSigner {
  readonly names: readonly string[];
  readonly issuer?: string;
  readonly key?: string;
  readonly watch: readonly ExplainedAlternative[];
  /** Only for a rule with `expect` whose `watch` holds. */
  readonly expect?: readonly ExplainedAlternative[];
}

export interface Explained {
  readonly rule: string;
  /** `expected`: watched, and as `expect` says. `none`: not watched. The other outcomes alert. */
  readonly outcome: 'match' | 'unexpected' | 'unreadable' | 'expected' | 'none';
  readonly kind: string;
  readonly digests: readonly string[];
  /** Why a part of the entry could not be read. */
  readonly problem?: string;
  readonly signers: readonly ExplainedSigner[];
}

const MAX_GOT = 20;

/** @param origin of the entry's log; if undefined, the rule's restriction to logs is ignored */
export function explain(rule: Rule, entry: ReadEntry, origin?: string, trust?: Trust): Explained {
  const { logs, ...everywhere } = rule;
  const applied: Rule = origin === undefined || logs === undefined ? everywhere : rule;
  const [hit] = new RuleEngine([applied], trust).match(entry, origin ?? '');
  // A rule can watch a digest in an entry without a readable signer.
  const signers = entry.signers.length > 0 ? entry.signers : [undefined];
  const explained = signers.map((signer) => explainSigner(rule, entry, signer, trust));
  const watched = explained.some(({ watch }) => watch.some(({ holds }) => holds));
  const applies = applied.logs === undefined || applied.logs.includes(origin ?? '');
  return {
    rule: rule.name,
    outcome: hit?.kind ?? (watched && applies ? 'expected' : 'none'),
    kind: escaped(entry.kind),
    digests: entry.digests,
    ...(entry.problem === undefined ? {} : { problem: escaped(entry.problem) }),
    signers: explained,
  };
}

function explainSigner(
  { watch, expect }: Rule,
  entry: ReadEntry,
  signer: EntrySigner | undefined,
  trust: Trust | undefined,
): ExplainedSigner {
  const watched = watch.map((condition) => explainCondition(condition, entry, signer, 'some'));
  const isWatched = watched.some(({ holds }) => holds);
  const { issuer, key } = signer ?? {};
  return {
    names: shown((signer?.names ?? []).map(({ value }) => value)),
    ...(issuer === undefined ? {} : { issuer: escaped(issuer) }),
    ...(key === undefined ? {} : { key }),
    watch: watched,
    ...(expect === undefined || !isWatched
      ? {}
      : { expect: expect.map((condition) => explainCondition(condition, entry, signer, 'every', trust)) }),
  };
}

function explainCondition(
  condition: RuleCondition,
  entry: ReadEntry,
  signer: EntrySigner | undefined,
  names: 'some' | 'every',
  trust?: Trust,
): ExplainedAlternative {
  const { identity, issuer, extensions = {}, key, digest } = condition;
  const conditions: ExplainedCondition[] = [];
  const text = (field: string, wanted: TextMatch | undefined, got: readonly string[]): void => {
    if (wanted === undefined) return;
    const holds = got.length > 0 && got[names](textMatcher(wanted));
    conditions.push({ field, wanted: wantedText(wanted), got: shown(got), holds });
  };
  if (identity !== undefined) {
    const all = signer?.names ?? [];
    const is = textMatcher(identity);
    const holds = all.length > 0 && all[names]((name) => (names === 'some' || isSignerName(name)) && is(name.value));
    const got = shownNames(all);
    conditions.push({ field: 'identity', wanted: wantedText(identity), got, holds });
  }
  text('issuer', issuer, listed(signer?.issuer));
  for (const [name, wanted] of Object.entries(extensions)) {
    text(`extensions.${name}`, wanted, listed(signer?.extensions.get(name)));
  }
  text('key', key, listed(signer?.key));
  if (digest !== undefined) {
    const holds = entry.digests.includes(digest);
    conditions.push({ field: 'digest', wanted: digest, got: entry.digests, holds });
  }
  if (trust !== undefined && mustBeIssued(condition) && signer?.certificate !== undefined) {
    const doubt = trust.doubt(signer.certificate, claimsMore(condition));
    const got = doubt === undefined ? 'one of theirs' : escaped(doubt);
    const wanted = 'issued by the authorities';
    conditions.push({ field: 'certificate', wanted, got: [got], holds: doubt === undefined });
  }
  return { holds: conditions.every(({ holds }) => holds), conditions };
}

function wantedText(match: TextMatch): string {
  return typeof match === 'string' ? escaped(match) : `pattern ${escaped(match.pattern)}`;
}

/** Names with their kinds: a name of another kind than the expected ones may look like one of them. */
function shownNames(names: readonly AlternativeName[]): string[] {
  return shown(names.map((name) => `${name.value} (${kindOfName(name)})`));
}

function listed(value: string | undefined): string[] {
  return value === undefined ? [] : [value];
}

function shown(values: readonly string[]): string[] {
  const more = values.length > MAX_GOT ? [`… and ${values.length - MAX_GOT} more`] : [];
  return [...values.slice(0, MAX_GOT).map(escaped), ...more];
}
