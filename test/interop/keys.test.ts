/** Keys as cosign, OpenSSL and OpenSSH write them, at `stele sign`. */
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { ok } from './tools.ts';

const noTools = skips('keys of other programs', lacking('cosign', 'openssl', 'ssh-keygen'));

describe.skipIf(noTools)('stele sign', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    server = await startServer(at('data'));
    await writeFile(at('artifact'), 'hello');
    await writeFile(at('passphrase'), 'correct horse\n', { mode: 0o600 });
    await ok('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-out', at('sec1.pem')]);
    await ok('openssl', ['genrsa', '-out', at('rsa.pem'), '2048']);
  });
  afterAll(async () => {
    await server?.kill();
    await dir.remove();
  });

  const signing = (key: string, more: readonly string[]) => {
    const log = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
    return ['sign', at('artifact'), '--key', at(key), ...more, ...log, '--out', at(`${key}.json`)];
  };

  /** Signs and verifies. */
  async function takes(key: string, ...more: readonly string[]): Promise<void> {
    const pub = ['--public-out', at(`${key}.pub`)];
    await steleJson([...signing(key, [...more, ...pub])]);
    const who = ['--key', at(`${key}.pub`), '--log-key', server.verifierKeys[0]!];
    await steleJson(['verify', at('artifact'), '--bundle', at(`${key}.json`), ...who]);
  }

  it.each([
    ['a passphrase', 'secret'],
    ['an empty passphrase', ''],
  ])('takes the key of cosign with %s, which is the key of cosign.pub', async (_what, password) => {
    const env = { COSIGN_PASSWORD: password };
    const prefix = `cosign-${password.length}`;
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at(prefix)], env);
    const args = signing(`${prefix}.key`, [
      '--passphrase-env',
      'COSIGN_PASSWORD',
      '--public-out',
      at(`${prefix}.spki`),
    ]);
    expect(await stele(args, { env })).toMatchObject({ code: 0 });
    const who = ['--key', at(`${prefix}.pub`), '--log-key', server.verifierKeys[0]!];
    await steleJson(['verify', at('artifact'), '--bundle', at(`${prefix}.key.json`), ...who]);

    expect(await stele(signing(`${prefix}.key`, []))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[passphrase\].*--passphrase-file.*--passphrase-env COSIGN_PASSWORD/),
    });
    const wrong = signing(`${prefix}.key`, ['--passphrase-file', at('passphrase')]);
    expect(await stele(wrong)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[passphrase\].*passphrase is wrong/),
    });
  });

  it('takes the keys that cosign imports', async () => {
    await ok('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', at('ed25519.pem')]);
    for (const name of ['rsa', 'ed25519']) {
      const args = ['import-key-pair', '--key', at(`${name}.pem`), '--output-key-prefix', at(`imported-${name}`)];
      await ok('cosign', args, { COSIGN_PASSWORD: 'correct horse' });
      await takes(`imported-${name}.key`, '--passphrase-file', at('passphrase'));
    }
  });

  it.each([
    ['scrypt', ['pkcs8', '-topk8', '-scrypt']],
    ['PBKDF2', ['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA512']],
    ['PKCS#12 and triple DES', ['pkcs8', '-topk8', '-v1', 'PBE-SHA1-3DES']],
    ['its older form', ['ec', '-aes256']],
  ])('takes a key that OpenSSL encrypts with %s', async (name, how) => {
    const out = ['-in', at('sec1.pem'), '-out', at(`${name}.pem`), '-passout', `file:${at('passphrase')}`];
    await ok('openssl', [...how, ...out]);
    await takes(`${name}.pem`, '--passphrase-file', at('passphrase'));
  });

  it.each([
    ['with the parameters of its curve', ['ecparam', '-name', 'secp384r1', '-genkey']],
    ['with a compressed point', ['ec', '-conv_form', 'compressed']],
    ['without its public half', ['ec', '-no_public']],
    ['with explicit parameters', ['ec', '-param_enc', 'explicit']],
  ])('takes a key of OpenSSL %s', async (name, how) => {
    const from = how[0] === 'ec' ? ['-in', at('sec1.pem')] : [];
    await ok('openssl', [...how, ...from, '-out', at(`${name}.pem`)]);
    await takes(`${name}.pem`);
  });

  it('says how to turn a key with an old cipher into one that is read', async () => {
    const old = ['-v1', 'PBE-MD5-DES', '-provider', 'legacy', '-provider', 'default', '-passout', 'pass:x'];
    await ok('openssl', ['pkcs8', '-topk8', '-in', at('sec1.pem'), '-out', at('old.pem'), ...old]);
    expect(await stele(signing('old.pem', ['--passphrase-file', at('passphrase')]))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[key\].*old cipher/),
    });
    const anew = ['-provider', 'legacy', '-provider', 'default', '-passin', 'pass:x', '-passout', 'pass:correct horse'];
    await ok('openssl', ['pkcs8', '-topk8', '-in', at('old.pem'), '-out', at('anew.pem'), ...anew]);
    await takes('anew.pem', '--passphrase-file', at('passphrase'));
  });

  it.each(['ecdsa', 'rsa'])(
    'names an %s key of OpenSSH, and its way out leads to a key that it takes',
    async (type) => {
      await ok('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', at(`ssh-${type}`)]);
      expect(await stele(signing(`ssh-${type}`, []))).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/\[key\].*OpenSSH's own form.*ssh-keygen -p -m PKCS8 -f COPY/),
      });
      await copyFile(at(`ssh-${type}`), at(`copy-${type}`));
      await ok('ssh-keygen', ['-q', '-p', '-m', 'PKCS8', '-P', '', '-N', '', '-f', at(`copy-${type}`)]);
      await takes(`copy-${type}`);
    },
  );

  it('names an Ed25519 key of OpenSSH, which an older ssh-keygen leaves in its form', async () => {
    await ok('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'correct horse', '-f', at('ssh-ed')]);
    expect(await stele(signing('ssh-ed', []))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('leaves an Ed25519 key as it is'),
    });
  });

  it('names PKCS#12, and its way out leads to a key that it takes', async () => {
    const subject = ['-subj', '/CN=stele test', '-days', '2'];
    await ok('openssl', ['req', '-x509', '-new', '-key', at('sec1.pem'), ...subject, '-out', at('cert.pem')]);
    const p12 = ['pkcs12', '-export', '-inkey', at('sec1.pem'), '-in', at('cert.pem'), '-passout', 'pass:x'];
    await ok('openssl', [...p12, '-out', at('key.p12')]);
    expect(await stele(signing('key.p12', []))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[key\].*PKCS#12/),
    });
    const take = ['pkcs12', '-in', at('key.p12'), '-nocerts', '-nodes', '-passin', 'pass:x', '-out', at('taken.pem')];
    await ok('openssl', take);
    await takes('taken.pem');
  });

  it('names the key in a key-management service, and the way to sign with it there', async () => {
    const log = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
    const { code, stderr } = await stele(['sign', at('artifact'), '--key', 'awskms://alias/release', ...log]);
    expect(code).toBe(2);
    const [, advice] = /\[key\]: awskms:.*`cosign (sign-blob .*?)`/.exec(stderr)!;
    // The same command with a key in a file.
    const env = { COSIGN_PASSWORD: '' };
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('managed')], env);
    const given: Record<string, string> = {
      'awskms://…': at('managed.key'),
      'FILE.sigstore.json': at('managed.json'),
      FILE: at('artifact'),
    };
    await ok('cosign', [...advice!.split(' ').map((word) => given[word] ?? word), '--yes'], env);
    await steleJson(['submit', at('managed.json'), '--key', at('managed.pub'), ...log]);
    const who = ['--key', at('managed.pub'), '--log-key', server.verifierKeys[0]!];
    await steleJson(['verify', at('artifact'), '--bundle', at('managed.json'), ...who]);
  });
});
