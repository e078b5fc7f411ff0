/** Proofs of a log whose key has ended: what was logged before stays verifiable, and what the key signs later is refused. */
import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../../client/formats/bundle.ts';
import { parseLastCheckpoint } from '../../../client/trust/last-checkpoint.ts';
import { CheckpointMemory } from '../../../client/verify/checkpoint-memory.ts';
import {
  type BundleRequest,
  parseTrustedRoot,
  parseTrustPolicy,
  verifyBundle,
  verifyTlogProof,
} from '../../../client/verify.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { formatTlogProof } from '../../../merkle/tlog-proof.ts';
import { FakeLog } from '../../support/fake-log.ts';
import {
  code,
  digestsOf,
  messageBundle,
  policyOf,
  rootJson,
  testKey,
  testWitness,
  text,
  witnessed,
} from './verify-parts.ts';

const END = '2026-06-01T00:00:00Z';
const FROZEN = Date.parse(END) / 1000;
const NOW = Date.parse('2026-08-01T00:00:00Z');

const key = testKey();
const file = text('a release');
const log = FakeLog.empty('old.example.com');
const trustedRoot = parseTrustedRoot(text(JSON.stringify(rootJson(log, { start: '2026-01-01T00:00:00Z', end: END }))));

// The history of the log: an entry in the middle, the last entry, the freeze; then a thief signs with its key.
const early = messageBundle(file, key, log);
const atEnd = messageBundle(file, key, log);
const last = parseLastCheckpoint(text(log.sign(log.text())));
const forged = messageBundle(file, key, log);

/** The log's own tree of that size, with another root. */
function otherTree(): Bundle {
  const fork = atEnd;
  const other = log.sign(log.textOf(last.size, new Uint8Array(32).fill(7)));
  const [entry] = fork.entries;
  return {
    ...fork,
    entries: [{ ...entry!, proof: { ...entry!.proof!, root: new Uint8Array(32).fill(7), checkpoint: other } }],
  };
}

const request = (bundle: Bundle, more: Partial<BundleRequest> = {}): BundleRequest =>
  ({ bundle, artifact: digestsOf(file), key: key.info, trustedRoot, now: NOW, ...more }) as BundleRequest;
const check = (bundle: Bundle, more: Partial<BundleRequest> = {}) => code(() => verifyBundle(request(bundle, more)));
const unproven = (bundle: Bundle, more: Partial<BundleRequest> = {}) =>
  verifyBundle(request(bundle, more)).notProven.map(({ name }) => name);

describe('with the last checkpoint of the log, and no time', () => {
  const pinned = { lastCheckpoints: [last] };

  it('takes what the log had until then', () => {
    expect(check(early, pinned)).toBe('accepted');
    expect(check(atEnd, pinned)).toBe('accepted');
  });

  it('refuses a larger tree, and another one of the same size', () => {
    expect(check(forged)).toBe('accepted');
    expect(check(forged, pinned)).toBe('bad-checkpoint');
    expect(() => verifyBundle(request(forged, pinned))).toThrow(
      /old\.example\.com was frozen with 16 entries.*tree of 24.*after the end of the log/,
    );
    expect(() => verifyBundle(request(otherTree(), pinned))).toThrow(/another tree of that size/);
    expect(() => verifyBundle(request(otherTree()))).toThrow(/inclusion proof/);
  });

  it('says that nothing shows the age of a smaller tree, and needs no time for the last one', () => {
    expect(unproven(early, pinned)).toContain('log-key-period');
    expect(unproven(atEnd)).toContain('log-key-period');
    expect(unproven(atEnd, pinned)).not.toContain('log-key-period');
  });

  it('concerns this log alone, and the most careful one of several counts', () => {
    const elsewhere = { ...last, origin: 'new.example.com', size: 1 };
    expect(check(forged, { lastCheckpoints: [elsewhere] })).toBe('accepted');
    const later = { ...last, size: 1000 };
    expect(check(forged, { lastCheckpoints: [later, last] })).toBe('bad-checkpoint');
    expect(check(forged, { lastCheckpoints: [last, later] })).toBe('bad-checkpoint');
  });

  it('holds for a memory of checkpoints, which keeps none of another trust', () => {
    const memory = new CheckpointMemory();
    expect(check(forged, { memory })).toBe('accepted');
    expect(check(forged, { memory, ...pinned })).toBe('bad-checkpoint');
  });

  it('holds for a key and for a policy in the place of a trusted root', () => {
    const byKey = { trustedRoot: undefined, logKey: log.key };
    const byPolicy = { trustedRoot: undefined, policy: parseTrustPolicy(text(`log ${log.vkey}\nquorum none\n`)) };
    for (const trust of [byKey, byPolicy]) {
      expect(check(atEnd, { ...trust, ...pinned })).toBe('accepted');
      expect(check(forged, { ...trust, ...pinned })).toBe('bad-checkpoint');
    }
  });

  it('holds for a tlog-proof', () => {
    const policy = parseTrustPolicy(text(`log ${log.vkey}\nquorum none\n`));
    const proofOf = ({ entries: [entry] }: Bundle) => {
      const { body, proof } = entry!;
      const { index, hashes, checkpoint } = proof!;
      return { proof: formatTlogProof({ extra: body, index, hashes, checkpoint: checkpoint! }), policy };
    };
    const signer = { key: key.info.spki };
    const tried = (bundle: Bundle, more: object) =>
      code(() => verifyTlogProof({ ...proofOf(bundle), digests: digestsOf(file), signer, ...more }, nodePrimitives()));
    expect(tried(forged, {})).toBe('accepted');
    expect(tried(atEnd, pinned)).toBe('accepted');
    expect(tried(forged, pinned)).toBe('bad-checkpoint');
  });

  it('is read strictly', () => {
    for (const bad of ['', 'no note', log.text(), 'x'.repeat(2 * 1024 * 1024)]) {
      expect(code(() => parseLastCheckpoint(text(bad)))).toBe('trust');
    }
  });
});

describe('with witnesses', () => {
  const witnesses = [testWitness('a.example/w'), testWitness('b.example/w')];
  const policy = policyOf([log.vkey], witnesses, 2);
  const cosigned = (bundle: Bundle, ...times: number[]) =>
    witnessed(
      bundle,
      times.map((time, i) => [witnesses[i]!, time] as const),
    );

  it('refuses a tree that no quorum had cosigned before the key ended, whether or not their time is asked for', async () => {
    const intime = await cosigned(early, FROZEN - 5, FROZEN);
    expect(check(intime, { policy })).toBe('accepted');
    expect(unproven(intime, { policy })).not.toContain('log-key-period');
    const late = await cosigned(forged, FROZEN, FROZEN + 1);
    expect(check(late, { policy })).toBe('bad-checkpoint');
    expect(check(late, { policy, witnessTime: true })).toBe('bad-checkpoint');
    expect(() => verifyBundle(request(late, { policy }))).toThrow(
      /ends the key of the log .* before 2026-06-01T00:00:01/,
    );
  });

  it('takes no time from them for anything else', async () => {
    const { times } = verifyBundle(request(await cosigned(early, FROZEN - 5, FROZEN), { policy }));
    expect(times).toEqual([]);
    // A key that begins later than the cosignatures is not refused for them: they may be asked for by witnessTime.
    const begins = { start: '2026-07-01T00:00:00Z' };
    const young = parseTrustedRoot(text(JSON.stringify(rootJson(log, begins))));
    const its = await cosigned(early, FROZEN, FROZEN);
    expect(check(its, { policy, trustedRoot: young })).toBe('accepted');
    expect(check(its, { policy, trustedRoot: young, witnessTime: true })).toBe('bad-checkpoint');
  });

  it('takes the last tree cosigned anew after the end', async () => {
    const anew = await cosigned(atEnd, FROZEN + 100, FROZEN + 100);
    expect(check(anew, { policy })).toBe('bad-checkpoint');
    expect(check(anew, { policy, lastCheckpoints: [last] })).toBe('accepted');
  });
});
