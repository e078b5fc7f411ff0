import { createPublicKey, generateKeyPairSync, sign as nodeSign, verify as nodeVerify } from 'node:crypto';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { describe, expect, it } from 'vitest';
import { concat, decodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import {
  type CosignatureSigner,
  checkpointVerifier,
  cosign,
  cosignedMessage,
  cosignedSubtree,
  cosignSubtree,
  formatCosignature,
  parseCosignature,
  verifyCosignature,
  verifySubtreeCosignature,
} from '../../merkle/cosignature.ts';
import {
  formatNote,
  formatSignature,
  KEY_TYPE,
  makeVerifierKey,
  openNote,
  parseNote,
  parseVerifierKey,
} from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { codeOf } from './helpers.ts';

// From tlog-cosignature, section "Format", and the message from section "Ed25519 signed message".
const TEXT = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
const LOG_LINE =
  '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';
const WITNESS_LINE =
  '— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n';
const MESSAGE =
  'cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';

const pair = generateKeyPairSync('ed25519');
const raw = createPublicKey(pair.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
const ed: CosignatureSigner = {
  key: makeVerifierKey('w.example/ed', KEY_TYPE.cosignature, raw),
  sign: async (message) => nodeSign(null, message, pair.privateKey),
};
const mldsa = ml_dsa44.keygen(new Uint8Array(32).fill(7));
const pq: CosignatureSigner = {
  key: makeVerifierKey('w.example/pq', KEY_TYPE.mldsa44, mldsa.publicKey),
  sign: async (message) => ml_dsa44.sign(message, mldsa.secretKey, { extraEntropy: false }),
};

describe('the example of the specification', () => {
  const [log, witness] = parseNote(`${TEXT}\n${LOG_LINE}${WITNESS_LINE}`).signatures;

  it('has the timestamp that its text names', () => {
    const key = { ...ed.key, name: witness!.name, keyId: witness!.keyId };
    const { timestamp, signature } = parseCosignature(key, witness!.signature);
    expect(timestamp).toBe(1679315147);
    expect(signature).toHaveLength(64);
    const again = formatSignature({ ...witness!, signature: formatCosignature({ timestamp, signature }) });
    expect(again).toBe(WITNESS_LINE);
    expect(formatSignature(log!)).toBe(LOG_LINE);
  });

  it('has the message that the specification shows', () => {
    expect(new TextDecoder().decode(cosignedMessage(ed.key, 1679315147, TEXT))).toBe(MESSAGE);
  });
});

describe('an ML-DSA-44 message', () => {
  it('is the structure, byte for byte', () => {
    const message = cosignedMessage(pq.key, 1679315147, TEXT);
    const expected = concat(
      encodeUtf8('subtree/v1\n'),
      Uint8Array.of(0, 12),
      encodeUtf8('w.example/pq'),
      Uint8Array.of(0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb, 27),
      encodeUtf8('example.com/behind-the-sofa'),
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(0, 0, 0, 0, 0x01, 0x3e, 0x2d, 0xc3),
      decodeBase64('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='),
    );
    expect(encodeHex(message)).toBe(encodeHex(expected));
  });

  it('leaves out extension lines, which an Ed25519 message holds', () => {
    const extended = `${TEXT}extension\n`;
    expect(cosignedMessage(pq.key, 1, extended)).toEqual(cosignedMessage(pq.key, 1, TEXT));
    expect(cosignedMessage(ed.key, 1, extended)).not.toEqual(cosignedMessage(ed.key, 1, TEXT));
  });

  it('wants a subtree, short names, and no timestamp where it starts within', () => {
    const base = { cosigner: 'w', timestamp: 0, origin: 'log', start: 8, end: 13, hash: new Uint8Array(32) };
    expect(cosignedSubtree(base)).toHaveLength(12 + 2 + 8 + 4 + 16 + 32);
    expect(codeOf(() => cosignedSubtree({ ...base, timestamp: 1 }))).toBe('bad-cosignature');
    expect(codeOf(() => cosignedSubtree({ ...base, start: 7 }))).toBe('bad-cosignature');
    expect(codeOf(() => cosignedSubtree({ ...base, origin: 'ö'.repeat(128) }))).toBe('bad-cosignature');
    expect(codeOf(() => cosignedSubtree({ ...base, cosigner: '' }))).toBe('bad-cosignature');
    expect(codeOf(() => cosignedSubtree({ ...base, hash: new Uint8Array(31) }))).toBe('bad-hash');
  });
});

describe.each([
  ['Ed25519', ed],
  ['ML-DSA-44', pq],
])('a cosignature with %s', (_name, signer) => {
  it('verifies over its text, and tells its time', async () => {
    const signature = await cosign(signer, 1700000000, TEXT);
    expect(verifyCosignature(signer.key, TEXT, signature.signature, nodeNotePrimitives)).toEqual({
      timestamp: 1700000000,
    });
    const note = formatNote(TEXT, [...parseNote(`${TEXT}\n${LOG_LINE}`).signatures, signature]);
    const opened = openNote(parseNote(note), [checkpointVerifier(signer.key, nodeNotePrimitives)]);
    expect(opened.verified).toHaveLength(1);
    expect(opened.others).toHaveLength(1);
  });

  it('does not verify over another text, at another time, or cut', async () => {
    const { signature } = await cosign(signer, 1700000000, TEXT);
    const other = TEXT.replace('20852163', '20852164');
    expect(codeOf(() => verifyCosignature(signer.key, other, signature, nodeNotePrimitives))).toBe('bad-signature');
    const later = Uint8Array.from(signature);
    later[7]! ^= 1;
    expect(codeOf(() => verifyCosignature(signer.key, TEXT, later, nodeNotePrimitives))).toBe('bad-signature');
    expect(codeOf(() => verifyCosignature(signer.key, TEXT, signature.slice(0, -1), nodeNotePrimitives))).toBe(
      'bad-signature',
    );
    expect(
      codeOf(() => verifyCosignature(signer.key, TEXT, concat(signature, Uint8Array.of(0)), nodeNotePrimitives)),
    ).toBe('bad-signature');
  });

  it('refuses a timestamp that no number holds', async () => {
    const { signature } = await cosign(signer, 0, TEXT);
    expect(verifyCosignature(signer.key, TEXT, signature, nodeNotePrimitives).timestamp).toBe(0);
    expect(codeOf(() => parseCosignature(signer.key, concat(Uint8Array.of(0x7f), signature.slice(1))))).toBe(
      'bad-signature',
    );
    await expect(cosign(signer, 2 ** 53, TEXT)).rejects.toMatchObject({ code: 'bad-number' });
  });

  it('has a verifier key that is read back', () => {
    const text = `${signer.key.name}+${encodeHex(signer.key.keyId)}+${Buffer.from(concat(Uint8Array.of(signer.key.type), signer.key.key)).toString('base64')}`;
    expect(parseVerifierKey(text)).toEqual(signer.key);
  });
});

describe('a subtree', () => {
  const subtree = { origin: 'log.example', start: 8, end: 13, hash: new Uint8Array(32).fill(9) };

  it('is cosigned with ML-DSA-44 alone, without a time', async () => {
    const { signature } = await cosignSubtree(pq, subtree);
    expect(verifySubtreeCosignature(pq.key, subtree, signature, nodeNotePrimitives)).toEqual({ timestamp: 0 });
    expect(codeOf(() => verifySubtreeCosignature(pq.key, { ...subtree, end: 12 }, signature, nodeNotePrimitives))).toBe(
      'bad-signature',
    );
    await expect(cosignSubtree(ed, subtree)).rejects.toMatchObject({ code: 'bad-verifier-key' });
    expect(codeOf(() => verifySubtreeCosignature(ed.key, subtree, signature, nodeNotePrimitives))).toBe(
      'bad-verifier-key',
    );
  });
});

it('takes the primitives that it is given', async () => {
  const { signature } = await cosign(ed, 5, TEXT);
  const seen: string[] = [];
  const refuse = (name: string) => () => {
    seen.push(name);
    return false;
  };
  const primitives = { ed25519: refuse('ed25519'), ecdsaP256: refuse('ecdsa'), mldsa44: refuse('mldsa') };
  expect(checkpointVerifier(ed.key, primitives).verify(encodeUtf8(TEXT), signature)).toBe(false);
  expect(seen).toEqual(['ed25519']);
  expect(nodeVerify(null, cosignedMessage(ed.key, 5, TEXT), pair.publicKey, signature.slice(8))).toBe(true);
});
