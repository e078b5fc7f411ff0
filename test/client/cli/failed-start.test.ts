/** A start that fails on its configuration leaves nothing behind: no directory, no key, no fixed origin. Real processes. */
import { once } from 'node:events';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/note.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { tempDir } from '../../support/log.ts';
import { stele } from '../../support/serve.ts';
import { newAuthority, pemOf } from '../../support/tls-server.ts';

const FREE = ['--listen-port', '0', '--admin-port', '0'];
const LOG = ['serve', '--origin', 'log.example', '--data', 'data'];
const WITNESS = ['witness', '--name', 'witness.example/w', '--data', 'data'];
const VKEY = formatVerifierKey(ed25519VerifierKey('other.example', new Uint8Array(32).fill(9)));

/** What a case needs beside the data directory, and what the error says. */
interface Case {
  readonly args: readonly string[];
  readonly says: RegExp;
  readonly make?: (at: (name: string) => string) => Promise<unknown>;
  readonly env?: NodeJS.ProcessEnv;
}

async function place(): Promise<string> {
  const { path, remove } = await tempDir();
  onTestFinished(remove);
  return path;
}

async function takenPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return String((server.address() as AddressInfo).port);
}

/** Runs the start where there is no data directory, and where there is an empty one. */
async function fails({ args, says, make, env }: Case): Promise<void> {
  for (const there of [false, true]) {
    const dir = await place();
    await make?.((name) => join(dir, name));
    if (there) await mkdir(join(dir, 'data'));
    const before = await readdir(dir, { recursive: true });
    const { code, stderr } = await stele(args, { cwd: dir, ...(env && { env }) });
    expect(stderr).toMatch(says);
    expect(code).toBe(2);
    expect(await readdir(dir, { recursive: true })).toEqual(before);
  }
}

const key =
  (name: string, mode = 0o600) =>
  async (at: (name: string) => string) => {
    await createKeyFile(at(name), 'ed25519');
    await chmod(at(name), mode);
  };
const file = (name: string, text: string) => (at: (name: string) => string) => writeFile(at(name), text);

describe('a log', () => {
  it.each<[string, Case]>([
    ['no certificate', { args: ['--tls-cert', 'c.pem', '--tls-key', 'k.pem'], says: /c\.pem is not there/ }],
    [
      'a certificate that is none',
      {
        args: ['--tls-cert', 'c.pem', '--tls-key', 'k.pem'],
        says: /c\.pem is not a certificate chain/,
        make: async (at) => {
          await file('c.pem', 'no')(at);
          await key('k.pem')(at);
        },
      },
    ],
    ['no policy', { args: ['--policy', 'p'], says: /the policy .*p is not there/ }],
    [
      'a policy that is none',
      { args: ['--policy', 'p'], says: /the policy .*p is wrong/, make: file('p', 'quorum x\n') },
    ],
    ['a key that is missing', { args: ['--key-file', 'k.pem'], says: /k\.pem cannot be read: there is no such file/ }],
    ['a key open to others', { args: ['--key-file', 'k.pem'], says: /open to others/, make: key('k.pem', 0o644) }],
    ['a second key that is missing', { args: ['--ed25519-key-file', 'k.pem'], says: /k\.pem cannot be read/ }],
    [
      'a second key of the wrong kind',
      { args: ['--ed25519-key-file', 'k.pem'], says: /remove `ed25519Key`/, make: key('k.pem') },
    ],
    ['an ML-DSA key that is missing', { args: ['--mldsa-key', 'k.pem'], says: /k\.pem cannot be read/ }],
    ['no passphrase', { args: ['--key-passphrase-file', 'secret'], says: /secret cannot be read/ }],
    [
      'an empty passphrase',
      { args: ['--key-passphrase-env', 'NOTHING'], says: /NOTHING is empty/, env: { NOTHING: '' } },
    ],
    [
      'no token',
      {
        args: [
          '--key-pkcs11-module',
          './none.so',
          '--key-pkcs11-token',
          't',
          '--key-pkcs11-label',
          'l',
          '--key-pkcs11-pin-file',
          'p',
        ],
        says: /pkcs11/,
        make: file('p', '1234'),
      },
    ],
    ['no agent', { args: ['--key-agent-key', `SHA256:${'a'.repeat(43)}`, '--key-agent-socket', 's'], says: /agent/ }],
    ['an address that is not here', { args: ['--listen-host', '192.0.2.1'], says: /does not have that address/ }],
    ['an unknown setting', { args: ['--config', 'c.yaml'], says: /origins/, make: file('c.yaml', 'origins: x\n') }],
  ])('%s', async (_, { args, ...rest }) => {
    await fails({ args: [...LOG, ...FREE, ...args], ...rest });
  });

  it.each(['listen', 'admin'])('a port that is taken: %s', async (port) => {
    const taken = await takenPort();
    const says = new RegExp(`another program listens there.*${port}\\.port`);
    await fails({ args: [...LOG, ...FREE, `--${port}-port`, taken], says });
  });

  it('no origin', async () => {
    await fails({ args: ['serve', '--data', 'data', ...FREE], says: /origin/ });
  });

  it('a certificate of another key', async () => {
    const cert = pemOf(newAuthority('localhost'));
    const make = async (at: (name: string) => string) => {
      await file('c.pem', cert)(at);
      await key('k.pem')(at);
    };
    await fails({
      args: [...LOG, ...FREE, '--tls-cert', 'c.pem', '--tls-key', 'k.pem'],
      says: /is not the one of the certificate/,
      make,
    });
  });
});

describe('a witness', () => {
  it.each<[string, Case]>([
    ['a list of logs that is none', { args: ['--logs', 'l'], says: /l\b/, make: file('l', 'nothing of the kind\n') }],
    ['a key that is missing', { args: ['--key-file', 'k.pem'], says: /k\.pem cannot be read/ }],
    [
      'a second key that is missing',
      { args: ['--cosignatures', 'both', '--mldsa-key-file', 'm.pem'], says: /m\.pem cannot be read/ },
    ],
    ['an address that is not here', { args: ['--listen-host', '192.0.2.1'], says: /does not have that address/ }],
    ['an unknown setting', { args: ['--config', 'c.yaml'], says: /names/, make: file('c.yaml', 'names: x\n') }],
  ])('%s', async (_, { args, ...rest }) => {
    await fails({ args: [...WITNESS, ...FREE, ...args], ...rest });
  });

  it('a port that is taken', async () => {
    const port = await takenPort();
    await fails({
      args: [...WITNESS, ...FREE, '--cosignatures', 'both', '--admin-port', port],
      says: /another program listens/,
    });
  });
});

describe('a monitor', () => {
  const config = (sinks: string, more = '') =>
    file(
      'm.yaml',
      `state: data\nlogs:\n  - url: http://127.0.0.1:9\n    keys: ['${VKEY}']\n${more}\nsinks: ${sinks}\n`,
    );
  const ARGS = ['monitor', '--config', 'm.yaml', '--from-start'];

  it.each<[string, Omit<Case, 'args'>]>([
    [
      'no secret of a sink',
      {
        says: /secret file .*s\b/,
        make: config('[{ type: webhook, url: "https://a.example/", secrets: [{ file: s }] }]'),
      },
    ],
    ['no policy', { says: /policy/, make: config('[{ type: stdout }]', '    policy: p') }],
    [
      'an address that is not here',
      {
        says: /does not have that address/,
        make: config('[{ type: stdout }]', 'metrics: { host: 192.0.2.1, port: 0 }'),
      },
    ],
  ])('%s', async (_, rest) => {
    await fails({ args: ARGS, ...rest });
  });

  it('a port that is taken', async () => {
    const make = config('[{ type: stdout }]', `metrics: { host: 127.0.0.1, port: ${await takenPort()} }`);
    await fails({ args: ARGS, says: /another program listens there/, make });
  });
});

describe('stele up', () => {
  const UP = ['up', '--data', 'data', ...FREE, '--witness-port', '0'];

  it.each<[string, Case]>([
    ['no certificate', { args: ['--tls-cert', 'c.pem', '--tls-key', 'k.pem'], says: /c\.pem is not there/ }],
    ['a second key that is missing', { args: ['--ed25519-key-file', 'k.pem'], says: /k\.pem cannot be read/ }],
    ['an address that is not here', { args: ['--listen-host', '192.0.2.1'], says: /does not have that address/ }],
    ['no configuration of the monitor', { args: ['--monitor', 'm.yaml'], says: /m\.yaml/ }],
    [
      'a policy',
      { args: ['--policy', 'p'], says: /policy of its own three witnesses/, make: file('p', 'quorum none\n') },
    ],
  ])('%s', async (_, { args, ...rest }) => {
    await fails({ args: [...UP, ...args], ...rest });
  });

  it('a key of its TUF repository that is missing', async () => {
    const dir = await place();
    const repository = join(dir, 'data', 'trust-repository');
    await mkdir(join(repository, 'public'), { recursive: true });
    await writeFile(join(repository, 'public', 'timestamp.json'), '{}');
    const before = await readdir(dir, { recursive: true });
    const { code, stderr } = await stele(UP, { cwd: dir });
    expect(stderr).toMatch(/root\.pem is missing: put it back/);
    expect(code).toBe(2);
    expect(await readdir(dir, { recursive: true })).toEqual(before);
  });

  it.each(['--listen-port', '--admin-port', '--witness-port'])('a port that is taken: %s', async (flag) => {
    await fails({ args: [...UP, flag, await takenPort()], says: /another program listens there/ });
  });
});
