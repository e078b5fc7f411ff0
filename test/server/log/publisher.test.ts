/** The pace of publications. Upper bounds are for the benchmark: a busy machine has none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { openDirStores } from '../../../server/dir/layout.ts';
import { Publisher } from '../../../server/log/publisher.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import { tempDir } from '../../support/log.ts';

/** A timer may fire a millisecond early. */
const EARLY_MS = 2;
const COSIGN_MS = 20;

it('rests after the witnesses were asked for many entries, for as long as that took', async () => {
  const dir = await tempDir();
  const tree = await CommittedTree.open(await openDirStores(dir.path), fastSha256);
  const signed: number[] = [];
  const published: number[] = [];
  const publisher = new Publisher(tree, {
    sign: async ({ size }) => {
      signed.push(performance.now());
      return `log.test\n${size}\n\n— log.test AAAAAAA=\n`;
    },
    cosign: async (note) => {
      await sleep(COSIGN_MS);
      return note;
    },
    timeoutMs: 10_000,
    onPublished: () => published.push(performance.now()),
    onProofError: (error) => expect.fail(String(error)),
    onError: (error) => expect.fail(String(error)),
  });
  for (const names of [['a', 'b'], ['c']]) {
    const bodies = names.map((name) => Buffer.from(name));
    const { filed } = await tree.append(bodies.map((body) => ({ body, leafHash: leafHash(body, fastSha256) })));
    await filed;
    publisher.request();
    await publisher.idle();
  }
  expect(publisher.size).toBe(3);
  expect(signed[1]! - published[0]!).toBeGreaterThanOrEqual(COSIGN_MS - EARLY_MS);
  await publisher.close();
  await tree.close();
  await dir.remove();
});
