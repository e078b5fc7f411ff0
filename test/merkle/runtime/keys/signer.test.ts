import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { softwareSigner } from '../../../../merkle/runtime/keys/keyfile.ts';
import { RetryingSigner } from '../../../../merkle/runtime/keys/retrying.ts';
import { checkedSigner, verifySignature } from '../../../../merkle/runtime/keys/signer.ts';
import type { Signer } from '../../../../merkle/runtime/keys/types.ts';
import { RuntimeError, type RuntimeErrorCode } from '../../../../merkle/runtime/runtime-errors.ts';

const message = new TextEncoder().encode('a checkpoint');
const ed25519 = softwareSigner(generateKeyPairSync('ed25519').privateKey);
const p256 = softwareSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

/** Fails with each of the codes in turn, then signs. */
function flaky(codes: (RuntimeErrorCode | 'bug')[]): Signer {
  return {
    ...ed25519,
    sign: async (data) => {
      const code = codes.shift();
      if (code === 'bug') throw new TypeError('a bug');
      if (code !== undefined) throw new RuntimeError(code, 'told to fail');
      return ed25519.sign(data);
    },
  };
}

describe('verifySignature', () => {
  it('takes the right signature and no other bytes', async () => {
    for (const signer of [ed25519, p256]) {
      const signature = await signer.sign(message);
      expect(verifySignature(signer, message, signature)).toBe(true);
      expect(verifySignature(signer, message.subarray(1), signature)).toBe(false);
      expect(verifySignature(signer, message, signature.subarray(1))).toBe(false);
      expect(verifySignature(signer, message, new Uint8Array())).toBe(false);
      expect(verifySignature(signer, message, new Uint8Array([...signature, 0]))).toBe(false);
    }
  });

  it('refuses a public key of another algorithm', () => {
    const crossed = { algorithm: 'ed25519' as const, publicKey: p256.publicKey };
    expect(() => verifySignature(crossed, message, new Uint8Array(64))).toThrow(
      expect.objectContaining({ code: 'key-format' }),
    );
    const broken = { algorithm: 'ed25519' as const, publicKey: new Uint8Array(44) };
    expect(() => verifySignature(broken, message, new Uint8Array(64))).toThrow(
      expect.objectContaining({ code: 'key-format' }),
    );
  });
});

describe.each([{ beside: false }, { beside: true }])('checkedSigner %o', (options) => {
  it('lets right signatures through', async () => {
    for (const signer of [ed25519, p256]) {
      const checked = checkedSigner(signer, options);
      expect(verifySignature(checked, message, await checked.sign(message))).toBe(true);
    }
  });

  it('keeps a wrong signature in', async () => {
    const flipped: Signer = {
      ...ed25519,
      sign: async (data) => {
        const signature = await ed25519.sign(data);
        signature[5]! ^= 1;
        return signature;
      },
    };
    await expect(checkedSigner(flipped, options).sign(message)).rejects.toMatchObject({ code: 'signature-wrong' });
    const other: Signer = {
      ...ed25519,
      publicKey: softwareSigner(generateKeyPairSync('ed25519').privateKey).publicKey,
    };
    await expect(checkedSigner(other, options).sign(message)).rejects.toMatchObject({ code: 'signature-wrong' });
  });
});

describe('RetryingSigner', () => {
  it('waits through failures and tells of them', async () => {
    const told: string[] = [];
    const signer = new RetryingSigner(flaky(['pkcs11-unavailable', 'signature-wrong', 'pkcs11-token']), {
      onError: (error, attempt) => told.push(`${attempt} ${error.code} ${signer.healthy}`),
      onRecover: (attempts) => told.push(`recovered after ${attempts} ${signer.healthy}`),
      maxDelayMs: 5,
    });
    expect(signer.healthy).toBe(true);
    const signatures = await Promise.all([signer.sign(message), signer.sign(message)]);
    for (const signature of signatures) expect(verifySignature(signer, message, signature)).toBe(true);
    expect(told).toEqual([
      '1 pkcs11-unavailable false',
      '2 signature-wrong false',
      '3 pkcs11-token false',
      'recovered after 4 true',
    ]);
    expect(signer.healthy).toBe(true);
  });

  it('does not hide a mistake of the program, and goes on after it', async () => {
    const signer = new RetryingSigner(flaky(['bug']));
    await expect(signer.sign(message)).rejects.toThrow(TypeError);
    await expect(signer.sign(message)).resolves.toHaveLength(64);
  });

  it('ends all waiting when it is closed', async () => {
    const never = flaky(Array.from({ length: 1000 }, () => 'pkcs11-unavailable' as const));
    const signer = new RetryingSigner(never);
    const waiting = [signer.sign(message), signer.sign(message)].map((one) =>
      expect(one).rejects.toMatchObject({ code: 'aborted' }),
    );
    await signer.close();
    await Promise.all(waiting);
    await expect(signer.sign(message)).rejects.toMatchObject({ code: 'aborted' });
  });

  it('is not healthy while an answer is slow, and still takes it', async () => {
    const answer: (() => void)[] = [];
    const slow: Signer = {
      ...ed25519,
      sign: async (data) => {
        await new Promise<void>((resolve) => answer.push(resolve));
        return ed25519.sign(data);
      },
    };
    const errors: string[] = [];
    const signer = new RetryingSigner(slow, { slowMs: 10, onError: ({ code }) => errors.push(code) });
    const waiting = signer.sign(message);
    await expect.poll(() => signer.healthy, { timeout: 20_000 }).toBe(false);
    answer[0]!();
    await expect(waiting).resolves.toHaveLength(64);
    expect({ healthy: signer.healthy, errors }).toEqual({ healthy: true, errors: ['pkcs11-unavailable'] });
  });
});
