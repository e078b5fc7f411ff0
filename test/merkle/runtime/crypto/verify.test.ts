import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../../../merkle/cosignature.ts';
import { formatNote, KEY_TYPE, makeVerifierKey, openNote, openNoteAsync, parseNote } from '../../../../merkle/note.ts';
import { backgroundVerifier, nodeNotePrimitives } from '../../../../merkle/runtime/crypto/verify.ts';

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

  it('takes a key that is none for one that signed nothing', async () => {
    const key = { ...makeVerifierKey('log.test', KEY_TYPE.ed25519, new Uint8Array(32)), key: new Uint8Array(5) };
    expect(await backgroundVerifier(key).verify(message, new Uint8Array(64))).toBe(false);
  });
});

const named = ({ verified }: { verified: readonly { name: string }[] }) => verified.map(({ name }) => name).join();
const codeOf = (error: unknown) => (error as { code: string }).code;
