import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { logKeyOf, parseTrustPolicy, verifyQuorum } from '../../../client/trust/quorum.ts';
import { readNote } from '../../../client/verify/checkpoint.ts';
import { concat, encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatCheckpoint } from '../../../merkle/checkpoint.ts';
import { type CosignatureSigner, cosign } from '../../../merkle/cosignature.ts';
import {
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  KEY_TYPE,
  makeVerifierKey,
  type NoteSignature,
  parseNote,
  type SignedNote,
} from '../../../merkle/note.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';

const text = formatCheckpoint({ origin: 'log.test', size: 5, root: new Uint8Array(32).fill(7), extensions: [] });
const other = formatCheckpoint({ origin: 'log.test', size: 5, root: new Uint8Array(32).fill(8), extensions: [] });

function makeWitness(name: string): CosignatureSigner & { vkey: string } {
  const { secretKey, publicKey } = ed25519.keygen();
  const key = makeVerifierKey(name, KEY_TYPE.cosignature, publicKey);
  return { key, vkey: formatVerifierKey(key), sign: async (message) => ed25519.sign(message, secretKey) };
}

const logSecret = ed25519.keygen();
const logKey = ed25519VerifierKey('log.test', logSecret.publicKey);
const logLine: NoteSignature = {
  name: logKey.name,
  keyId: logKey.keyId,
  signature: ed25519.sign(encodeUtf8(text), logSecret.secretKey),
};
const witnesses = ['w1', 'w2', 'w3'].map(makeWitness);
const policyFile = [
  `log ${formatVerifierKey(logKey)}`,
  ...witnesses.map(({ vkey }, i) => `witness w${i + 1} ${vkey}`),
  'group g 2 w1 w2 w3',
  'quorum g',
  '',
].join('\n');
const policy = parseTrustPolicy(encodeUtf8(policyFile));

const note = (...lines: NoteSignature[]): SignedNote => parseNote(formatNote(text, [logLine, ...lines]));
const code = (work: () => unknown): string => {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
};

describe('verifyQuorum', () => {
  it('names the witnesses that cosigned, with their times', async () => {
    const lines = await Promise.all([cosign(witnesses[0]!, 1000, text), cosign(witnesses[2]!, 2000, text)]);
    expect(verifyQuorum(policy, note(...lines), nodeNotePrimitives)).toEqual([
      { witness: 'w1', verifierKey: witnesses[0]!.vkey, timestamp: 1000 },
      { witness: 'w3', verifierKey: witnesses[2]!.vkey, timestamp: 2000 },
    ]);
  });

  it('counts a witness once, however often it signed', async () => {
    const lines = await Promise.all([cosign(witnesses[0]!, 1000, text), cosign(witnesses[0]!, 1001, text)]);
    expect(code(() => verifyQuorum(policy, note(...lines), nodeNotePrimitives))).toBe('quorum');
  });

  it.each([
    ['another text', async () => cosign(witnesses[1]!, 1000, other)],
    ['the time 0', async () => cosign(witnesses[1]!, 0, text)],
    ['a time that no calendar has', async () => cosign(witnesses[1]!, 2 ** 52, text)],
    ['a key that the policy does not name', async () => cosign(makeWitness('w2'), 1000, text)],
    [
      'a changed byte',
      async () => {
        const line = await cosign(witnesses[1]!, 1000, text);
        return { ...line, signature: concat(line.signature.slice(0, 20), new Uint8Array(52)) };
      },
    ],
  ])('does not count a cosignature with %s', async (_, make) => {
    const lines = [await cosign(witnesses[0]!, 1000, text), await make()];
    expect(code(() => verifyQuorum(policy, note(...lines), nodeNotePrimitives))).toBe('quorum');
  });

  it('asks for nobody where the policy says none', () => {
    const none = parseTrustPolicy(encodeUtf8(`log ${formatVerifierKey(logKey)}\nquorum none\n`));
    expect(verifyQuorum(none, note(), nodeNotePrimitives)).toEqual([]);
  });
});

describe('logKeyOf', () => {
  it('is the key of the policy that signed, and none of another log', () => {
    expect(logKeyOf(policy, note())).toEqual(logKey);
    const foreign = ed25519VerifierKey('log.test', ed25519.keygen().publicKey);
    const strange = parseTrustPolicy(encodeUtf8(`log ${formatVerifierKey(foreign)}\nquorum none\n`));
    expect(code(() => logKeyOf(strange, note()))).toBe('bad-checkpoint');
    expect(code(() => logKeyOf({ ...strange, logs: [] }, note()))).toBe('policy');
  });

  it('refuses what is no policy and what is no note', () => {
    expect(code(() => parseTrustPolicy(encodeUtf8('witness\n')))).toBe('policy');
    expect(code(() => readNote('no note'))).toBe('bad-checkpoint');
  });
});
