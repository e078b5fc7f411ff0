/**
 * Rules over the artifacts of a step (in-toto-spec.md section 4.3.3), as in-toto-golang 0.11 applies them.
 *
 * The names of all artifacts are in a queue. A rule consumes names of the queue, and REQUIRE and DISALLOW look at what is left:
 *
 *   CREATE, DELETE, MODIFY, ALLOW <pattern>    what the step created, deleted, changed, or all
 *   DISALLOW <pattern>                         nothing in the queue may match
 *   REQUIRE <name>                             must be in the queue; the name is no pattern and is compared as it is written
 *   MATCH <pattern> [IN <prefix>] WITH MATERIALS|PRODUCTS [IN <prefix>] FROM <step>
 *                                              what the other step has too, with an equal set of hashes
 */
import { posix } from 'node:path';
import { printable } from '../../../printable.ts';
import { type MatchBudget, NamePattern } from './name-pattern.ts';
import type { Artifacts, LayoutReason } from './types.ts';

type ConsumingWord = 'create' | 'delete' | 'modify' | 'allow' | 'disallow';
const CONSUMING: readonly string[] = ['create', 'delete', 'modify', 'allow', 'disallow'] satisfies ConsumingWord[];

interface MatchRule {
  readonly word: 'match';
  readonly pattern: NamePattern;
  /** End in a slash, or are empty. */
  readonly sourcePrefix: string;
  readonly destinationPrefix: string;
  readonly destination: 'materials' | 'products';
  readonly step: string;
}

export type ArtifactRule = { readonly text: string } & (
  | { readonly word: ConsumingWord; readonly pattern: NamePattern }
  | { readonly word: 'require'; readonly name: string }
  | MatchRule
);

/** The artifacts of a step. A MATCH rule of any step cleans the names for all later rules, as in-toto-golang does. */
export interface StepArtifacts {
  readonly materials: Map<string, Readonly<Record<string, string>>>;
  readonly products: Map<string, Readonly<Record<string, string>>>;
}

/** Reads one rule; undefined where it has none of the forms above. Its words may be in lower case. */
export function parseRule(words: readonly string[]): ArtifactRule | undefined {
  const lower = words.map((word) => word.toLowerCase());
  const text = printable(words.join(' ').slice(0, 200));
  const [word = '', second] = [lower[0], words[1]];
  if (second === undefined) return undefined;
  if (words.length === 2 && word === 'require') return { text, word, name: second };
  if (words.length === 2 && CONSUMING.includes(word)) {
    return { text, word: word as ConsumingWord, pattern: new NamePattern(cleanName(second)) };
  }
  if (word !== 'match') return undefined;
  let at = 2;
  const after = (expected: string): string | undefined => {
    if (lower[at] !== expected || at + 1 >= words.length) return undefined;
    at += 2;
    return words[at - 1];
  };
  const sourcePrefix = after('in') ?? '';
  const destination = after('with')?.toLowerCase();
  const destinationPrefix = after('in') ?? '';
  const step = after('from');
  if (step === undefined || at !== words.length) return undefined;
  if (destination !== 'materials' && destination !== 'products') return undefined;
  return {
    text,
    word,
    // An empty pattern stays empty here, and matches an empty name alone.
    pattern: new NamePattern(second === '' ? '' : cleanName(second)),
    sourcePrefix: prefix(sourcePrefix),
    destinationPrefix: prefix(destinationPrefix),
    destination,
    step,
  };
}

/** A name without `.`, `..` and doubled slashes where they can be left out: Go's `path.Clean`. */
export function cleanName(name: string): string {
  const clean = posix.normalize(name);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}

/**
 * Applies the rules to the materials or the products of a step.
 *
 * @param steps the artifacts of every step that has them, by its name
 * @returns the first rule that does not hold, or nothing
 * @throws TooMuchMatching
 */
export function applyRules(
  rules: readonly ArtifactRule[],
  kind: 'materials' | 'products',
  own: StepArtifacts,
  steps: ReadonlyMap<string, StepArtifacts>,
  budget: MatchBudget,
): LayoutReason | undefined {
  let queue = cleaned(own[kind]);
  const [materials, products] = [cleaned(own.materials), cleaned(own.products)];
  const consumable: Record<Exclude<ConsumingWord, 'disallow'>, (name: string) => boolean> = {
    allow: () => true,
    create: (name) => products.has(name) && !materials.has(name),
    delete: (name) => materials.has(name) && !products.has(name),
    modify: (() => {
      // Before any MATCH cleans the names: an artifact that both sides write as ./name is not seen as modified.
      const modified = new Set(
        [...materials].filter(
          (name) => products.has(name) && !sameHashes(own.materials.get(name), own.products.get(name)),
        ),
      );
      return (name: string) => modified.has(name);
    })(),
  };
  for (const rule of rules) {
    if (rule.word === 'require') {
      if (!queue.has(rule.name))
        return failed('require', kind, rule, `${shown([rule.name])} is not left; there is ${shown(queue)}`);
      continue;
    }
    if (rule.word === 'match') {
      const consumed = matched(rule, own[kind], queue, steps, budget);
      queue = new Set([...queue].filter((name) => !consumed.has(name)));
      continue;
    }
    const fitting = [...queue].filter((name) => rule.pattern.matches(name, budget));
    if (rule.word === 'disallow') {
      if (fitting.length > 0) return failed('disallow', kind, rule, `no earlier rule consumed ${shown(fitting)}`);
      continue;
    }
    const consumed = new Set(fitting.filter(consumable[rule.word]));
    queue = new Set([...queue].filter((name) => !consumed.has(name)));
  }
  return undefined;
}

function matched(
  rule: MatchRule,
  source: StepArtifacts['materials'],
  queue: ReadonlySet<string>,
  steps: ReadonlyMap<string, StepArtifacts>,
  budget: MatchBudget,
): Set<string> {
  const consumed = new Set<string>();
  const destination = steps.get(rule.step)?.[rule.destination];
  if (destination === undefined) return consumed;
  cleanNames(source);
  cleanNames(destination);
  for (const name of queue) {
    const base = name.startsWith(rule.sourcePrefix) ? name.slice(rule.sourcePrefix.length) : name;
    if (!rule.pattern.matches(base, budget)) continue;
    const hashes = destination.get(cleanName(`${rule.destinationPrefix}${base}`));
    if (hashes !== undefined && sameHashes(source.get(name), hashes)) consumed.add(name);
  }
  return consumed;
}

/** Whether two artifacts have the same hashes in the same algorithms. */
function sameHashes(
  one: Readonly<Record<string, string>> | undefined,
  other: Readonly<Record<string, string>> | undefined,
): boolean {
  if (one === undefined || other === undefined) return one === other;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

/** Whether two links name the same artifacts. */
export function sameArtifacts(one: Artifacts, other: Artifacts): boolean {
  return one.size === other.size && [...one].every(([name, hashes]) => sameHashes(hashes, other.get(name)));
}

function cleaned(artifacts: Artifacts): Set<string> {
  return new Set(Array.from(artifacts.keys(), cleanName));
}

function cleanNames(artifacts: StepArtifacts['materials']): void {
  for (const [name, hashes] of [...artifacts]) {
    const clean = cleanName(name);
    if (clean === name) continue;
    artifacts.delete(name);
    artifacts.set(clean, hashes);
  }
}

function prefix(given: string): string {
  if (given === '') return '';
  const clean = cleanName(given);
  return clean.endsWith('/') ? clean : `${clean}/`;
}

function failed(code: 'disallow' | 'require', kind: string, { text }: ArtifactRule, why: string): LayoutReason {
  return { code, message: `${kind}: rule "${text}": ${why}` };
}

const MAX_SHOWN = 10;

function shown(names: Iterable<string>): string {
  const all = [...names].sort();
  const some = all.slice(0, MAX_SHOWN).map((name) => `"${printable(name.slice(0, 200))}"`);
  if (all.length > MAX_SHOWN) some.push(`${all.length - MAX_SHOWN} more`);
  return some.length === 0 ? 'nothing' : some.join(', ');
}
