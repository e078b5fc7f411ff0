/** test/merkle/rekor/primitives.test.ts holds the verdicts of these checks to those of all others. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseSpki } from '../../../../merkle/rekor/spki.ts';
import { messagePrimitives } from '../../../../merkle/runtime/crypto/message-primitives.ts';
import { nodePrimitives } from '../../../../merkle/runtime/crypto/node-primitives.ts';

const message = Buffer.from('what was signed');
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = parseSpki(publicKey.export({ format: 'der', type: 'spki' }));
const signature = sign('sha256', message, privateKey);

describe('primitives with a memory of messages', () => {
  const digestsChecked: Uint8Array[] = [];
  const primitives = messagePrimitives({
    ...nodePrimitives(),
    verifyDigest(...args) {
      digestsChecked.push(args[2]);
      return nodePrimitives().verifyDigest(...args);
    },
  });

  it('check a digest without its message only where the message is not known', () => {
    const digest = primitives.hash('sha256', message);
    expect(primitives.verifyDigest(key, 'sha256', digest, signature)).toBe(true);
    expect(digestsChecked).toEqual([]);
    // The same bytes from elsewhere.
    const given = digest.slice();
    expect(primitives.verifyDigest(key, 'sha256', given, signature)).toBe(true);
    expect(digestsChecked).toEqual([given]);
  });

  it('take the message for no other hash than its own', () => {
    const digest = primitives.hash('sha512', message);
    expect(primitives.verifyDigest(key, 'sha256', digest, signature)).toBe(false);
  });
});
