/**
 * A plain index against a scan of all entries: random queries of each kind of key, by each match in turn, paged through, while the
 * log grows. `npm run test:long` takes a million entries and 1,000 queries of each match over all kinds; `npm test` takes fewer.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openPlainIndex, type PlainIndex } from '../../../../client/search/index/open-plain-index.ts';
import type { SearchOrder, SearchTerm } from '../../../../client/search/types.ts';
import { equal } from '../../../../merkle/bytes.ts';
import { extractKeys } from '../../../../merkle/index/extract.ts';
import { KEY_KINDS, type KeyKind } from '../../../../merkle/index/keys.ts';
import { verifyInclusion } from '../../../../merkle/proof.ts';
import { leafHash } from '../../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';
import { fulcioCertificate, githubRun, hashedRekord } from '../../../support/fulcio.ts';
import { tempDir } from '../../../support/log-files.ts';
import { BigLog } from './big-log.ts';
import { entryOf, keyOf, NEVER, SETTINGS } from './index-bed.ts';

const LONG = process.env.TEST_LONG === '1';
const ENTRIES = LONG ? 1_000_000 : 20_000;
/** Of each kind of key. */
const QUERIES = LONG ? 450 : 24;
const STEPS = LONG ? 10 : 4;
/** Postings of keys: how many each of them has. */
const KNOWN: Readonly<Record<string, number>> = {
  never: 0,
  once: 1,
  twice: 2,
  'a row less one': 255,
  'a row': 256,
  many: ENTRIES / 10,
};
/** Hits of one query; the range of a query with more is made narrower. */
const MOST_HITS = 200;
/** Most queries with a beginning or a pattern ask for a range of so many entries: few hits in a million take long to find. */
const RANGE = 50_000;

/** Numbers that look random, and are the same each time. */
function randoms(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Who signs which entry: the known ones at places all over the log, others in between. */
function signers(): (string | undefined)[] {
  const random = randoms(7);
  const places: (string | undefined)[] = new Array(ENTRIES);
  for (const [name, count] of Object.entries(KNOWN)) {
    for (let left = count; left > 0; ) {
      const at = random(ENTRIES);
      // No entry with a certificate, nor one that is no entry.
      if (at % 20 < 2 || places[at] !== undefined) continue;
      places[at] = name;
      left--;
    }
  }
  return places;
}

const places = signers();
const ODD = ['\u202egnp.exe', 'a\u0000b', '<b>bold</b>', 'x'.repeat(10_000), 'é\u0301', '🂡'];

/** One of twenty has a certificate, one of twenty is something else. */
function bodyOf(index: number): Uint8Array {
  if (index % 20 === 0) {
    const run = githubRun(`org${index % 97}/repo${index % 1013}`, 'release.yml', `refs/tags/v${index % 7}.0`, index);
    const odd = index % 200 === 0 ? ODD[(index / 200) % ODD.length]! : undefined;
    const certificate = odd === undefined ? run : { ...run, names: [`${odd}@example.com`, 'second@example.com'] };
    return hashedRekord({ certificate: fulcioCertificate(certificate) }, `artifact ${index}`);
  }
  if (index % 20 === 1) {
    return Buffer.from(index % 3 === 0 ? `no entry ${index}` : `{"kind":"other ${index % 5}","n":${index}}`);
  }
  return entryOf(`artifact ${index % (ENTRIES - 500)}`, places[index] ?? `signer ${index % 3000}`);
}

/** Every value of a kind, and the entries that have it, ascending. */
interface Column {
  readonly values: string[];
  readonly numbers: Map<string, number>;
  readonly entries: number[][];
}

class Scan {
  readonly columns = new Map<KeyKind, Column>(
    KEY_KINDS.map((kind) => [kind, { values: [], numbers: new Map(), entries: [] }]),
  );
  size = 0;

  growTo(size: number): void {
    for (; this.size < size; this.size++) {
      for (const { kind, value } of extractKeys(bodyOf(this.size), fastSha256)) {
        const { values, numbers, entries } = this.columns.get(kind)!;
        let number = numbers.get(value);
        if (number === undefined) {
          number = values.push(value) - 1;
          numbers.set(value, number);
          entries.push([]);
        }
        entries[number]!.push(this.size);
      }
    }
  }

  /** The entries with a value for which `holds`, ascending: each value is compared. */
  find(kind: KeyKind, holds: (value: string) => boolean): number[] {
    const { values, entries } = this.columns.get(kind)!;
    const found = new Set<number>();
    for (const [number, value] of values.entries()) {
      if (holds(value)) for (const entry of entries[number]!) found.add(entry);
    }
    return [...found].sort((a, b) => a - b);
  }
}

const MATCHES = ['exact', 'prefix', 're2'] as const;

const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** A term that some entries may have, and the same as a function of JavaScript. */
function randomTerm(kind: KeyKind, match: SearchTerm['match'], column: Column, random: (below: number) => number) {
  const value = column.values[random(column.values.length)] ?? 'nothing';
  const cut = (text: string, length: number) => [...text].slice(0, length).join('');
  if (match === 'exact') {
    const wanted = random(10) === 0 ? `${value}?` : value;
    return { term: { kind, match, value: wanted }, holds: (text: string) => text === wanted };
  }
  if (match === 'prefix') {
    const wanted = cut(value, 1 + random(Math.min(90, value.length))) || value;
    return { term: { kind, match, value: wanted }, holds: (text: string) => text.startsWith(wanted) };
  }
  const part = literal(cut(value.slice(random(Math.max(1, value.length - 12))).toWellFormed(), 1 + random(12)));
  const forms = [part, `^${literal(cut(value, 12))}`, `${part}.*[a-e]`, `[0-9]${part}`, `${part}$`, `(?:${part}|zz)`];
  const pattern = forms[random(forms.length)]!;
  return { term: { kind, match, value: pattern }, holds: (text: string) => new RegExp(pattern, 'u').test(text) };
}

describe('a plain index', () => {
  it(`finds what a scan of ${ENTRIES} entries finds`, async () => {
    const log = new BigLog(bodyOf);
    const scan = new Scan();
    const index = await openPlainIndex({
      dir: join(await tempDir(), 'index'),
      logs: [log.followed],
      settings: SETTINGS,
      open: () => log.source(),
      read: () => Promise.reject(new Error('no configuration of shards')),
      threads: LONG ? 2 : 0,
    });
    try {
      const random = randoms(11);
      let queries = 0;
      for (let step = 1; step <= STEPS; step++) {
        const size = step === STEPS ? ENTRIES : Math.floor((step * ENTRIES) / STEPS) - random(300);
        log.growTo(Math.max(size, log.size));
        scan.growTo(log.size);
        await index.once(NEVER);
        for (const kind of KEY_KINDS) {
          for (let i = 0; i < Math.ceil(QUERIES / STEPS); i++) {
            const first = randomTerm(kind, MATCHES[i % 3]!, scan.columns.get(kind)!, random);
            let found = scan.find(kind, first.holds);
            queries++;
            const terms: SearchTerm[] = [first.term];
            if (random(3) === 0) {
              const other = KEY_KINDS[random(KEY_KINDS.length)]!;
              const second = randomTerm(other, MATCHES[random(3)]!, scan.columns.get(other)!, random);
              const also = new Set(scan.find(other, second.holds));
              found = found.filter((at) => also.has(at));
              terms.push(second.term);
            }
            await compare(index, log, terms, found, random, MOST_HITS, async () => {
              if (random(20) > 0 || log.size + 300 > ENTRIES) return;
              log.growTo(log.size + 1 + random(300));
              await index.once(NEVER);
            });
            scan.growTo(log.size);
          }
        }
      }
      for (const [name, count] of Object.entries(KNOWN)) {
        const terms: SearchTerm[] = [{ kind: 'key', match: 'exact', value: keyOf(name) }];
        const found = scan.find('key', (value) => value === keyOf(name));
        expect(found).toHaveLength(count);
        await compare(index, log, terms, found, random, Number.POSITIVE_INFINITY);
      }
      console.log(`${queries} queries and ${Object.keys(KNOWN).length} known keys over ${ENTRIES} entries`);
    } finally {
      await index.close();
    }
  }, 3_600_000);
});

/** Asks for the hits in a range, page by page, and checks each. The log grows between the pages of some queries. */
async function compare(
  index: PlainIndex,
  log: BigLog,
  terms: readonly SearchTerm[],
  found: readonly number[],
  random: (below: number) => number,
  most = MOST_HITS,
  between = async () => {},
): Promise<void> {
  const { size } = log;
  const order: SearchOrder = random(2) === 0 ? 'ascending' : 'descending';
  const isBroad = terms.every(({ match }) => match !== 'exact') && random(20) > 0;
  let range = isBroad && size > RANGE ? rangeAt(random(size - RANGE)) : undefined;
  let wanted = range === undefined ? found : found.filter((index) => index >= range!.from && index < range!.to);
  if (wanted.length > most) {
    const at = random(wanted.length - most);
    wanted = wanted.slice(at, at + most);
    range = { from: wanted[0]!, to: wanted.at(-1)! + 1 };
  }
  const query = { log: log.origin, terms, ...range, order, limit: most > MOST_HITS ? 1000 : 1 + random(100) };
  const hits: number[] = [];
  let page: string | undefined;
  do {
    const answer = await index.search({ ...query, ...(page !== undefined && { page }) }, NEVER);
    expect(answer.size).toBe(size);
    expect(equal(answer.root, log.root(answer.size))).toBe(true);
    for (const { index: hit, body, proof } of answer.hits) {
      if (!equal(body, bodyOf(hit))) throw new Error(`entry ${hit} has another body`);
      const claim = { index: hit, size: answer.size, leafHash: leafHash(body, fastSha256), root: answer.root };
      verifyInclusion({ ...claim, hashes: [...proof] }, fastSha256);
      hits.push(hit);
    }
    page = answer.next;
    if (page !== undefined) await between();
  } while (page !== undefined);
  const sorted = order === 'ascending' ? wanted : wanted.toReversed();
  if (hits.length !== sorted.length || hits.some((hit, i) => hit !== sorted[i])) {
    expect({ query, hits }).toEqual({ query, hits: sorted });
  }
}

function rangeAt(from: number): { readonly from: number; readonly to: number } {
  return { from, to: from + RANGE };
}
