import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { verifySubtreeCosignature } from '../../merkle/cosignature.ts';
import { formatSignature, parseNote, parseSignatures, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { subtreeHash, subtreeProof } from '../../merkle/subtree.ts';
import { formatSignSubtree, originHash, parseCosignatures } from '../../merkle/witness.ts';
import { damaged } from '../merkle/helpers.ts';
import { makeWitness, TestLog } from './helpers.ts';

const log = new TestLog();

async function cosigned(flags: Record<string, string> = {}) {
  const witness = await makeWitness([log], { flags: { cosignatures: 'both', ...flags } });
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
  const own = parseNote(note).signatures.slice(1).map(formatSignature);
  return { witness, note, ask, own };
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

  it('takes a line that is repeated as one, and counts the others before it verifies any', async () => {
    const { note, ask, own } = await cosigned();
    const again = encodeUtf8(note + own[1]!.repeat(20));
    expect((await ask(8, 13, { note: again })).status).toBe(200);
    // Two lines of each of the two keys are verified, and not one of five.
    const wrong = (i: number) => {
      const { name, keyId, signature } = parseSignatures(own[1]!)[0]!;
      return formatSignature({
        name,
        keyId,
        signature: Uint8Array.from(signature, (byte, at) => (at === 99 ? i : byte)),
      });
    };
    const some = encodeUtf8(note + wrong(1) + wrong(2));
    expect((await ask(8, 13, { note: some })).status).toBe(403);
    const many = encodeUtf8(note + wrong(1) + wrong(2) + wrong(3));
    expect(await ask(8, 13, { note: many })).toMatchObject({
      status: 400,
      body: expect.stringContaining('more than 4 times'),
    });
  });

  it('leaves room for the logs: of many at once some are refused', async () => {
    const { witness, ask } = await cosigned({ 'limits-subtrees': '64' });
    const asked = Array.from({ length: 40 }, () => ask(8, 13));
    const next = witness.post(log.request(14, 20));
    const first = await Promise.race([next.then(() => 'checkpoint'), Promise.all(asked).then(() => 'subtrees')]);
    expect(first).toBe('checkpoint');
    expect((await next).status).toBe(200);
    const answers = await Promise.all(asked);
    // One runs, and a quarter of the room may be one client's.
    expect(answers.filter(({ status }) => status === 200).length).toBe(17);
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBe(23);
    for (const { retry } of refused) expect(retry).toBe('1');
    expect((await ask(8, 13)).status).toBe(200);
  });

  it('has a limit of its own for each address', async () => {
    const { witness, ask } = await cosigned({ 'rate-limit-subtrees-per-address': '2' });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask(8, 13)).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect((await witness.post(log.request(14, 20))).status).toBe(200);
  });

  it('is not there without an ML-DSA-44 key', async () => {
    const witness = await makeWitness([log]);
    expect((await witness.post('subtree 0 1\n', '/sign-subtree')).status).toBe(404);
  });
});
