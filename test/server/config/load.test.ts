import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadOptions } from '../../../merkle/runtime/config/load.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { loadConfig, SETTINGS } from '../../../server/config/load.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function file(text: string | Uint8Array): string {
  writeFileSync(join(dir, 'stele.yaml'), text);
  return join(dir, 'stele.yaml');
}

function failure(options: LoadOptions): string {
  try {
    loadConfig(options);
  } catch (error) {
    expect(error).toBeInstanceOf(RuntimeError);
    expect((error as RuntimeError).code).toBe('config');
    return (error as RuntimeError).message;
  }
  throw new Error('the configuration was accepted');
}

const FINGERPRINT = `SHA256:${'A'.repeat(43)}`;

describe('loadConfig', () => {
  it('shows no private key that stands in the place of its file', () => {
    const pem = `-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA${'Q'.repeat(42)}\n-----END PRIVATE KEY-----\n`;
    for (const options of [{ flags: { 'key-file': pem } }, { env: { STELE_KEY_FILE: pem } }]) {
      expect(failure(options)).toMatch(
        /"key.file" .* is a private key itself, which belongs into a file; allowed: a path/,
      );
      expect(failure(options)).not.toContain('MC4C');
    }
  });

  it('has safe defaults', () => {
    const config = loadConfig({ cwd: '/srv' });
    expect(config).toMatchObject({
      data: '/srv/data',
      listen: { host: '127.0.0.1', port: 3000 },
      admin: { host: '127.0.0.1', port: 3001 },
      key: { file: '/srv/data/key.pem' },
      createKey: true,
      batch: { maxSize: 1024, maxAge: 10 },
      limits: { bodyBytes: 4 * 1024 * 1024, bulkItems: 256, publishTimeout: 10_000 },
      duplicates: 'return',
      rateLimit: { max: 0 },
      trustProxy: [],
      log: { requests: false },
    });
    expect(config.ingest.threads).toBeGreaterThan(0);
    expect(config.tls).toBeUndefined();
    expect(config.policy).toBeUndefined();
  });

  it('takes a flag before a variable before the file before the default', () => {
    const path = file('batch:\n  maxAge: 1ms\n  maxSize: 1\nretryAfter: 2s\n');
    const env = { STELE_BATCH_MAX_AGE: '20ms', STELE_BATCH_MAX_SIZE: '2' };
    const config = loadConfig({ file: path, env, flags: { 'batch-max-age': '300ms' } });
    expect(config.batch).toEqual({ maxAge: 300, maxSize: 2 });
    expect(config.retryAfter).toBe(2000);
  });

  it('reads every setting from a flag, from a variable and from the file alike', () => {
    const samples = {
      duration: '7s',
      size: '64KiB',
      count: '7',
      text: 'seven',
      path: 'x/y',
      variable: 'A_B',
      switch: 'true',
    };
    for (const setting of SETTINGS) {
      const value =
        setting.kind === 'choice'
          ? setting.allowed.split(', ').at(-1)!
          : setting.kind === 'list'
            ? setting.name === 'outgoing.spiffeIds'
              ? 'spiffe://example.org/witness/**'
              : setting.name === 'outgoing.witnessIds'
                ? 'w1=spiffe://example.org/w1'
                : '10.0.0.7'
            : setting.name === 'admin.token'
              ? 'false'
              : setting.name.endsWith('.workloadApi')
                ? 'unix:///run/agent.sock'
                : setting.name.endsWith('.svidId')
                  ? 'spiffe://example.org/log'
                  : setting.name === 'limits.bodiesBytes'
                    ? '9MiB'
                    : setting.name === 'publicUrl' || setting.name === 'secondPlaceS3.endpoint'
                      ? 'https://log.example.com'
                      : setting.flag.endsWith('-agent-key')
                        ? FINGERPRINT
                        : samples[setting.kind];
      // What a setting needs beside it, else it is refused for that.
      const others: Record<string, string> = {};
      const pairOf = (group: string) => ({ [`${group}-cert`]: 'c', [`${group}-key`]: 'k' });
      if (setting.path[0] === 'tls' && setting.kind === 'path') Object.assign(others, pairOf('tls'));
      if (setting.path[0] === 'outgoing' && setting.kind === 'path') Object.assign(others, pairOf('outgoing'));
      if (setting.name.endsWith('.svidId')) others[`${setting.path[0]}-workload-api`] = 'unix:///run/agent.sock';
      if (setting.name === 'outgoing.witnessIds') others['outgoing-identity'] = 'i';
      if (setting.name === 'outgoing.spiffeIds') others['outgoing-identity'] = 'i';
      if (setting.name === 'outgoing.identity') others['outgoing-spiffe-ids'] = 'spiffe://example.org/w';
      if (setting.name === 'admin.token') {
        Object.assign(others, pairOf('tls'), {
          'identity-file': 'i',
          'identity-access': 'a',
          'admin-tls': 'true',
        });
      }
      if (setting.name === 'admin.tls') Object.assign(others, pairOf('tls'));
      if (setting.path[0] === 'ed25519Key' && setting.path.length === 2) others['ed25519-key-file'] = 'f';
      if (setting.path[0] === 'identity') {
        const tls = { 'tls-cert': 'c', 'tls-key': 'k' };
        Object.assign(others, tls, { 'identity-file': 'i', 'identity-access': 'a' });
      }
      if (setting.path[0] === 'secondPlaceS3') {
        Object.assign(others, {
          'second-place-s3-endpoint': 'https://s3.example.com',
          'second-place-s3-bucket': 'records',
        });
      }
      if (setting.path[1] === 'pkcs11') {
        const group = setting.flag.replace(/-[^-]+$/, '').replace(/-pin$/, '');
        Object.assign(others, { [`${group}-module`]: 'm', [`${group}-token`]: 't', [`${group}-label`]: 'l' });
        if (!setting.flag.includes('-pin-')) others[`${group}-pin-env`] = 'PIN';
      }
      if (setting.path[1] === 'agent') others[setting.flag.replace(/-[^-]+$/, '-key')] = FINGERPRINT;
      if (setting.name === 'limits.headersTimeout' || setting.name === 'limits.requestTimeout') {
        Object.assign(others, { 'limits-headers-timeout': '5s' });
      }
      delete others[setting.flag];
      const nested = setting.path.reduceRight<string>(
        (inner, part) => `{${part}: ${inner}}`,
        setting.kind === 'list' ? `[${value}]` : value,
      );

      const byFlag = loadConfig({ cwd: dir, flags: { ...others, [setting.flag]: value } });
      const byEnv = loadConfig({ cwd: dir, flags: others, env: { [setting.env]: value } });
      const byFile = loadConfig({ cwd: dir, flags: others, file: file(nested) });
      expect(byEnv, setting.name).toEqual(byFlag);
      expect(byFile, setting.name).toEqual(byFlag);
      expect(byFlag, setting.name).not.toEqual(
        loadConfig({ cwd: dir, flags: setting.path.length > 1 && setting.path[0] !== 'tls' ? {} : {} }),
      );
    }
  });

  it.each([
    ['identity: { file: i.yaml, access: a.yaml }', '"identity.file" needs "tls.cert" and "tls.key"'],
    ['identity: { file: i.yaml }', 'also needs "identity.access"'],
    ['identity: { access: a.yaml }', 'also needs "identity.file"'],
    ['identity: { tokens: true }', '"identity.tokens" needs'],
    ['identity: { record: { file: r.jsonl } }', '"identity.record.file" needs'],
    ['identity: { tokenLifetime: 11m }', '1s to 10m'],
  ])('refuses %s', (text, why) => {
    expect(() => loadConfig({ cwd: dir, file: file(text) })).toThrow(why);
  });

  it('is frozen at every depth', () => {
    const config = loadConfig() as { limits: { bodyBytes: number } };
    expect(() => {
      config.limits.bodyBytes = 1;
    }).toThrow(TypeError);
  });

  it('resolves paths of the file against its directory, others against the working directory', () => {
    const path = file(
      'data: log\npolicy: /etc/policy\nkey: {pkcs11: {module: libsofthsm2.so, token: t, label: l, pinFile: pin}}\n',
    );
    const config = loadConfig({ file: path, cwd: '/srv', flags: { 'tls-cert': 'c.pem', 'tls-key': 'k.pem' } });
    expect(config.data).toBe(join(dir, 'log'));
    expect(config.policy).toBe('/etc/policy');
    expect(config.key).toEqual({
      pkcs11: { module: 'libsofthsm2.so', token: 't', label: 'l', pin: { file: join(dir, 'pin') } },
    });
    expect(config.createKey).toBe(false);
    expect(config.tls).toEqual({ cert: '/srv/c.pem', key: '/srv/k.pem' });
  });

  it('takes one second place, a directory or a bucket that is named in full', () => {
    const bucket = { 'second-place-s3-endpoint': 'http://[::1]:9000/s3/', 'second-place-s3-bucket': 'records' };
    expect(loadConfig().secondPlaceS3).toBeUndefined();
    expect(loadConfig({ flags: bucket }).secondPlaceS3).toMatchObject({
      endpoint: 'http://[::1]:9000/s3',
      bucket: 'records',
    });
    const refuses = (flags: Record<string, string>, why: string | RegExp) =>
      expect(() => loadConfig({ flags })).toThrow(why);
    refuses({ ...bucket, 'second-place': 'd' }, '"secondPlace" and "secondPlaceS3" are both set: keep one');
    refuses({ 'second-place-s3-prefix': 'log' }, '"secondPlaceS3" also needs "endpoint" and "bucket"');
    refuses({ 'second-place-s3-endpoint': 'https://s3.example.com' }, '"secondPlaceS3" also needs "bucket"');
    for (const endpoint of [
      'https://id:secret@s3.example.com',
      'ftp://s3.example.com',
      'https://s3.example.com/?x=1',
    ]) {
      refuses({ ...bucket, 'second-place-s3-endpoint': endpoint }, /second-place-s3-endpoint/);
    }
    for (const name of ['a', 'Upper', 'a/b', '..', 'a?b']) {
      refuses({ ...bucket, 'second-place-s3-bucket': name }, /second-place-s3-bucket/);
    }
    for (const prefix of ['/a', 'a/', 'a//b', '../b', 'a/..', 'a b', 'a%2e', 'a+b']) {
      refuses({ ...bucket, 'second-place-s3-prefix': prefix }, /second-place-s3-prefix/);
    }
  });

  it('takes a key in an ssh-agent by its fingerprint or its public key', () => {
    const line = `ecdsa-sha2-nistp256 ${'A'.repeat(139)}= somebody@example.com`;
    for (const key of [FINGERPRINT, line, `ssh-ed25519 ${'A'.repeat(68)}`]) {
      expect(loadConfig({ flags: { 'key-agent-key': key } })).toMatchObject({
        key: { agent: { key } },
        createKey: false,
      });
    }
    const flags = { 'key-agent-key': FINGERPRINT, 'key-agent-socket': 'agent.sock' };
    expect(loadConfig({ flags, cwd: '/srv' }).key).toEqual({ agent: { key: FINGERPRINT, socket: '/srv/agent.sock' } });
  });
});

describe('the public URL', () => {
  const flags = (url: string, more: Record<string, string> = {}) => ({ flags: { 'public-url': url, ...more } });

  it('is an absolute address, without a slash at its end', () => {
    expect(loadConfig(flags('https://Log.Example.com/')).publicUrl).toBe('https://log.example.com');
    expect(loadConfig(flags('http://log.example.com:8080/one/')).publicUrl).toBe('http://log.example.com:8080/one');
    expect(loadConfig().publicUrl).toBeUndefined();
  });

  it.each([
    'log.example.com',
    'https:log.example.com',
    '//log.example.com',
    'ftp://log.example.com',
    'https://user@log.example.com',
    'https://log.example.com/?a',
    'https://log.example.com/#a',
    ' https://log.example.com',
    'https://log.example.com:99999',
    'https:\\\\log.example.com',
  ])('is not %s', (url) => {
    expect(failure(flags(url))).toMatch(/"publicUrl" .*an https or http URL without user name, query and fragment/);
  });

  it('is not localhost for a log that others know by another name, and the other way round', () => {
    for (const host of ['localhost:3000', 'LOCALHOST', 'my.localhost', '127.0.0.2', '[::1]:3000', '[::]', '0.0.0.0']) {
      expect(failure(flags(`http://${host}`, { origin: 'log.example.com' })), host).toMatch(
        /"publicUrl" is http:.*leave it out/,
      );
      expect(loadConfig(flags(`http://${host}`, { origin: 'localhost' })).origin, host).toBe('localhost');
    }
    expect(failure(flags('https://log.example.com', { origin: 'localhost' }))).toMatch(/"origin" is localhost/);
    // Of a log that is called so already.
    expect(loadConfig(flags('https://log.example.com')).publicUrl).toBe('https://log.example.com');
    expect(loadConfig(flags('https://127.example.com', { origin: 'log.example.com' })).origin).toBe('log.example.com');
  });
});

describe('a wrong configuration', () => {
  it('names an unknown setting, its line and the nearest one', () => {
    const message = failure({ file: file('origin: a\nbatch:\n  maxAgee: 1ms\n') });
    expect(message).toContain('"batch.maxAgee"');
    expect(message).toContain('line 3');
    expect(message).toContain('did you mean "maxAge"?');
    expect(failure({ file: file('maxAge: 1ms') })).toContain('did you mean "batch.maxAge"?');
  });

  it('names an unknown flag and an unknown variable', () => {
    expect(failure({ flags: { 'batch-maxage': '5ms' } })).toContain('did you mean --batch-max-age?');
    expect(failure({ env: { STELE_ORIGN: 'a' } })).toContain('did you mean STELE_ORIGIN?');
    expect(failure({ env: { STELE_ZZZZZZZZZZZZ: 'a' } })).toContain('docs/configuration.md');
  });

  it('leaves the variables of Kubernetes and of secrets alone', () => {
    const env = {
      STELE_SERVICE_HOST: '10.0.0.1',
      STELE_PORT_3000_TCP_ADDR: '10.0.0.1',
      STELE_DEBUG: '1',
      STELE_PASS: 'x',
      HOME: '/',
    };
    expect(loadConfig({ env, flags: { 'key-passphrase-env': 'STELE_PASS' } }).key).toMatchObject({
      passphrase: { env: 'STELE_PASS' },
    });
    expect(failure({ env })).toContain('STELE_PASS');
  });

  it.each([
    ['batch-max-age', '5', 'written as 5ms'],
    ['batch-max-age', '11s', '0ms to 10s'],
    ['batch-max-size', '1e3', 'a whole number from 1 to 65536'],
    ['batch-max-size', '-1', 'a whole number'],
    ['batch-max-size', '0x10', 'a whole number'],
    ['limits-body-bytes', '4MB', '64KiB to 64MiB'],
    ['limits-body-bytes', '1', '64KiB to 64MiB'],
    ['origin', 'https://log.example.com', 'bare host name'],
    ['origin', 'log.example.com:3000', 'bare host name'],
    ['origin', 'Log.example.com', 'bare host name'],
    ['origin', 'a..b', 'bare host name'],
    ['duplicates', 'maybe', 'one of return, conflict'],
    ['log-requests', 'yes', 'true or false'],
    ['trust-proxy', '10.0.0.0/33', 'IP addresses'],
    ['data', '', 'a path'],
  ])('refuses --%s %s and says what is allowed', (flag, value, allowed) => {
    const message = failure({ flags: { [flag]: value } });
    expect(message).toContain(`the flag --${flag}`);
    expect(message).toContain(allowed);
  });

  it('reports all mistakes at once, those of overridden sources too', () => {
    const message = failure({
      env: { STELE_ORIGIN: '' },
      flags: { origin: 'log.example.com', 'listen-port': '99999' },
    });
    expect(message).toContain('2 settings are wrong');
    expect(message).toContain('STELE_ORIGIN');
    expect(message).toContain('listen.port');
  });

  it('never repeats what may be a secret', () => {
    const message = failure({ flags: { 'key-pkcs11-pin-env': '12 34-secret' } });
    expect(message).toContain('key.pkcs11.pinEnv');
    expect(message).not.toContain('secret"');
    expect(message).not.toContain('12 34');
  });

  it.each([
    ['a key in a file and in a token', { 'key-file': 'k', 'key-pkcs11-token': 't' }, 'key.pkcs11'],
    ['a token without the rest', { 'key-pkcs11-token': 't' }, '"module", "label", "pinFile" or "pinEnv"'],
    ['a key in a file and in an agent', { 'key-file': 'k', 'key-agent-key': FINGERPRINT }, 'the agent or in a file'],
    [
      'a key in a token and in an agent',
      { 'key-pkcs11-token': 't', 'key-agent-key': FINGERPRINT },
      'in the token or in the agent',
    ],
    ['an agent without the key', { 'key-agent-socket': 's' }, 'also needs "key" in "key.agent"'],
    ['an agent key by its comment', { 'key-agent-key': 'mine' }, 'a fingerprint (SHA256:…) or a public key'],
    ['two passphrases', { 'key-passphrase-file': 'k', 'key-passphrase-env': 't' }, 'keep one'],
    ['half of TLS', { 'tls-cert': 'c' }, 'tls.key'],
    [
      'files and a Workload API',
      { 'tls-cert': 'c', 'tls-key': 'k', 'tls-workload-api': '/run/agent.sock' },
      'keep one',
    ],
    ['a Workload API without an address', { 'tls-workload-api': 'agent.sock' }, 'tls.workloadApi'],
    ['TLS of the admin port without a certificate', { 'admin-tls': 'true' }, '"tls" has no certificate'],
    ['an admin port for nobody', { 'admin-token': 'false' }, 'nobody could call'],
    ['half of an identity', { 'outgoing-key': 'k' }, 'outgoing.cert'],
    ['an SVID without its Workload API', { 'outgoing-svid-id': 'spiffe://example.org/log' }, 'set both'],
    [
      'an SVID beside files',
      { 'tls-cert': 'c', 'tls-key': 'k', 'tls-svid-id': 'spiffe://example.org/log' },
      '"tls.svidId" is about "tls.workloadApi"',
    ],
    [
      'an SVID of a whole trust domain',
      { 'tls-workload-api': '/run/agent.sock', 'tls-svid-id': 'spiffe://example.org/' },
      '"tls.svidId" is not the SPIFFE ID of a workload',
    ],
    [
      'a witness with two SPIFFE IDs',
      { 'outgoing-identity': 'i', 'outgoing-witness-ids': 'a=spiffe://example.org/a,a=spiffe://example.org/b' },
      'names the witness a twice',
    ],
    ['a SPIFFE ID of no witness', { 'outgoing-witness-ids': 'spiffe://example.org/a' }, 'outgoing.witnessIds'],
    [
      'SPIFFE IDs of witnesses without bundles',
      { 'outgoing-witness-ids': 'a=spiffe://example.org/a' },
      'needs the bundles',
    ],
    ['SPIFFE IDs without bundles', { 'outgoing-spiffe-ids': 'spiffe://example.org/w' }, 'needs the bundles'],
    [
      'a pattern that is none',
      { 'outgoing-spiffe-ids': 'spiffe://*/w', 'outgoing-identity': 'i' },
      'outgoing.spiffeIds',
    ],
    [
      'two ways to trust witnesses',
      { 'outgoing-spiffe-ids': 'spiffe://example.org/w', 'outgoing-identity': 'i', 'outgoing-ca': 'c' },
      'keep one',
    ],
    ['headers slower than the request', { 'limits-headers-timeout': '90s' }, '"limits.requestTimeout" (60s)'],
    ['less room than one body', { 'limits-bodies-bytes': '1MiB' }, '"limits.bodyBytes"'],
    ['one port twice', { 'admin-port': '3000' }, 'admin'],
  ])('refuses %s', (_, flags, part) => {
    expect(failure({ flags: flags as Record<string, string> })).toContain(part);
  });

  it.each([
    ['a key twice', 'origin: a\norigin: b\n', 'Map keys must be unique'],
    ['an alias', 'origin: &a x\ndata: *a\n', 'YAML aliases'],
    ['two documents', 'origin: a\n---\norigin: b\n', 'not valid YAML'],
    ['a list', '- origin\n', 'must be a mapping'],
    ['a value where a group is', 'batch: 5\n', '"batch"'],
    ['a mapping where a value is', 'origin: {a: b}\n', 'a mapping'],
    ['an empty value', 'origin:\n', 'empty'],
    ['a tag', 'origin: !!js/function "x"\n', 'not valid YAML'],
    ['a prototype', '__proto__: {origin: a}\n', '__proto__'],
    ['a null key', '? \n: x\n', 'every key must be text'],
  ])('refuses a file with %s', (_, text, part) => {
    expect(failure({ file: file(text) })).toContain(part);
  });

  it('refuses a file that is missing, too long or not UTF-8', () => {
    expect(failure({ file: join(dir, 'none.yaml') })).toContain('ENOENT');
    expect(failure({ env: { STELE_CONFIG: join(dir, 'none.yaml') } })).toContain('ENOENT');
    expect(failure({ file: file(`#${' '.repeat(300_000)}`) })).toContain('more than');
    expect(failure({ file: dir })).toContain('no regular file');
    expect(failure({ file: file(new Uint8Array([0x23, 0xff])) })).toContain('UTF-8');
  });
});
