/** A log whose key is in a token goes on with a key in another token, and the first token goes. Needs SoftHSM and a build. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../server/config/load.ts';
import { freezeLog, openShard, prepareShard } from '../../../server/main.ts';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, steleJson } from '../../support/serve.ts';
import { silent } from '../../support/silent.ts';
import { skips } from '../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../support/softhsm.ts';
import { addAt, callAt } from './support.ts';

const SECOND = '127.0.0.1';
const MODULE = 'libsofthsm2.so';

describe.skipIf(skips('shards with keys in tokens', NO_SOFTHSM))('shards with keys in tokens', () => {
  let root: Awaited<ReturnType<typeof tempDir>>;
  let hsm: SoftHsm;
  let server: ServeProcess | undefined;

  beforeEach(async () => {
    root = await tempDir();
    hsm = (await startSoftHsm())!;
  });
  afterEach(async () => {
    await server?.kill();
    server = undefined;
    await hsm.stop();
    await root.remove();
  });

  async function makeKey(token: string): Promise<string> {
    await hsm.initToken(token, '1234');
    const pin = await hsm.pinFile('1234');
    const place = ['--pkcs11-module', MODULE, '--token', token, '--label', 'log', '--pin-file', pin];
    await steleJson(['keygen', ...place, '--origin', 'localhost'], { env: hsm.env });
    return pin;
  }

  it('go on when the first token is gone', async () => {
    const data = join(root.path, 'data');
    const pin = await makeKey('old');
    // SoftHSM shows a process the tokens that were there when it loaded the module, and no later ones.
    const newPin = await makeKey('new');
    const args = [
      ...['--key-pkcs11-module', MODULE, '--key-pkcs11-token', 'old', '--key-pkcs11-label', 'log'],
      ...['--key-pkcs11-pin-file', pin],
    ];
    server = await startServer(data, { args, env: hsm.env });
    const { url } = server;
    expect(await addAt(url, 'localhost', 'first')).toBe(201);

    const options = { config: loadConfig({ flags: { data } }), logger: silent };
    const order = { origin: SECOND, url: `http://${SECOND}:3000` };
    const key = { pkcs11: { module: MODULE, token: 'new', label: 'log', pin: { file: newPin } } };
    const { verifierKeys } = await prepareShard(options, { ...order, key });
    // The key of the log that ends, under another name.
    const same = { pkcs11: { ...key.pkcs11, token: 'old', pin: { file: pin } } };
    await expect(prepareShard(options, { ...order, key: same })).rejects.toMatchObject({ code: 'config' });
    const { checkpoint } = await freezeLog({ ...options, shard: 'localhost' });
    await openShard(options, SECOND);
    expect(await addAt(url, SECOND, 'second')).toBe(201);
    expect(await server.stop()).toBe(0);

    await promisify(execFile)('softhsm2-util', ['--delete-token', '--token', 'old'], { env: hsm.env });
    server = await startServer(data, { args, env: hsm.env });
    expect(server).toMatchObject({ origin: SECOND, verifierKeys, status: 'open' });
    expect(await addAt(server.url, SECOND, 'third')).toBe(201);
    expect((await callAt(server.url, 'localhost', '/checkpoint')).body).toBe(checkpoint);
    expect(await (await fetch(`${server.adminUrl}/readyz`)).json()).toEqual({ ready: true, reasons: [] });
    const entry = JSON.parse((await callAt(server.url, 'localhost', '/stele/v1/entries/0')).body);
    expect(entry.inclusionProof.checkpoint.envelope).toMatch(/^localhost\n1\n/);
  });
});
