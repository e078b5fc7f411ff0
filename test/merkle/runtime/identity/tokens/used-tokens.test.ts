import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GuardedLevel } from '../../../../../merkle/runtime/disk/level.ts';
import { tokenDigest } from '../../../../../merkle/runtime/identity/tokens/compact-token.ts';
import { openUsedTokens, type UsedTokens } from '../../../../../merkle/runtime/identity/tokens/used-tokens.ts';
import { newIssuerKey, signToken, startIssuer } from '../../../../support/issuer.ts';
import { until } from '../../../../support/until.ts';
import { open, WISH } from './opened.ts';

const CHILD = join(import.meta.dirname, '../../../../support/token-child.mjs');
const MINUTE = 60_000;
let dir: string;
let now: number;
let tokens: UsedTokens;
const reopen = async (most?: number) => {
  await tokens?.close();
  tokens = await openUsedTokens(dir, { now: () => now, ...(most !== undefined && { most }) });
};
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tokens-'));
  now = Date.now();
  await reopen();
});
afterEach(async () => {
  await tokens.close();
  rmSync(dir, { recursive: true });
});
const rowsOf = async () => {
  await tokens.close();
  const level = await GuardedLevel.open(dir);
  let count = 0;
  for await (const rows of level.scan()) count += rows.length;
  await level.close();
  await reopen();
  return count;
};

describe('a token that was used', () => {
  it('works once, also after a restart', async () => {
    expect(await tokens.take('h.c.s', now + MINUTE)).toBe(true);
    expect(await tokens.take('h.c.s', now + MINUTE)).toBe(false);
    expect(await tokens.take('h.d.s', now + MINUTE)).toBe(true);
    await reopen();
    expect(await tokens.take('h.c.s', now + MINUTE)).toBe(false);
  });

  it('works for one of many requests at one moment', async () => {
    const all = Array.from({ length: 200 }, (_, i) => tokens.take(`h.${i % 4}.s`, now + MINUTE));
    expect((await Promise.all(all)).filter(Boolean)).toHaveLength(4);
  });

  it('is followed by others at each step after its answer, and none waits for ever', async () => {
    const expires = now + MINUTE;
    let steps = 0;
    // One step later in each round: from the very moment of the answer to after the end of the write.
    for (let round = 0; round < 24; round++) {
      const [first, others] = [tokens.take(`h.${round}.s`, expires), [] as Promise<boolean>[]];
      const follow = async () => {
        for (let step = 0; step < round; step++) await undefined;
        steps++;
        others.push(tokens.take(`h.${round}-next.s`, expires), tokens.take(`h.${round}.s`, expires));
      };
      await Promise.all([first.then(follow), first.finally(follow)]);
      expect(await first).toBe(true);
      expect(await Promise.all(others)).toEqual([true, false, false, false]);
    }
    expect(steps).toBe(48);
  });

  it('is the same token with another signature over it', async () => {
    const issuer = await startIssuer();
    const verifier = await open([issuer]);
    try {
      const token = issuer.token();
      const twin = withOtherS(token);
      expect(twin).not.toBe(token);
      // Both are valid: without the digest of what is signed, the second would be another token.
      const { expires } = await verifier.verify(token, WISH);
      await expect(verifier.verify(twin, WISH)).resolves.toMatchObject({ expires });
      expect(tokenDigest(twin)).toBe(tokenDigest(token));
      expect(await tokens.take(token, expires)).toBe(true);
      expect(await tokens.take(twin, expires)).toBe(false);
    } finally {
      await verifier.close();
      await issuer.close();
    }
  });

  it('is the same token where the issuer signed the same text twice', () => {
    const key = newIssuerKey('PS256');
    const header = { alg: 'PS256', kid: key.kid };
    // The salt of the signature differs, and nothing else.
    expect(tokenDigest(signToken(key, header, { a: 1 }))).toBe(tokenDigest(signToken(key, header, { a: 1 })));
    expect(tokenDigest(signToken(key, header, { a: 1 }))).not.toBe(tokenDigest(signToken(key, header, { a: 2 })));
  });

  it('does not work again where the clock goes back', async () => {
    const start = now;
    expect(await tokens.take('h.old.s', start + MINUTE)).toBe(true);
    now = start + 2 * MINUTE;
    expect(await tokens.take('h.new.s', now + 10 * MINUTE)).toBe(true);
    // The row of the first has been removed. Its time comes again.
    expect(await rowsOf()).toBe(2);
    now = start;
    expect(await tokens.take('h.old.s', start + MINUTE)).toBe(false);
    expect(await tokens.take('h.new.s', start + 12 * MINUTE)).toBe(false);
    expect(await tokens.take('h.other.s', start + MINUTE)).toBe(false);
    expect(await tokens.take('h.fresh.s', start + 3 * MINUTE)).toBe(true);
    await reopen();
    expect(await tokens.take('h.old.s', start + MINUTE)).toBe(false);
  });

  it('ends no other token where the clock was far ahead for a moment', async () => {
    const start = now;
    expect(await tokens.take('h.a.s', start + MINUTE)).toBe(true);
    now = start + 365 * 24 * 60 * MINUTE;
    expect(await tokens.take('h.ahead.s', now + MINUTE)).toBe(true);
    now = start + 1;
    expect(await tokens.take('h.a.s', start + MINUTE)).toBe(false);
    expect(await tokens.take('h.b.s', start + 2 * MINUTE)).toBe(true);
  });
});

describe('the memory of used tokens', () => {
  it('forgets tokens that have expired', async () => {
    for (let i = 0; i < 5; i++) {
      await Promise.all(Array.from({ length: 100 }, (_, n) => tokens.take(`h.${i}-${n}.s`, now + MINUTE)));
      now += 2 * MINUTE;
    }
    await tokens.take('h.last.s', now + MINUTE);
    // The last token, and the latest expiry that was removed.
    expect(await rowsOf()).toBe(2);
  });

  it('has a bound, past which nothing is taken', async () => {
    await reopen(3);
    for (const n of [1, 2, 3]) expect(await tokens.take(`h.${n}.s`, now + MINUTE)).toBe(true);
    await expect(tokens.take('h.4.s', now + MINUTE)).rejects.toMatchObject({ code: 'identity-unavailable' });
    expect(await tokens.take('h.1.s', now + MINUTE)).toBe(false);
    await reopen(3);
    await expect(tokens.take('h.5.s', now + MINUTE)).rejects.toMatchObject({ code: 'identity-unavailable' });
    now += 2 * MINUTE;
    expect(await tokens.take('h.6.s', now + MINUTE)).toBe(true);
  });

  it('is of one process', async () => {
    await expect(openUsedTokens(dir)).rejects.toMatchObject({ code: 'locked' });
  });

  it('takes nothing once its directory is gone: an empty one in its place would know no used token', async () => {
    expect(await tokens.take('h.1.s', now + MINUTE)).toBe(true);
    const away = `${dir}-away`;
    renameSync(dir, away);
    await expect(tokens.take('h.2.s', now + MINUTE)).rejects.toMatchObject({ code: 'store' });
    for (let i = 0; i < 20; i++) {
      await expect(tokens.take('h.1.s', now + MINUTE)).rejects.toMatchObject({ code: 'store' });
    }
    renameSync(away, dir);
    await until(async () => (await tokens.take('h.3.s', now + MINUTE).catch(() => false)) === true);
    expect(await tokens.take('h.1.s', now + MINUTE)).toBe(false);
  });

  it('keeps each token that was taken before SIGKILL, at five moments', { timeout: 60_000 }, async () => {
    await tokens.close();
    const expires = Date.now() + 60 * MINUTE;
    for (let round = 0; round < 5; round++) {
      const child = fork(CHILD, [dir, `round-${round}`, String(expires)]);
      const got: number[] = [];
      const enough = new Promise<void>((resolve) => {
        child.on('message', (numbers: number[]) => {
          got.push(...numbers);
          if (got.length >= 100 + round * 33) resolve();
        });
      });
      await enough;
      child.kill('SIGKILL');
      await once(child, 'close');
      const after = await openUsedTokens(dir);
      const again = await Promise.all(got.map((n) => after.take(`round-${round}.${n}.x`, expires)));
      await after.close();
      expect(again.filter(Boolean)).toEqual([]);
    }
    await reopen();
  });
});

/** The same token with (r, n - s) in the place of (r, s): ECDSA on P-256. */
function withOtherS(token: string): string {
  const [header, claims, signature] = token.split('.') as [string, string, string];
  const bytes = Buffer.from(signature, 'base64url');
  const s = BigInt(`0x${bytes.toString('hex', 32)}`);
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  bytes.write((order - s).toString(16).padStart(64, '0'), 32, 'hex');
  return [header, claims, bytes.toString('base64url')].join('.');
}
