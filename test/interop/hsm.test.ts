/** The walk-through with SoftHSM, command by command: a key that never leaves its token, and a token that goes away. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { hashedRekordRequest, toJson } from '../support/requests.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { skips } from '../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../support/softhsm.ts';
import { checkHeads, readCheckpoint, readTree } from '../support/tlog-reader.ts';

const PIN = '1234';

describe.skipIf(skips('a log whose key is in SoftHSM', NO_SOFTHSM))('a log whose key is in SoftHSM', () => {
  let hsm: SoftHsm;
  let pin: string;
  beforeAll(async () => {
    hsm = (await startSoftHsm())!;
    pin = await hsm.pinFile(PIN);
  });
  afterAll(() => hsm?.stop());

  it.each(['ed25519', 'ecdsa-p256'])('%s: made, served, taken away and given back', async (algorithm) => {
    const dir = await tempDir();
    let server: ServeProcess | undefined;
    try {
      // As the walk-through has it: a token, a key in it, a log that signs with it.
      const token = `token-${algorithm}`;
      await hsm.initToken(token, PIN);
      const key = ['--pkcs11-module', 'libsofthsm2.so', '--token', token, '--label', 'log', '--pin-file', pin];
      const made = await steleJson(['keygen', ...key, '--algorithm', algorithm, '--origin', 'localhost']);
      const settings = { module: 'libsofthsm2.so', token, label: 'log', 'pin-file': pin };
      const flags = Object.entries(settings).flatMap(([name, value]) => [`--key-pkcs11-${name}`, value]);
      const args = [...flags, '--limits-publish-timeout', '1s'];
      server = await startServer(join(dir.path, 'data'), { args });
      expect(server.verifierKeys).toEqual([made.verifierKey]);

      const first = await post(server, newBody());
      expect(first).toMatchObject({ status: 201, index: 0 });
      const before = await checkpoint(server);

      await hsm.takeAway();
      const waiting = [newBody(), newBody()];
      for (const [i, body] of waiting.entries()) {
        const reply = await post(server, body);
        expect(reply).toMatchObject({ status: 503, message: `sequenced at index ${i + 1}, not yet published; retry` });
        expect(reply.headers.get('x-log-index')).toBe(String(i + 1));
        expect(reply.headers.get('retry-after')).toMatch(/^\d+$/);
      }
      expect(await ready(server)).toBe(503);
      // What is public stays as it is.
      expect(await checkpoint(server)).toEqual(before);

      await hsm.giveBack();
      await expect.poll(() => ready(server!), { timeout: 30_000, interval: 100 }).toBe(200);
      await expect.poll(async () => (await checkpoint(server!)).size, { timeout: 10_000 }).toBe(3);
      for (const [i, body] of waiting.entries()) {
        const reply = await post(server, body);
        expect(reply).toMatchObject({ status: 201, index: i + 1 });
        expect(reply.headers.get('x-log-index')).toBe(String(i + 1));
      }
      expect(await post(server, newBody())).toMatchObject({ status: 201, index: 3 });

      const { url } = server;
      const tree = await readTree(
        async (path) => Buffer.from(await (await fetch(`${url}/${path}`)).arrayBuffer()),
        await checkpoint(server),
      );
      checkHeads([before], tree.leafHashes);
      expect(await server.stop()).toBe(0);
      expect(await steleJson(['log', 'check', join(dir.path, 'data')])).toMatchObject({ publishedSize: 4 });
      server = await startServer(join(dir.path, 'data'), { args });
      expect(server.size).toBe(4);
    } finally {
      await server?.kill();
      await dir.remove();
    }
  });

  it('a log does not start while its token is away, and says why', async () => {
    const dir = await tempDir();
    await hsm.initToken('away', PIN);
    const key = ['--pkcs11-module', 'libsofthsm2.so', '--token', 'away', '--label', 'log', '--pin-file', pin];
    await steleJson(['keygen', ...key]);
    const flags = key.flatMap((word) =>
      word.startsWith('--') ? `--key-pkcs11-${word.replace(/^--(pkcs11-)?/, '')}` : word,
    );
    await hsm.takeAway();
    await expect(startServer(join(dir.path, 'data'), { args: flags })).rejects.toThrow(/pkcs11-token/);
    await hsm.giveBack();
    const server = await startServer(join(dir.path, 'data'), { args: flags });
    await server.kill();
    await dir.remove();
  });
});

const newBody = (): Buffer => toJson(hashedRekordRequest());

async function post({ url }: ServeProcess, body: Buffer) {
  const reply = await fetch(`${url}/api/v2/log/entries`, { method: 'POST', body: new Uint8Array(body) });
  const { logIndex, message } = (await reply.json()) as { logIndex?: string; message?: string };
  return { status: reply.status, headers: reply.headers, index: Number(logIndex), message };
}

async function checkpoint({ url, verifierKeys }: ServeProcess) {
  return readCheckpoint(await (await fetch(`${url}/checkpoint`)).text(), verifierKeys);
}

async function ready({ adminUrl }: ServeProcess): Promise<number> {
  return (await fetch(`${adminUrl}/readyz`)).status;
}
