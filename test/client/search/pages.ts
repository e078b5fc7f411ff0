/** Pages of an index as an honest one makes them, over a log in memory with known signers; a test then changes them. */
import { createHash } from 'node:crypto';
import type { SearchHit, SearchPage, SearchQuery, SearchTerm } from '../../../client/search/types.ts';
import { inclusionProof } from '../../../merkle/proof.ts';
import { nodeSha256 } from '../../merkle/helpers.ts';
import { FakeLog, View } from '../../support/fake-log.ts';
import { fulcioCertificate, hashedRekord, madeUpKey } from '../../support/fulcio.ts';

export const ISSUER = 'https://accounts.example.com';
export const NAME = 'release@example.com';

/** Every third entry is by NAME, the others by keys. */
export function signedLog(size = 30, origin = 'log.test'): FakeLog {
  const entries = Array.from({ length: size }, (_, i) =>
    i % 3 === 0
      ? hashedRekord(
          { certificate: fulcioCertificate({ names: [NAME], issuer: ISSUER, seed: String(i) }) },
          `artifact ${i}`,
        )
      : hashedRekord({ key: madeUpKey(`key ${i}`) }, `artifact ${i}`),
  );
  return new FakeLog(new View(entries), origin);
}

export function digestOf(i: number): string {
  return `sha256:${createHash('sha256').update(`artifact ${i}`).digest('hex')}`;
}

export function hitOf(log: FakeLog, index: number, size = log.size): SearchHit {
  const { tree, entries } = log.view;
  return { index, body: entries[index]!, proof: inclusionProof(index, size, tree.read, nodeSha256) };
}

export function pageOf(log: FakeLog, indexes: readonly number[], more: Partial<SearchPage> = {}): SearchPage {
  const { size, view } = log;
  return {
    log: log.origin,
    size,
    root: view.tree.roots[size]!,
    checkpoint: log.sign(log.text(), log.cosignatures),
    hits: indexes.map((index) => hitOf(log, index)),
    ...more,
  };
}

export function queryOf(log: FakeLog, terms: readonly SearchTerm[], more: Partial<SearchQuery> = {}): SearchQuery {
  return { log: log.origin, terms, limit: 100, ...more };
}

export const BY_NAME: SearchTerm = { kind: 'identity', match: 'exact', value: NAME };
