/** A log moves from one SoftHSM token to another: a rotation to a key that was made in the new token. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { twoNames } from '../client/cli/rotate/rotating.ts';
import { later, tempDir } from '../support/log-files.ts';
import { stele, steleJson } from '../support/serve.ts';
import { skips } from '../support/skip.ts';
import { NO_SOFTHSM, startSoftHsm } from '../support/softhsm.ts';

it.skipIf(skips('a rotation between two tokens', NO_SOFTHSM))('a log moves to a key in another token', async () => {
  const dir = tempDir();
  const hsm = (await startSoftHsm())!;
  later(() => hsm.stop());
  const pin = await hsm.pinFile('1234');
  for (const token of ['first', 'second']) {
    await hsm.initToken(token, '1234');
    const made = ['--pkcs11-module', 'libsofthsm2.so', '--token', token, '--label', 'log', '--pin-file', pin];
    await steleJson(['keygen', ...made]);
  }
  const key = { module: 'libsofthsm2.so', token: 'first', label: 'log', 'pin-file': pin };
  const flags = Object.entries(key).flatMap(([name, value]) => [`--key-pkcs11-${name}`, value]);
  const log = await twoNames(join(dir, 'data'), flags);
  const server = await log.start();
  later(() => server.kill());
  const rotate = ['log', 'rotate', log.next, ...log.settings, '--trust-dir', join(dir, 'trust'), '--yes'];
  // The next key must not come into a plain file by itself.
  expect(await stele(rotate)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("the log's key is in a token"),
  });
  const next = ['--next-pkcs11-module', 'libsofthsm2.so', '--next-label', 'log', '--next-pin-file', pin];
  const again = await stele([...rotate, ...next, '--next-token', 'first']);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('the given key is the one of "localhost"') });
  const done = await steleJson([...rotate, ...next, '--next-token', 'second']);
  expect(done).toMatchObject({ step: 'done', to: '127.0.0.1' });
  expect(done.verifierKeys).not.toEqual(server.verifierKeys);
});
