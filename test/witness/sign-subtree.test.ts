import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { verifySubtreeCosignature } from '../../merkle/cosignature.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { subtreeHash, subtreeProof } from '../../merkle/subtree.ts';
import { formatSignSubtree, originHash, parseCosignatures } from '../../merkle/witness.ts';
import { damaged } from '../merkle/helpers.ts';
import { makeWitness, TestLog } from './helpers.ts';

const log = new TestLog();

async function cosigned() {
  const witness = await makeWitness([log], { flags: { cosignatures: 'both' } });
  await witness.post(log.request(0, 14));
  const note = (await witness.get(`/${originHash(log.origin)}/checkpoint`)).body;
  const ask = (start: number, end: number, changes: object = {}) => {
    const hash = subtreeHash(start, end, log.tree.read);
    const proof = subtreeProof(start, end, 14, log.tree.read);
    return witness.post(
      formatSignSubtree({ start, end, hash, proof, note: encodeUtf8(note), ...changes }),
      '/sign-subtree',
    );
  };
  return { witness, note, ask };
}

describe('sign-subtree', () => {
  it('signs the subtrees of a checkpoint that the witness has cosigned', async () => {
    const { witness, ask } = await cosigned();
    const key = parseVerifierKey(witness.verifierKeys[1]!);
    for (const [start, end] of [
      [8, 13],
      [4, 8],
      [0, 14],
      [13, 14],
    ] as const) {
      const { status, body } = await ask(start, end);
      expect(status, body).toBe(200);
      const signatures = parseCosignatures(body);
      expect(signatures).toHaveLength(1);
      const subtree = { origin: log.origin, start, end, hash: subtreeHash(start, end, log.tree.read) };
      expect(verifySubtreeCosignature(key, subtree, signatures[0]!.signature, nodeNotePrimitives)).toEqual({
        timestamp: 0,
      });
    }
  });

  it('refuses as the specification says', async () => {
    const { witness, note, ask } = await cosigned();
    const hash = subtreeHash(8, 13, log.tree.read);
    const status = async (changes: object) => (await ask(8, 13, changes)).status;
    expect(await status({ start: 7 })).toBe(400);
    expect(await status({ start: 16, end: 17 })).toBe(400);
    expect(await status({ hash: hash.slice(1) })).toBe(400);
    expect((await witness.post(`subtree 08 13\n\n${note}`, '/sign-subtree')).status).toBe(400);
    expect((await witness.post('subtree 8 13\n\n', '/sign-subtree')).status).toBe(400);
    const bare = log.note(log.text(14));
    expect(await status({ note: encodeUtf8(bare) })).toBe(403);
    expect(await status({ note: encodeUtf8(note.replace('\n14\n', '\n15\n')) })).toBe(403);
    const stranger = new TestLog('other.test', log.tree);
    expect(await status({ note: encodeUtf8(stranger.note(stranger.text(14))) })).toBe(404);
    expect(await status({ hash: new Uint8Array(32) })).toBe(422);
    for (const proof of damaged(subtreeProof(8, 13, 14, log.tree.read))) expect(await status({ proof })).toBe(422);
  });

  it('leaves room for the logs: of many at once some are refused', async () => {
    const { witness, ask } = await cosigned();
    const asked = Array.from({ length: 40 }, () => ask(8, 13));
    const next = witness.post(log.request(14, 20));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(16);
    expect(statuses).toContain(503);
    expect((await next).status).toBe(200);
    expect((await ask(8, 13)).status).toBe(200);
  });

  it('is not there without an ML-DSA-44 key', async () => {
    const witness = await makeWitness([log]);
    expect((await witness.post('subtree 0 1\n', '/sign-subtree')).status).toBe(404);
  });
});
