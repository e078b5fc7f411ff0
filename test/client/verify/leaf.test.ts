import { describe, expect, it } from 'vitest';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { verifyLeaf } from '../../../client/verify/leaf.ts';
import type { LeafProof, LogTrust } from '../../../client/verify/types.ts';
import { cosign } from '../../../merkle/cosignature.ts';
import { formatNote, parseNote } from '../../../merkle/note.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { code, policyOf, testWitness, text } from './verify-parts.ts';

const log = FakeLog.empty();
const other = FakeLog.empty('other.example');
const witness = testWitness('w.example');
const { index, hashes, checkpoint: signed, treeSize, root, logId } = log.add(text('an entry of any log'));
const note = parseNote(signed);
const checkpoint = formatNote(note.text, [...note.signatures, await cosign(witness, 1_700_000_000, note.text)]);
const proof: LeafProof = { leafHash: leafHash(text('an entry of any log')), index, hashes, checkpoint };
const logsOf = (...logs: readonly FakeLog[]) =>
  parseTrustPolicy(text(`${logs.map(({ vkey }) => `log ${vkey}\n`).join('')}quorum none\n`));
const check = (trust: LogTrust, change: Partial<LeafProof> = {}) =>
  code(() => verifyLeaf({ ...proof, ...change }, trust, nodePrimitives()));

describe('verifyLeaf', () => {
  it('takes a leaf by the key, by the policy, or by both', () => {
    const policy = policyOf([log.vkey], [witness], 1);
    for (const trust of [{ logKey: log.key }, { policy }, { logKey: log.key, policy }]) {
      expect(verifyLeaf(proof, trust, nodePrimitives())).toMatchObject({ origin: 'localhost', logKey: log.key, index });
    }
    expect(check({ logKey: log.key, policy: policyOf([], [witness], 1) })).toBe('accepted');
  });

  it('holds the key and the policy: a log that only one of them names is refused', () => {
    expect(check({ logKey: other.key })).toBe('bad-checkpoint');
    expect(check({ policy: logsOf(other) })).toBe('bad-checkpoint');
    expect(check({ logKey: log.key, policy: logsOf(other) })).toBe('bad-checkpoint');
    expect(check({ logKey: log.key, policy: logsOf(other, log) })).toBe('accepted');
    expect(check({ policy: policyOf([], [witness], 1) })).toBe('policy');
    expect(check({ logKey: log.key, policy: policyOf([], [testWitness('w.example')], 1) })).toBe('quorum');
  });

  it('holds what the proof itself claims', () => {
    const claimed = { logId, treeSize, root };
    const trust = { logKey: log.key };
    expect(check(trust, { claimed })).toBe('accepted');
    expect(check(trust, { claimed: { ...claimed, logId: other.logId } })).toBe('bad-checkpoint');
    expect(check(trust, { claimed: { ...claimed, treeSize: treeSize + 1 } })).toBe('bad-checkpoint');
    expect(check(trust, { claimed: { ...claimed, root: new Uint8Array(32) } })).toBe('bad-checkpoint');
  });

  it('refuses another leaf, and a checkpoint that is none', () => {
    const trust = { logKey: log.key };
    expect(check(trust, { leafHash: leafHash(text('another')) })).toBe('bad-proof');
    expect(check(trust, { index: index + 1 })).toBe('bad-proof');
    expect(check(trust, { checkpoint: 'no note' })).toBe('bad-checkpoint');
    expect(check(trust, { checkpoint: log.sign('localhost\nno size\n') })).toBe('bad-checkpoint');
  });

  it('names the signature lines that nobody checked', () => {
    const unverified = (trust: LogTrust) => verifyLeaf(proof, trust, nodePrimitives()).unverified;
    expect(unverified({ logKey: log.key })).toEqual(['w.example']);
    expect(unverified({ policy: policyOf([log.vkey], [witness], 1) })).toEqual([]);
  });
});
