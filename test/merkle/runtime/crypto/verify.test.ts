import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { formatCheckpoint } from '../../../../merkle/checkpoint.ts';
import { type CosignatureSigner, checkpointVerifier, cosign } from '../../../../merkle/cosignature.ts';
import { formatNote, KEY_TYPE, makeVerifierKey, openNote, openNoteAsync, parseNote } from '../../../../merkle/note.ts';
import { nobleMldsa44 } from '../../../../merkle/runtime/crypto/lazy-noble.ts';
import { backgroundVerifier, nodeNotePrimitives } from '../../../../merkle/runtime/crypto/verify.ts';
import { RuntimeError } from '../../../../merkle/runtime/runtime-errors.ts';

const message = Buffer.from('a message');

describe('signature checks on OpenSSL', () => {
  it.each([
    ['ed25519', generateKeyPairSync('ed25519'), null, 32],
    ['ecdsaP256', generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'sha256', 91],
  ] as const)('%s takes what the key signed and nothing else', (name, { publicKey, privateKey }, hash, length) => {
    const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-length);
    const signature = sign(hash, message, privateKey);
    const check = nodeNotePrimitives[name];
    expect(check(key, message, signature)).toBe(true);
    expect(check(key, Buffer.from('b message'), signature)).toBe(false);
    expect(check(key, message, signature.subarray(1))).toBe(false);
    expect(check(key, message, new Uint8Array(0))).toBe(false);
    // A key of the wrong form is no exception either.
    expect(check(new Uint8Array(5), message, signature)).toBe(false);
  });
});

describe('signature checks beside the main thread', () => {
  const text = 'log.test\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n';

  it.each([
    ['Ed25519', KEY_TYPE.ed25519, generateKeyPairSync('ed25519'), null, 32],
    ['ECDSA', KEY_TYPE.ecdsa, generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'sha256', 91],
  ] as const)('say of %s what those on it say', async (_name, type, { publicKey, privateKey }, hash, length) => {
    const bytes = publicKey.export({ format: 'der', type: 'spki' }).subarray(-length);
    const key = makeVerifierKey('log.test', type, bytes);
    const good = sign(hash, Buffer.from(text), privateKey);
    const other = makeVerifierKey('witness.test', type, bytes);
    for (const [signature, outcome] of [
      [good, 'log.test'],
      [sign(hash, Buffer.from('x'), privateKey), 'bad-signature'],
      [good.subarray(0, 10), 'bad-signature'],
    ] as const) {
      const note = formatNote(text, [{ name: key.name, keyId: key.keyId, signature }]);
      const opened = await openNoteAsync(parseNote(note), [backgroundVerifier(key)]).then(named, codeOf);
      expect(opened).toBe(outcome);
      expect(
        await Promise.resolve()
          .then(() => named(openNote(parseNote(note), [checkpointVerifier(key, nodeNotePrimitives)])))
          .catch(codeOf),
      ).toBe(outcome);
      expect(await openNoteAsync(parseNote(note), [backgroundVerifier(other)]).then(named, codeOf)).toBe('unknown-key');
    }
  });

  it.each([
    ['Ed25519', KEY_TYPE.cosignature],
    ['ML-DSA-44', KEY_TYPE.mldsa44],
  ] as const)('say of a cosignature with %s what those on it say', async (_name, type) => {
    const checkpoint = formatCheckpoint({ origin: 'log.test', size: 1, root: new Uint8Array(32), extensions: [] });
    const signer = type === KEY_TYPE.mldsa44 ? mldsaSigner() : ed25519Signer();
    const line = await cosign(signer, 1_700_000_000, checkpoint);
    const later = Uint8Array.from(line.signature, (byte, i) => (i === 7 ? byte + 1 : byte));
    for (const [signature, text, outcome] of [
      [line.signature, checkpoint, 'witness.test'],
      [later, checkpoint, 'bad-signature'],
      [line.signature.slice(1), checkpoint, 'bad-signature'],
      [line.signature, checkpoint.replace('\n1\n', '\n2\n'), 'bad-signature'],
      [line.signature, 'no checkpoint\n', 'bad-signature'],
    ] as const) {
      const note = parseNote(formatNote(text, [{ ...line, signature }]));
      expect(await openNoteAsync(note, [backgroundVerifier(signer.key)]).then(named, codeOf)).toBe(outcome);
      expect(
        await Promise.resolve()
          .then(() => named(openNote(note, [checkpointVerifier(signer.key, nodeNotePrimitives)])))
          .catch(codeOf),
      ).toBe(outcome);
    }
  });

  it('checks a key that takes long after the others, and not at all where another fails', async () => {
    const slow = mldsaSigner();
    const quick = ed25519Signer();
    const checkpoint = formatCheckpoint({ origin: 'log.test', size: 1, root: new Uint8Array(32), extensions: [] });
    const lines = [await cosign(slow, 1, checkpoint), await cosign(quick, 1, checkpoint)];
    const wrong = { ...lines[1]!, signature: lines[1]!.signature.map((byte) => byte ^ 1) };
    let checks = 0;
    const counting = (...args: Parameters<typeof nodeNotePrimitives.mldsa44>) => {
      checks++;
      return nodeNotePrimitives.mldsa44(...args);
    };
    const verifiers = [backgroundVerifier(slow.key, counting), backgroundVerifier(quick.key)];
    await expect(openNoteAsync(parseNote(formatNote(checkpoint, [lines[0]!, wrong])), verifiers)).rejects.toMatchObject(
      { code: 'bad-signature' },
    );
    expect(checks).toBe(0);
    const { verified } = await openNoteAsync(parseNote(formatNote(checkpoint, lines)), verifiers);
    expect([checks, verified.length]).toEqual([1, 2]);
  });

  it('passes on that its threads failed: a signature is not wrong then', async () => {
    const { key } = mldsaSigner();
    const failing = backgroundVerifier(key, () => Promise.reject(new RuntimeError('pool', 'a worker died')));
    const checkpoint = formatCheckpoint({ origin: 'log.test', size: 1, root: new Uint8Array(32), extensions: [] });
    const line = await cosign(mldsaSigner(), 1, checkpoint);
    await expect(failing.verify(encodeUtf8(checkpoint), line.signature)).rejects.toMatchObject({ code: 'pool' });
  });

  it('takes a key that is none for one that signed nothing', async () => {
    const key = { ...makeVerifierKey('log.test', KEY_TYPE.ed25519, new Uint8Array(32)), key: new Uint8Array(5) };
    expect(await backgroundVerifier(key).verify(message, new Uint8Array(64))).toBe(false);
  });
});

function ed25519Signer(): CosignatureSigner {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const key = makeVerifierKey('witness.test', KEY_TYPE.cosignature, raw);
  return { key, sign: async (bytes) => sign(null, bytes, privateKey) };
}

function mldsaSigner(): CosignatureSigner {
  const { publicKey, secretKey } = nobleMldsa44().keygen(randomBytes(32));
  const key = makeVerifierKey('witness.test', KEY_TYPE.mldsa44, publicKey);
  return { key, sign: async (bytes) => nobleMldsa44().sign(bytes, secretKey) };
}

const named = ({ verified }: { verified: readonly { name: string }[] }) => verified.map(({ name }) => name).join();
const codeOf = (error: unknown) => (error as { code: string }).code;
