/** Decisions of a service, in threads and without. Run `npm run build` first. */
import { afterEach, describe, expect, it } from 'vitest';
import { openDecider } from '../../../client/policy/decider.ts';
import { type DecisionBasis, versionsOf } from '../../../client/policy/decision-basis.ts';
import { digestsOf, hex, text } from '../verify/verify-parts.ts';
import { ARTIFACT, attested, basisOf, FILE, NOW, POLICY, pieceOf, review, signed } from './decision-parts.ts';

const good = pieceOf('review.json', attested(review({ result: 'good' })));
const bad = pieceOf('bad.json', attested(review({ result: 'bad' })));
const signature = pieceOf('app.json', signed());

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function deciderOf(threads: number, read: () => Promise<DecisionBasis> = async () => basisOf()) {
  const decider = await openDecider({ read, threads, now: () => NOW });
  open.push(decider);
  return decider;
}

describe.each([0, 2])('a decider with %i threads', (threads) => {
  it('decides, also on many at once, each on its own evidence', async () => {
    const decider = await deciderOf(threads);
    const other = { name: 'app', digest: { sha256: hex(digestsOf(text('other')).sha256) } };
    const asked = Array.from({ length: 100 }, (_, i) =>
      i % 3 === 0
        ? decider.decide(ARTIFACT, [signature, good])
        : i % 3 === 1
          ? decider.decide(ARTIFACT, [signature, bad])
          : decider.decide(other, [signature, good]),
    );
    const decisions = await Promise.all(asked);
    expect(decisions.map(({ verdict }) => verdict)).toEqual(
      Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? 'allow' : 'deny')),
    );
    expect(decisions[0]).toMatchObject({ artifact: ARTIFACT, time: NOW, policy: { digest: decider.policyDigest } });
    expect(decisions[1]!.rules[1]!.evidence[0]!.reasons).toMatchObject([{ code: 'condition' }]);
    expect(decisions[2]!.refused.map(({ code }) => code)).toEqual(['digest-mismatch', 'digest-mismatch']);
  });

  it('decides by another policy once it has read one', async () => {
    let basis = basisOf();
    const decider = await deciderOf(threads, async () => basis);
    const before = decider.versions;
    await decider.reload();
    expect(decider.versions).toBe(before);
    expect((await decider.decide(ARTIFACT, [signature, bad])).verdict).toBe('deny');
    basis = basisOf(POLICY.replace("'good'", "'bad'"));
    const under = decider.decide(ARTIFACT, [signature, bad]);
    await decider.reload();
    expect((await under).policy.digest).toMatch(/^sha256:/);
    expect(decider.versions).not.toBe(before);
    const decision = await decider.decide(ARTIFACT, [signature, bad]);
    expect(decision).toMatchObject({ verdict: 'allow', policy: { digest: decider.policyDigest } });
  });

  it('reloads one at a time, and decides by the last that was read', async () => {
    let reads = 0;
    const under = { now: 0, most: 0 };
    const decider = await deciderOf(threads, async () => {
      under.most = Math.max(under.most, ++under.now);
      const basis = basisOf(`${POLICY}# ${reads++}\n`);
      await new Promise(setImmediate);
      under.now--;
      return basis;
    });
    await Promise.all([decider.reload(), decider.reload()]);
    expect([reads, under.most]).toEqual([3, 1]);
    expect(decider.versions).toBe(versionsOf(basisOf(`${POLICY}# 2\n`)));
    expect((await decider.decide(ARTIFACT, [signature, good])).policy.digest).toBe(decider.policyDigest);
    const last = decider.reload();
    await decider.close();
    await expect(last).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('denies once its trust is too old, until it has read a newer one', async () => {
    let basis: DecisionBasis = { ...basisOf(), usableUntil: NOW };
    const decider = await deciderOf(threads, async () => basis);
    const decided = (ahead: number) => decider.decide(ARTIFACT, [signature, good], undefined, ahead);
    expect((await decided(0)).verdict).toBe('allow');
    expect(await decided(1)).toMatchObject({ verdict: 'deny', rules: [], reasons: [{ code: 'trust' }] });
    basis = { ...basisOf(), usableUntil: NOW + 1 };
    await decider.reload();
    expect((await decided(1)).verdict).toBe('allow');
    expect((await decided(2)).verdict).toBe('deny');
  });

  it('keeps its policy where the next one is wrong', async () => {
    let basis = basisOf();
    const decider = await deciderOf(threads, async () => basis);
    basis = basisOf('version: 1');
    await expect(decider.reload()).rejects.toMatchObject({ code: 'decision-policy' });
    expect((await decider.decide(ARTIFACT, [signature, good])).verdict).toBe('allow');
  });

  it('rejects a call that is given up, or comes after its end', async () => {
    const decider = await deciderOf(threads);
    const stop = new AbortController();
    const under = decider.decide(ARTIFACT, [signature, good], stop.signal);
    stop.abort();
    await expect(under).rejects.toMatchObject({ code: 'cancelled' });
    await expect(decider.decide(ARTIFACT, [signature, good], stop.signal)).rejects.toMatchObject({ code: 'cancelled' });
    await decider.close();
    await expect(decider.decide(ARTIFACT, [signature, good])).rejects.toMatchObject({ code: 'unavailable' });
  });
});

it('a thread decides as the thread of the caller does, in every word', async () => {
  const [own, pooled] = [await deciderOf(0), await deciderOf(1)];
  const other = { name: 'app', digest: { sha256: hex(digestsOf(text('other')).sha256) } };
  for (const pieces of [[], [signature, good], [signature, bad, good], [pieceOf('text', text('x')), good]]) {
    for (const artifact of [ARTIFACT, other, { digest: ARTIFACT.digest }]) {
      expect(await pooled.decide(artifact, pieces)).toEqual(await own.decide(artifact, pieces));
    }
  }
});

describe('the versions of a decider', () => {
  const basis = basisOf();
  it.each<[string, Partial<DecisionBasis>]>([
    ['the policy', { policy: { ...basis.policy, bytes: text(`${POLICY}# changed\n`) } }],
    ['a file of a key', { keyFiles: { '/key.pem': 'x' } }],
    ['the quorum policy', { quorumPolicy: text('# more\n') }],
    ['the trusted root', { trustedRoot: text('{}') }],
    ['the key of the log', { logKey: 'log.example.com+1a2b3c4d+AbCd' }],
    ['a last checkpoint', { lastCheckpoints: [FILE] }],
    ['the end of the trust', { usableUntil: NOW }],
    ['what is asked of the evidence', { asked: { requireLogs: 2 } }],
  ])('change with %s', (_, change) => {
    expect(versionsOf({ ...basis, ...change })).not.toBe(versionsOf(basis));
    expect(versionsOf({ ...basis })).toBe(versionsOf(basis));
  });
});
