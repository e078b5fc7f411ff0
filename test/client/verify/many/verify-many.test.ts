import { describe, expect, it } from 'vitest';
import { makeBundles } from '../../../../bench/load/verify-inputs.ts';
import { verifyMany } from '../../../../client/verify/many/verify-many.ts';
import { parseBundle, parseTrustPolicy, verifyBundle } from '../../../../client/verify.ts';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { parseSpki } from '../../../../merkle/rekor/spki.ts';
import { nodePrimitives } from '../../../../merkle/runtime/crypto/node-primitives.ts';

const COUNT = 70;
const { inputs, policy } = await makeBundles(COUNT, 20);
const requests = inputs.map(({ bundle, digest, spki }) => ({ bundle, artifact: { sha256: digest }, key: spki }));
const trust = { policy: encodeUtf8(policy), threads: 2 };

async function all(given: typeof requests, options: Parameters<typeof verifyMany>[1] = trust) {
  const results = [];
  for await (const result of verifyMany(given, options)) results.push(result);
  return results;
}

describe('verifying many bundles', () => {
  it('gives of each what verifying it alone gives, in order', async () => {
    const results = await all(requests);
    const alone = requests.map(({ bundle, artifact, key }) =>
      verifyBundle(
        { bundle: parseBundle(bundle), artifact, key: parseSpki(key), policy: parseTrustPolicy(trust.policy) },
        nodePrimitives(),
      ),
    );
    expect(results).toEqual(alone.map((outcome) => ({ ok: true, outcome })));
    expect(alone[0]!.entries[0]!.cosigned).toHaveLength(2);
  });

  it('refuses those that do not hold, and no others', async () => {
    const changed = requests.map((request, i) =>
      i % 7 === 3 ? { ...request, artifact: { sha256: new Uint8Array(32) } } : request,
    );
    changed[0] = { ...changed[0]!, bundle: encodeUtf8('{') };
    const proofs = requests.map(({ bundle }) => parseBundle(bundle).entries[0]!.proof!.hashes);
    const results = await all(changed);
    expect(results).toHaveLength(COUNT);
    for (const [i, result] of results.entries()) {
      const expected = i === 0 ? 'malformed' : i % 7 === 3 ? 'digest-mismatch' : 'ok';
      expect([i, result.ok ? 'ok' : result.code]).toEqual([i, expected]);
      // Each of the others still has its own proof.
      if (result.ok) expect(result.outcome.entries[0]!.tree!.hashes).toEqual(proofs[i]);
    }
  });

  it('demands the claim of each', async () => {
    const some = requests.slice(0, 3);
    for (const claim of [{ predicateType: 'https://example.com/v1' }, { subject: 'app' }]) {
      const results = await all(some, { ...trust, ...claim });
      expect(results.map((result) => !result.ok && result.code)).toEqual(some.map(() => 'attestation'));
    }
  });

  it('holds thresholds and the clock for each', async () => {
    const [request] = requests;
    const codes = async (more: object) =>
      (await all([request!], { ...trust, ...more })).map((result) => (result.ok ? 'ok' : result.code));
    expect(await codes({ requireLogs: 1 })).toEqual(['ok']);
    expect(await codes({ requireLogs: 2 })).toEqual(['bad-proof']);
    expect(await codes({ requireTimestamps: 1 })).toEqual(['usage']);
    expect(await codes({ requireSct: true })).toEqual(['usage']);
    expect(await codes({ now: 0 })).toEqual(['future-time']);
  });

  it('tells what is wrong with the trust before it begins, and ends when it is told to', async () => {
    await expect(all(requests, { policy: encodeUtf8('nonsense\n') })).rejects.toMatchObject({ code: 'policy' });
    await expect(all(requests, { ...trust, logKey: 'none' })).rejects.toMatchObject({ code: 'log-key' });
    await expect(all(requests, { ...trust, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' });
    expect(await all([])).toEqual([]);
  });
});
