/** Cases of proofs as they are published, and such of our own. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeBase64 } from '../../merkle/bytes.ts';
import { verifyConsistency, verifyInclusion } from '../../merkle/proof.ts';
import { vectorFolder } from '../support/vectors.ts';
import { codeOf } from './helpers.ts';
import { type ConsistencyCase, consistencyCases, type InclusionCase, inclusionCases } from './proof-cases.ts';

function* published<T>(folder: 'inclusion' | 'consistency'): Generator<[string, T]> {
  const path = vectorFolder(`merkle/${folder}`);
  if (path === undefined) return;
  for (const file of readdirSync(path, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.json')) yield [file, JSON.parse(readFileSync(join(path, file), 'utf8')) as T];
  }
}

const sources = vectorFolder('merkle') === undefined ? ['our own'] : ['our own', 'published'];

describe.each(sources)('proofs: %s', (source) => {
  const own = source === 'our own';

  it('inclusion', () => {
    const cases = [...(own ? inclusionCases() : published<InclusionCase>('inclusion'))];
    expect(cases.length).toBeGreaterThanOrEqual(98);
    for (const [name, c] of cases) {
      const run = () =>
        verifyInclusion({
          index: c.leafIdx,
          size: c.treeSize,
          leafHash: decodeBase64(c.leafHash),
          root: decodeBase64(c.root),
          hashes: (c.proof ?? []).map(decodeBase64),
        });
      expect(codeOf(run), name).toBe(c.wantErr ? 'bad-proof' : undefined);
    }
  });

  it('consistency', () => {
    const cases = [...(own ? consistencyCases() : published<ConsistencyCase>('consistency'))];
    expect(cases.length).toBeGreaterThanOrEqual(98);
    for (const [name, c] of cases) {
      const run = () =>
        verifyConsistency({
          first: c.size1,
          second: c.size2,
          firstRoot: decodeBase64(c.root1),
          secondRoot: decodeBase64(c.root2),
          hashes: (c.proof ?? []).map(decodeBase64),
        });
      expect(codeOf(run), name).toBe(c.wantErr ? 'bad-proof' : undefined);
    }
  });
});
