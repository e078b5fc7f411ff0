import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../merkle/note.ts';
import { loadConfig } from '../../server/config/load.ts';
import { freezeLog, serve } from '../../server/main.ts';
import { tempDir } from '../support/log.ts';
import { silent } from '../support/silent.ts';

it('does not wait for ever for a freeze that waits for its witnesses', async () => {
  const root = await tempDir();
  const { publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const vkey = formatVerifierKey(makeVerifierKey('w', KEY_TYPE.cosignature, new Uint8Array(raw)));
  const policy = join(root.path, 'policy');
  await writeFile(policy, `witness w ${vkey} http://127.0.0.1:1\nquorum w\n`);
  const ports = { 'listen-port': '0', 'admin-port': '0', 'ingest-threads': '1', 'log-level': 'silent' };
  const opaque = { entries: 'raw' };
  const config = loadConfig({
    flags: { origin: 'localhost', data: join(root.path, 'data'), policy, ...ports, ...opaque },
  });

  const server = await serve({ config, drainMs: 500 });
  const add = async () => (await fetch(`${server.url}/add`, { method: 'POST', body: 'entry' })).status;
  // Committed, and not published: a log without an entry has nothing to show its witnesses.
  expect(await add()).toBe(200);
  const frozen = freezeLog({ config, logger: silent }).catch((error: unknown) => error);
  await expect.poll(add).toBe(405);
  await server.close();
  expect(await frozen).toBeInstanceOf(Error);
  // All is given free: it starts again, and goes on with the freeze.
  const again = await serve({ config, drainMs: 500 });
  expect(again.status).toBe('freezing');
  await again.close();
  await root.remove();
});
