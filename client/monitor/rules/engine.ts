/**
 * Compares entries with all rules at once. The engine is pure and synchronous. It runs in the workers, and for few entries
 * on the main thread.
 *
 * An index holds each alternative of each rule under its rarest condition (digest, key, identity, extension or issuer).
 * Exact values are in maps. The patterns of a field are in one RE2 set, which finds all matches in one pass over the text.
 * The engine compares only the alternatives that the index finds, so 100 rules cost hardly more than one.
 */
import { RE2Set } from 're2js';
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { isSignerName } from '../../../merkle/x509/signer-names.ts';
import type { EntrySigner, ReadEntry } from './entry-reader.ts';
import type { Trust } from './issuer-trust.ts';
import { requiredLiteral, textMatcher } from './text.ts';
import type { Rule, RuleCondition, TextMatch } from './types.ts';

/** One rule that alerts about an entry. */
export interface Hit {
  /** Index of the rule. */
  readonly rule: number;
  readonly kind: 'match' | 'unexpected' | 'unreadable';
  /** Indexes of the signers that the rule alerts about; empty if no signer could be read. */
  readonly signers: readonly number[];
}

/** Most texts whose result is cached: entries repeat issuers, repositories and workflows. */
const KEPT = 4096;
const MAX_KEPT_LENGTH = 512;
/** Memory of the automaton, in bytes. When it is full, RE2 drops states and computes them again. */
const MAX_MEMORY = 4 * 1024 * 1024;

type Check = (entry: ReadEntry, signer: EntrySigner | undefined) => boolean;

interface Alternative {
  readonly rule: number;
  readonly holds: Check;
}

/** Texts that occur in the bytes of every entry that matches an alternative. One character per byte. */
interface RawLook {
  readonly rule: number;
  readonly texts: readonly string[];
}

export class RuleEngine {
  readonly #rules: readonly Rule[];
  readonly #expected: readonly (readonly Check[] | undefined)[];
  readonly #digests = new Map<string, Alternative[]>();
  readonly #keys = new Map<string, Alternative[]>();
  readonly #identities = new TextIndex<Alternative>();
  readonly #issuers = new TextIndex<Alternative>();
  readonly #extensions = new Map<string, TextIndex<Alternative>>();
  readonly #raw: RawLook[] = [];

  /**
   * @param trust the authorities that must have issued an expected certificate: see `mustBeIssued`. Without them, the engine
   *   trusts the texts of a certificate.
   * @throws ClientError `usage` for an invalid pattern. The reader of the configuration refuses such patterns earlier.
   */
  constructor(rules: readonly Rule[], trust?: Trust) {
    this.#rules = rules;
    this.#expected = rules.map((rule) => rule.expect?.map((condition) => expectedCheck(condition, trust)));
    for (const [rule, { watch }] of rules.entries()) {
      for (const condition of watch) {
        this.#file({ rule, holds: conditionCheck(condition, 'some') }, condition);
        const texts = rawTexts(condition);
        if (texts.length > 0) this.#raw.push({ rule, texts });
      }
    }
    for (const index of [this.#identities, this.#issuers, ...this.#extensions.values()]) index.compile();
  }

  /** The rules that alert about this entry of the log `origin`, in order and each once. */
  match(entry: ReadEntry, origin: string): Hit[] {
    const hits = new Map<number, Hit>();
    const [first] = entry.signers;
    if (this.#digests.size > 0) {
      for (const digest of entry.digests) {
        for (const alternative of this.#digests.get(digest) ?? NO_ALTERNATIVES) {
          if (first === undefined) this.#found(alternative, entry, -1, origin, hits);
          for (const at of entry.signers.keys()) this.#found(alternative, entry, at, origin, hits);
        }
      }
    }
    for (const [at, signer] of entry.signers.entries()) {
      if (this.#keys.size > 0) {
        for (const found of this.#keys.get(signer.key) ?? NO_ALTERNATIVES) this.#found(found, entry, at, origin, hits);
      }
      for (const { value } of signer.names) {
        for (const found of this.#identities.find(value)) this.#found(found, entry, at, origin, hits);
      }
      if (signer.issuer !== undefined) {
        for (const found of this.#issuers.find(signer.issuer)) this.#found(found, entry, at, origin, hits);
      }
      for (const [name, index] of this.#extensions) {
        const value = signer.extensions.get(name);
        if (value === undefined) continue;
        for (const found of index.find(value)) this.#found(found, entry, at, origin, hits);
      }
    }
    if (entry.problem !== undefined) this.#look(entry, origin, hits);
    return hits.size < 2 ? [...hits.values()] : [...hits.values()].sort((a, b) => a.rule - b.rule);
  }

  #file(alternative: Alternative, { digest, key, identity, issuer, extensions = {} }: RuleCondition): void {
    const byName = Object.entries(extensions);
    const [extension] = [...byName.filter(([, match]) => typeof match === 'string'), ...byName];
    if (digest !== undefined) push(this.#digests, digest, alternative);
    else if (key !== undefined) push(this.#keys, key, alternative);
    else if (typeof identity === 'string') this.#identities.add(identity, alternative);
    else if (extension !== undefined && (typeof extension[1] === 'string' || identity === undefined)) {
      const [name, match] = extension;
      const index = this.#extensions.get(name) ?? new TextIndex<Alternative>();
      this.#extensions.set(name, index);
      index.add(match, alternative);
    } else if (identity !== undefined) this.#identities.add(identity, alternative);
    else if (issuer !== undefined) this.#issuers.add(issuer, alternative);
  }

  #found({ rule, holds }: Alternative, entry: ReadEntry, at: number, origin: string, hits: Map<number, Hit>): void {
    const { signers = [] } = hits.get(rule) ?? {};
    if (signers.includes(at) || !this.#applies(rule, origin)) return;
    const signer = entry.signers[at];
    if (!holds(entry, signer)) return;
    const expected = this.#expected[rule];
    if (expected !== undefined && isExpected(expected, entry, signer)) return;
    const kind = expected === undefined ? 'match' : 'unexpected';
    hits.set(rule, { rule, kind, signers: at < 0 ? signers : [...signers, at] });
  }

  /** Searches an entry that could not be read in full for the texts that rules watch. */
  #look(entry: ReadEntry, origin: string, hits: Map<number, Hit>): void {
    if (this.#raw.length === 0) return;
    const raw = entry.raw.map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'));
    for (const { rule, texts } of this.#raw) {
      if (hits.has(rule) || !this.#applies(rule, origin)) continue;
      if (texts.every((text) => raw.some((bytes) => bytes.includes(text)))) {
        hits.set(rule, { rule, kind: 'unreadable', signers: [] });
      }
    }
  }

  #applies(rule: number, origin: string): boolean {
    const { logs } = this.#rules[rule]!;
    return logs === undefined || logs.includes(origin);
  }
}

const NO_ALTERNATIVES: readonly Alternative[] = [];
const NO_PATTERNS: readonly number[] = [];

function isExpected(expected: readonly Check[], entry: ReadEntry, signer: EntrySigner | undefined): boolean {
  // A signer that cannot be read is never expected.
  return signer !== undefined && expected.some((holds) => holds(entry, signer));
}

/** The check of the chain comes last, because it takes the longest. */
function expectedCheck(condition: RuleCondition, trust: Trust | undefined): Check {
  const says = conditionCheck(condition, 'every');
  if (trust === undefined || !mustBeIssued(condition)) return says;
  const claims = claimsMore(condition);
  return (entry, signer) =>
    says(entry, signer) && signer?.certificate !== undefined && trust.doubt(signer.certificate, claims) === undefined;
}

/** Whether a condition depends on more of a certificate than its names. */
export function claimsMore({ issuer, extensions }: RuleCondition): boolean {
  return issuer !== undefined || extensions !== undefined;
}

/** Whether a condition depends only on texts of a certificate. A condition on the key identifies the signer by itself. */
export function mustBeIssued({ identity, issuer, extensions, key }: RuleCondition): boolean {
  return key === undefined && (identity !== undefined || issuer !== undefined || extensions !== undefined);
}

/**
 * @param names `some` for `watch`: one matching name of the certificate is enough. `every` for `expect`: a certificate with
 *   an expected name and an unexpected one is not expected, and neither is a name of a kind that identifies no signer
 */
function conditionCheck(condition: RuleCondition, names: 'some' | 'every'): Check {
  const { identity, issuer, extensions = {}, key, digest } = condition;
  const isIdentity = identity === undefined ? undefined : textMatcher(identity);
  const isIssuer = issuer === undefined ? undefined : textMatcher(issuer);
  const byName = Object.entries(extensions).map(([name, match]) => ({ name, is: textMatcher(match) }));
  return (entry, signer) => {
    if (digest !== undefined && !entry.digests.includes(digest)) return false;
    if (key !== undefined && signer?.key !== key) return false;
    if (isIdentity !== undefined) {
      const values = signer?.names ?? [];
      const holds = (name: AlternativeName) => (names === 'some' || isSignerName(name)) && isIdentity(name.value);
      if (values.length === 0 || !values[names](holds)) return false;
    }
    if (isIssuer !== undefined && (signer?.issuer === undefined || !isIssuer(signer.issuer))) return false;
    return byName.every(({ name, is }) => {
      const value = signer?.extensions.get(name);
      return value !== undefined && is(value);
    });
  };
}

/** The texts of a condition to search for: names and digests, but not the issuer, which half of the entries share. */
function rawTexts({ identity, extensions = {}, digest }: RuleCondition): string[] {
  const texts = [identity, ...Object.values(extensions)].flatMap((match) => {
    const text = match === undefined ? '' : literalOf(match);
    // Shorter texts occur in too many entries.
    return text.length < MIN_RAW ? [] : [Buffer.from(text, 'utf8').toString('latin1')];
  });
  if (digest !== undefined) texts.push(Buffer.from(digest, 'hex').toString('base64'));
  return texts;
}

const MIN_RAW = 6;

function literalOf(match: TextMatch): string {
  return typeof match === 'string' ? match : requiredLiteral(match.pattern);
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Finds the values of the texts and patterns that match a text. */
class TextIndex<T> {
  readonly #exact = new Map<string, T[]>();
  readonly #patterns: string[] = [];
  readonly #values: T[] = [];
  #set: PatternSet | undefined;

  add(match: TextMatch, value: T): void {
    if (typeof match === 'string') {
      push(this.#exact, match, value);
      return;
    }
    this.#patterns.push(match.pattern);
    this.#values.push(value);
  }

  compile(): void {
    if (this.#patterns.length > 0) this.#set = new PatternSet(this.#patterns);
  }

  find(text: string): readonly T[] {
    const exact = this.#exact.get(text);
    const matched = this.#set?.match(text);
    if (matched === undefined || matched.length === 0) return exact ?? [];
    return [...(exact ?? []), ...matched.map((at) => this.#values[at]!)];
  }
}

/** Matches many RE2 patterns against a text in one pass. */
export class PatternSet {
  readonly #set = new RE2Set(RE2Set.ANCHOR_BOTH, 0, MAX_MEMORY);
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #kept = new Map<string, readonly number[]>();

  /** @param patterns accepted by `compilePattern` */
  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) this.#set.add(pattern);
    this.#set.compile();
  }

  /** Indexes of the patterns that match the whole of `text`. */
  match(text: string): readonly number[] {
    const kept = this.#kept.get(text);
    if (kept !== undefined) {
      this.#kept.delete(text);
      this.#kept.set(text, kept);
      return kept;
    }
    const found = this.#set.match(text);
    const result = found.length === 0 ? NO_PATTERNS : found;
    if (text.length <= MAX_KEPT_LENGTH) {
      if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value!);
      this.#kept.set(text, result);
    }
    return result;
  }
}
