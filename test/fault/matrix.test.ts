/**
 * Each write of the path fails once, in each way that it can: nothing stored, all stored but reported as failed, stored
 * in part. Afterwards every acknowledged entry is there, the whole tree is checked from its files, and the log goes on
 * without a restart.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { verifyConsistency, verifyInclusion } from '../../merkle/proof.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { FORMAT, writeIdentity } from '../../server/dir/identity.ts';
import { openDirStores } from '../../server/dir/layout.ts';
import type { Log } from '../../server/log/log.ts';
import { checkDir } from '../../server/tools/check.ts';
import type { LoggedEntry } from '../../server/types.ts';
import { FAULTS, Faults, faultyStores } from '../support/faulty.ts';
import { bodyOf, makeSigner, ORIGIN, openTestLog, sharedIngest, tempDir } from '../support/log.ts';

/** Entries in a step: more than a tile, so that each step writes tiles and bundles too. */
const STEP = 260;
/** Writes of a start and two steps: state, checkpoint, then commit, tiles and checkpoint a step; with some room. */
const WRITES = 12;

afterAll(() => sharedIngest().close());

describe.each(FAULTS)('a write that fails, %s', (fault) => {
  it.each(Array.from({ length: WRITES }, (_, i) => i + 1))('write %i', async (n) => {
    const dir = await tempDir();
    const signer = await makeSigner(dir.path);
    await writeIdentity(dir.path, { format: FORMAT, origin: ORIGIN, verifierKeys: signer.verifierKeys, copy: false });
    const faults = new Faults();
    faults.failAt(n, fault);
    const openStores = async () => faultyStores(await openDirStores(dir.path), faults);
    const open = () => openTestLog(dir.path, { openStores, signer, batch: { maxSize: 1024, maxAge: 2 } });

    // A start that fails is started again, as an operator would.
    const log = await open().catch(open);
    const acknowledged = new Map<string, LoggedEntry>();
    const checkpoints = [log.checkpoint];
    for (const step of ['a', 'b', 'c']) {
      await submitAll(log, step, acknowledged);
      checkpoints.push(log.checkpoint);
      // What failed comes again, as clients do; the log must have recovered by itself.
      await expect.poll(() => submitAll(log, step, acknowledged), { timeout: 10_000, interval: 20 }).toBe(STEP);
      checkpoints.push(log.checkpoint);
    }
    expect(faults.failed).toBe(n);
    expect(log.publishedSize).toBe(3 * STEP);
    for (const [name, entry] of acknowledged) {
      const [again] = await log.submit(bodyOf(name), 'json');
      expect(again).toMatchObject({ entry: { index: entry.index, duplicate: true } });
    }
    await expectConsistent(log, checkpoints);
    await log.close();

    const report = await checkDir(dir.path);
    expect(report).toMatchObject({ kind: 'data', size: 3 * STEP, publishedSize: 3 * STEP });
    await dir.remove();
  });
});

/** Submits the entries of a step at once; resolves with how many were acknowledged. */
async function submitAll(log: Log, step: string, acknowledged: Map<string, LoggedEntry>): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: STEP }, async (_, i) => {
      const name = `${step}${i}`;
      const [outcome] = await log.submit(bodyOf(name), 'json');
      if (outcome === undefined || 'error' in outcome) throw outcome?.error;
      const { entry } = outcome;
      const { treeSize, root, hashes } = entry.proof;
      verifyInclusion({ index: entry.index, size: treeSize, leafHash: leafHash(entry.body), root, hashes });
      const before = acknowledged.get(name);
      if (before !== undefined) expect(entry.index).toBe(before.index);
      acknowledged.set(name, entry);
    }),
  );
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'store-failed' });
  }
  return results.filter(({ status }) => status === 'fulfilled').length;
}

async function expectConsistent(log: Log, notes: readonly string[]): Promise<void> {
  const [present, ...earlier] = [log.checkpoint, ...notes].map((note) => parseCheckpoint(`${note.split('\n\n')[0]}\n`));
  for (const checkpoint of earlier) {
    const hashes = await log.consistencyProof(checkpoint.size, present!.size);
    const { size: first, root: firstRoot } = checkpoint;
    verifyConsistency({ first, second: present!.size, firstRoot, secondRoot: present!.root, hashes });
  }
}
