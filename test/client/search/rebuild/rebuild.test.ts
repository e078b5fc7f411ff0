import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FollowedLog } from '../../../../client/follow/types.ts';
import { Rebuild } from '../../../../client/search/rebuild/map-rebuild.ts';
import { readLeaf } from '../../../../client/search/rebuild/read-leaf.ts';
import { RebuildStore } from '../../../../client/search/rebuild/rebuild-store.ts';
import { openRebuiltMap } from '../../../../client/search/rebuild/rebuilt-map.ts';
import { decodeBase64 } from '../../../../merkle/bytes.ts';
import { verifyInclusion } from '../../../../merkle/proof.ts';
import { leafHash } from '../../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';
import { FakeLog, View } from '../../../support/fake-log.ts';
import { hashedRekord, madeUpKey } from '../../../support/fulcio.ts';
import { IndexOperator, nameOf } from '../../../support/index-operator.ts';
import { later, tempDir } from '../../../support/log-files.ts';
import { CheckpointKey, quorumPolicy } from '../../../support/signed-index.ts';

const entry = (i: number, seed = 'key') => hashedRekord({ key: madeUpKey(`${seed} ${i % 5}`) }, `artifact ${i}`);
const entries = (count: number, from = 0, seed = 'key') =>
  Array.from({ length: count }, (_, i) => entry(from + i, seed));
const signal = new AbortController().signal;

function made(count: number): IndexOperator {
  return new IndexOperator(new FakeLog(new View(entries(count)), 'input.test'));
}

const followed = (log: FakeLog): FollowedLog => ({ origin: log.origin, keys: [log.key], location: log.origin });

async function rebuilding({ input, output }: IndexOperator, dir = tempDir()) {
  const store = await RebuildStore.open(dir, followed(output));
  const map = await openRebuiltMap(join(dir, 'map'), followed(input), 0);
  const rebuild = new Rebuild({
    input: followed(input),
    output: followed(output),
    map,
    store,
    open: (location) => (location === input.origin ? input : output).source(),
    settings: { partialMs: 0, parallel: 2, chunkBytes: 1024 * 1024 },
  });
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= (async () => {
      await rebuild.close();
      await map.close();
      await store.close();
    })();
    return closed;
  };
  later(close);
  await rebuild.load();
  return { rebuild, store, dir, close };
}

function grow(operator: IndexOperator, count: number): void {
  operator.input.view.grow(entries(count, operator.input.size));
  operator.input.size = operator.input.view.entries.length;
}

describe('a rebuild', () => {
  it('agrees with an honest index at every leaf, whatever the sizes', async () => {
    const operator = made(0);
    operator.publish();
    for (const count of [1, 1, 253, 1, 1, 300, 700]) {
      grow(operator, count);
      operator.publish();
    }
    operator.publish();
    const { rebuild, store } = await rebuilding(operator);
    expect(await rebuild.round(signal)).toBeUndefined();
    expect(rebuild.status).toMatchObject({ verified: 9, leaves: 9, inputSize: 1257 });
    expect(Buffer.from((await store.rootAt(9))!)).toEqual(Buffer.from(operator.output.view.tree.roots[9]!));
    grow(operator, 3);
    operator.publish();
    expect(await rebuild.round(signal)).toBeUndefined();
    expect(rebuild.status).toMatchObject({ verified: 10, inputSize: 1260 });
  });

  it('waits for an input log that does not show as much yet', async () => {
    const operator = made(40);
    operator.publish();
    operator.input.size = 30;
    const { rebuild } = await rebuilding(operator);
    expect(await rebuild.round(signal)).toBeUndefined();
    expect(rebuild.status).toMatchObject({
      verified: 0,
      waiting: 'leaf 0 is over 40 entries, and the input log shows 30',
    });
    operator.input.size = 40;
    await rebuild.round(signal);
    expect(rebuild.status).toMatchObject({ verified: 1, inputSize: 40 });
    expect(rebuild.status.waiting).toBeUndefined();
  });

  it('goes on where it was, also where the map has come further than the verdicts', async () => {
    const operator = made(30);
    operator.publish();
    const first = await rebuilding(operator);
    await first.rebuild.round(signal);
    grow(operator, 300);
    operator.publish();
    // The map grows, and the verdict is lost as in a crash.
    first.store.verify = () => Promise.reject(new Error('killed'));
    await expect(first.rebuild.round(signal)).rejects.toThrow('killed');
    await first.close();
    const again = await rebuilding(operator, first.dir);
    expect(again.rebuild.status).toMatchObject({ verified: 1, leaves: 2 });
    await again.rebuild.round(signal);
    expect(again.rebuild.status).toMatchObject({ verified: 2, inputSize: 330 });
  });
});

const key = { kind: 'key', value: 'x' } as const;
const drop = (at: number) => (postings: Map<string, { indexes: number[] }>) => {
  const many = [...postings.values()].find(({ indexes }) => indexes.length > 2)!;
  many.indexes.splice(at, 1);
};

describe('a leaf that is wrong', () => {
  it.each([
    ['a posting is left out', 'root', { change: drop(1) }],
    [
      'a posting is moved',
      'root',
      {
        change: (postings) => {
          const many = [...postings.values()].find(({ indexes }) => indexes.length === 4)!;
          many.indexes[0]!--;
        },
      },
    ],
    [
      'a key is added',
      'root',
      { change: (postings) => void postings.set(nameOf(key), { key: new Uint8Array(32), indexes: [0] }) },
    ],
    ['a key is left out', 'root', { change: (postings) => void postings.delete(postings.keys().next().value!) }],
    ['the number of keys is another', 'keys', { keys: 1000 }],
  ] as [string, string, Parameters<IndexOperator['leaf']>[1]][])('%s', async (_, claim, lie) => {
    const operator = made(20);
    operator.publish();
    grow(operator, 3);
    operator.publish(operator.leaf(23, lie));
    operator.publish();
    const { rebuild, dir } = await rebuilding(operator);
    const wrong = await rebuild.round(signal);
    expect(wrong).toMatchObject({ index: 1, claim, inputSize: 23 });
    expect(wrong?.expected).not.toBe(wrong?.found);
    expect(rebuild.status.verified).toBe(1);
    expect(rebuild.status.halted).toContain('leaf 1 of "output.test" is wrong');
    const [file] = await readdir(join(dir, 'evidence'));
    const evidence = JSON.parse(await readFile(join(dir, 'evidence', file!), 'utf8')) as Record<string, string> & {
      proof: string[];
    };
    expect(evidence).toMatchObject({
      log: 'output.test',
      index: 1,
      claim,
      expected: wrong!.expected,
      found: wrong!.found,
    });
    const size = operator.output.size;
    const hashes = evidence.proof.map((hash) => decodeBase64(hash));
    const leaf = leafHash(decodeBase64(evidence.leaf!), fastSha256);
    verifyInclusion(
      { index: 1, size, leafHash: leaf, root: operator.output.view.tree.roots[size]!, hashes },
      fastSha256,
    );
    expect(evidence.checkpoint).toBe(operator.output.sign(operator.output.text()));
  });

  it.each([
    ['of another format', 'format', () => new TextEncoder().encode('stele-index@v2\nAAAA\n')],
    ['by somebody else', 'format', () => entry(1)],
    [
      'over another log',
      'origin',
      (operator: IndexOperator) => {
        const other = new FakeLog(new View(entries(20)), 'other.test');
        return operator.leaf(20, { inputCheckpoint: other.sign(other.text()) });
      },
    ],
    [
      'over a checkpoint that the log did not sign',
      'signature',
      (operator: IndexOperator) => {
        const forger = new FakeLog(new View(entries(20)), 'input.test');
        return operator.leaf(20, { inputCheckpoint: forger.sign(forger.text()) });
      },
    ],
    ['over a smaller tree than the one before', 'size', (operator: IndexOperator) => operator.leaf(10)],
    [
      'over another tree of the size before',
      'input',
      (operator: IndexOperator) => {
        const text = operator.input.textOf(20, new Uint8Array(32).fill(3));
        return operator.leaf(20, { inputCheckpoint: operator.input.sign(text) });
      },
    ],
    [
      'over a tree that the log signed beside the one that it shows',
      'input',
      (operator: IndexOperator) => {
        const fork = new View(entries(22, 0, 'fork'));
        return operator.leaf(22, { inputCheckpoint: operator.input.sign(operator.input.text(22, fork)) });
      },
    ],
  ] as [string, string, (operator: IndexOperator) => Uint8Array][])('%s', async (_, claim, leaf) => {
    const operator = made(20);
    operator.publish();
    grow(operator, 5);
    operator.publish(leaf(operator));
    const { rebuild, close, dir } = await rebuilding(operator);
    expect(await rebuild.round(signal)).toMatchObject({ index: 1, claim });
    await close();
    // The verdict stays, also once the operator publishes what is right.
    operator.publish();
    const again = await rebuilding(operator, dir);
    expect(again.rebuild.status.halted).toContain('leaf 1');
    expect(await again.rebuild.round(signal)).toBeUndefined();
    expect(again.rebuild.status.verified).toBe(1);
  });

  it('is the first one, and nothing behind it is looked at', async () => {
    const operator = made(20);
    operator.publish(operator.leaf(20, { keys: 999 }));
    operator.publish(operator.leaf(20, { keys: 998 }));
    const { rebuild } = await rebuilding(operator);
    expect(await rebuild.round(signal)).toMatchObject({ index: 0, found: '999' });
  });
});

describe('an output log', () => {
  it('that is new, and shows no checkpoint before its first leaf, is no fault', async () => {
    const operator = made(20);
    const { output } = operator;
    const about = JSON.stringify({ status: 'open', size: 0, verifierKeys: [output.vkey] });
    let isNew = true;
    output.serve = (path, bytes) => {
      if (isNew && path === 'stele/v1/log') return new TextEncoder().encode(about);
      return isNew && path === 'checkpoint' ? undefined : bytes;
    };
    const { rebuild } = await rebuilding(operator);
    expect(await rebuild.round(signal)).toBeUndefined();
    expect(rebuild.status).toMatchObject({ verified: 0, leaves: 0 });
    isNew = false;
    operator.publish();
    await rebuild.round(signal);
    expect(rebuild.status.verified).toBe(1);
    // One that has shown leaves is not new, whatever it says.
    isNew = true;
    await expect(rebuild.round(signal)).rejects.toMatchObject({ code: 'missing' });
  });

  it('with a leaf whose input checkpoint lacks the quorum of the rebuilder is wrong', async () => {
    const operator = made(20);
    const policy = quorumPolicy([new CheckpointKey('witness.example.com', 'cosigner')], 'all');
    const input = { ...followed(operator.input), policy };
    expect(() => readLeaf(0, operator.leaf(), input, { size: 0 })).toThrow('quorum');
    expect(readLeaf(0, operator.leaf(), followed(operator.input), { size: 0 }).keys).toBeGreaterThan(20);
  });

  it('that forks halts the rebuild for good', async () => {
    const operator = made(20);
    operator.publish();
    const { rebuild } = await rebuilding(operator);
    await rebuild.round(signal);
    operator.output.show([operator.leaf(19)]);
    await expect(rebuild.round(signal)).rejects.toThrow('two trees');
    expect(rebuild.status.halted).toContain('output.test');
  });

  it('that goes back is not followed, and goes on once it is there again', async () => {
    const operator = made(20);
    operator.publish();
    grow(operator, 2);
    operator.publish();
    const { rebuild } = await rebuilding(operator);
    await rebuild.round(signal);
    operator.output.size = 1;
    await expect(rebuild.round(signal)).rejects.toMatchObject({ code: 'stale' });
    operator.output.size = 2;
    expect(await rebuild.round(signal)).toBeUndefined();
    expect(rebuild.status.halted).toBeUndefined();
  });
});
