import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseEvidence, verifyEvidence } from '../../merkle/evidence.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { damaged } from '../merkle/helpers.ts';
import { body, makeWitness, TestLog, type TestWitness, treeOf } from './helpers.ts';

const log = new TestLog();
const fork = treeOf('fork', 64, 2);

async function found(witness: TestWitness) {
  const dir = join(witness.dir, 'evidence');
  const names = await readdir(dir).catch(() => []);
  const files = await Promise.all(names.map((name) => readFile(join(dir, name))));
  return files.map((file) => verifyEvidence(parseEvidence(file), nodeNotePrimitives));
}

async function counted(witness: TestWitness, name: string): Promise<number> {
  const text = await witness.metrics.registry.metrics();
  return Number(new RegExp(`^stele_witness_${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

describe('evidence is written', () => {
  it('of a log whose origin is not the name of its key', async () => {
    const apart = new TestLog('go.sum database tree', log.tree, 'sum.test');
    const witness = await makeWitness();
    await witness.logs.add(apart.vkey, { origin: apart.origin });
    await witness.post(apart.request(0, 9));
    expect((await witness.post(body(9, [], apart.note(apart.text(9, fork.roots[9]))))).status).toBe(422);
    expect(await found(witness)).toMatchObject([{ kind: 'two-roots', origin: apart.origin }]);
  });

  it('of one size with two roots, once, whatever the old size says', async () => {
    const witness = await makeWitness([log]);
    await witness.post(log.request(0, 9));
    const note = log.note(log.text(9, fork.roots[9]));
    expect((await witness.post(body(9, [], note))).status).toBe(422);
    expect((await witness.post(body(4, [], note))).status).toBe(409);
    const finds = await found(witness);
    expect(finds).toMatchObject([{ kind: 'two-roots', origin: 'log.test', firstSize: 9 }]);
    expect(await counted(witness, 'evidence_total')).toBe(2);
  });

  it('of a tree that another tree’s own proof leads to', async () => {
    const witness = await makeWitness([log]);
    await witness.post(log.request(0, 9));
    expect((await witness.post(log.request(9, 33, fork))).status).toBe(422);
    expect(await found(witness)).toMatchObject([{ kind: 'two-histories', firstSize: 9, secondSize: 33 }]);
  });

  it('without the signatures of others, and for a few finds only', async () => {
    const witness = await makeWitness([log], { flags: { 'limits-evidence': '2' } });
    await witness.post(log.request(0, 9));
    for (const size of [20, 21, 22, 23]) expect((await witness.post(log.request(9, size, fork))).status).toBe(422);
    expect(await found(witness)).toHaveLength(2);
    expect(await counted(witness, 'evidence_total')).toBe(4);
  });
});

describe('evidence is not written', () => {
  it('of a genuine checkpoint with garbage for a proof, which is counted', async () => {
    const witness = await makeWitness([log]);
    await witness.post(log.request(0, 9));
    const note = log.note(log.text(33));
    const bad = [...damaged(log.proof(9, 33)), [], log.proof(9, 33, fork), log.proof(10, 33)];
    for (const proof of bad) expect((await witness.post(body(9, proof, note))).status).toBe(422);
    expect(await found(witness)).toEqual([]);
    expect(await counted(witness, 'proof_failures_total')).toBe(bad.length);
    expect(await counted(witness, 'evidence_total')).toBe(0);
  });

  it('from a size that is a power of two, where the proof does not tell', async () => {
    const witness = await makeWitness([log]);
    await witness.post(log.request(0, 8));
    expect((await witness.post(log.request(8, 33, fork))).status).toBe(422);
    expect(await found(witness)).toEqual([]);
  });

  it('of what another key has signed', async () => {
    const witness = await makeWitness([log]);
    await witness.post(log.request(0, 9));
    const liar = new TestLog('log.test', fork);
    expect((await witness.post(liar.request(9, 9))).status).toBe(403);
    expect(await found(witness)).toEqual([]);
  });
});
