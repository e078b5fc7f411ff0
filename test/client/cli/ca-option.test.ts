/** `--ca`, with the built commands against real TLS servers: `npm run build` first. */
import { createHash, createPublicKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele } from '../../support/serve.ts';
import { keyPem, newAuthority, pemOf, type TlsServer, type TlsWish, tlsServer } from '../../support/tls-server.ts';

const ours = newAuthority('our authority');
const other = newAuthority('another authority');

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let server: TlsServer;
const closing: TlsServer[] = [];
const at = (name: string) => join(dir.path, name);

beforeAll(async () => {
  dir = await tempDir();
  log = await startServer(at('data'));
  server = await before({ by: ours });
  await writeFile(at('file'), 'a file');
  await writeFile(at('ours.pem'), pemOf(ours));
  await writeFile(at('other.pem'), pemOf(other));
});

afterAll(async () => {
  await Promise.all(closing.map((one) => one.close()));
  await log.stop();
  await dir.remove();
});

async function before(wish: TlsWish): Promise<TlsServer> {
  const made = await tlsServer(log.url, wish);
  closing.push(made);
  return made;
}

const ca = (name: string) => ['--ca', at(name)];
const sign = (url: string, ...more: string[]) => [
  'sign',
  at('file'),
  '--log',
  url,
  '--log-key',
  log.verifierKeys[0]!,
  '--timeout',
  '20',
  ...more,
];

describe('the commands that reach a log with --ca', () => {
  it('trust the authorities in the file', async () => {
    const signed = await stele(sign(server.url, ...ca('ours.pem')));
    expect(signed).toMatchObject({ code: 0 });
    await writeFile(at('predicate.json'), '{}');
    const attest = ['attest', at('file'), '--predicate', at('predicate.json'), '--type', 'https://example.com/p'];
    const key = ['--key', at('file.key.pem'), '--log', server.url, '--log-key', log.verifierKeys[0]!];
    expect(await stele([...attest, ...key, ...ca('ours.pem')])).toMatchObject({ code: 0 });
    const bundle = JSON.parse(await readFile(at('file.sigstore.json'), 'utf8'));
    delete bundle.verificationMaterial.tlogEntries;
    await writeFile(at('unlogged.json'), JSON.stringify(bundle));
    const submit = ['submit', at('unlogged.json'), '--key', at('file.pub.pem'), '--log', server.url];
    const trust = ['--log-key', log.verifierKeys[0]!, '--out', at('again.json')];
    expect(await stele([...submit, ...trust, ...ca('ours.pem')])).toMatchObject({ code: 0 });
    const queue = ['--queue', at('queue'), '--flush'];
    expect(await stele([...submit, ...trust, ...queue, ...ca('ours.pem')])).toMatchObject({ code: 0 });
    expect(await stele(['audit', server.url, ...trust.slice(0, 2), ...ca('ours.pem')])).toMatchObject({ code: 0 });
  });

  it('trust nobody else: no other authority, and none that the system or the environment has', async () => {
    const system = { NODE_EXTRA_CA_CERTS: at('ours.pem') };
    // Node takes this for an authority of the system.
    expect(await stele(sign(server.url), { env: system })).toMatchObject({ code: 0 });
    const until = server.handshakes();
    for (const env of [{}, system, { NODE_TLS_REJECT_UNAUTHORIZED: '0' }]) {
      const { code, stderr } = await stele(sign(server.url, ...ca('other.pem')), { env });
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(
          /error \[network\]: .*If you trust the server's authority, give its certificate with --ca/,
        ),
      ]);
    }
    expect(await stele(['audit', server.url, ...ca('other.pem')])).toMatchObject({ code: 2 });
    expect(server.handshakes()).toBe(until);
  });

  it('never skip the check of a server without --ca', async () => {
    const plain = await stele(sign(server.url));
    expect([plain.code, plain.stderr]).toEqual([1, expect.stringMatching(/certified the server.*--ca \(/)]);
    const skipped = await stele(sign(server.url), { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
    expect(skipped.code).toBe(1);
    expect(skipped.stderr).toMatch(/warning: NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored/);
    expect(skipped.stderr).toMatch(/error \[network\]: .*--ca/);
    const audit = await stele(['audit', server.url], { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
    expect([audit.code, audit.stderr]).toEqual([2, expect.stringMatching(/error \[network\]: .*--ca/)]);
  });

  it('say what is wrong with a certificate that is over or for another host', async () => {
    const over = await before({ by: ours, certificate: { to: '2025-01-01T00:00:00Z' } });
    const elsewhere = await before({ by: ours, host: 'log.example' });
    expect((await stele(sign(over.url, ...ca('ours.pem')))).stderr).toMatch(/is not valid now.*CERT_HAS_EXPIRED/);
    expect((await stele(sign(elsewhere.url, ...ca('ours.pem')))).stderr).toMatch(
      /is for another host\. Is the address right/,
    );
  });

  it('use the authorities for a time-stamp authority too', async () => {
    const stamp = (name: string) => stele(sign(log.url, '--tsa', `${server.url}/tsa`, ...ca(name)));
    // The log behind the server is no time-stamp authority, but it was reached.
    expect((await stamp('ours.pem')).stderr).toMatch(/error \[bad-timestamp\]/);
    expect((await stamp('other.pem')).stderr).toMatch(/error \[network\]: .*--ca/);
  });

  it('use them in a monitor, for the log and for sinks without authorities of their own', async () => {
    let received = 0;
    const receiver = createServer((request, reply) => {
      received += 1;
      request.resume().on('end', () => reply.end());
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const hook = await tlsServer(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}`, { by: ours });
    closing.push({ ...hook, close: () => hook.close().then(() => void receiver.close()) });

    await stele(sign(log.url));
    const spki = createPublicKey(await readFile(at('file.pub.pem'))).export({ format: 'der', type: 'spki' });
    const rule = `{ name: all, watch: { key: ${createHash('sha256').update(spki).digest('hex')} } }`;
    const monitor = async (state: string, url: string, name: string) => {
      const sink = `type: webhook, name: hook, url: '${hook.url}', allow: [loopback], secrets: [{ env: HOOK }]`;
      const config = [
        `state: ${at(state)}`,
        `logs: [{ url: '${url}', keys: ['${log.verifierKeys[0]}'] }]`,
        `rules: [${rule}]`,
        `sinks: [{ ${sink} }]`,
      ];
      await writeFile(at('monitor.yaml'), config.join('\n'));
      const once = ['monitor', '--config', at('monitor.yaml'), '--once', '--from-start', '--json', ...ca(name)];
      const { stdout } = await stele(once, { env: { HOOK: 'a secret of many characters' } });
      return JSON.parse(stdout.trim().split('\n').at(-1)!);
    };
    expect(await monitor('good', server.url, 'ours.pem')).toMatchObject({ delivered: true, logs: [{ ok: true }] });
    expect(received).toBe(1);
    const unread = await monitor('unread', server.url, 'other.pem');
    expect(unread.logs).toMatchObject([{ ok: false, fault: expect.stringContaining('--ca') }]);

    await writeFile(at('rule.yaml'), rule);
    const test = ['monitor', 'test', at('rule.yaml'), '--log', server.url];
    expect((await stele([...test, ...ca('ours.pem')])).code).toBe(0);
    const wrong = await stele([...test, ...ca('other.pem')]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('--ca')]);
  });
});

describe('a file for --ca', () => {
  const refused = async (content: string | Buffer) => {
    await writeFile(at('wrong.pem'), content);
    const { code, stderr } = await stele(sign(server.url, ...ca('wrong.pem')));
    return `${code} ${stderr}`;
  };

  it('may hold several certificates, with text around them', async () => {
    const bundle = `# authorities\n${pemOf(other)}and ours\n${pemOf(ours)}`;
    await writeFile(at('bundle.pem'), bundle);
    expect(await stele(sign(server.url, ...ca('bundle.pem')))).toMatchObject({ code: 0 });
  });

  it('holds certificates, and no private key', async () => {
    expect(await refused('')).toMatch(/^2 .*error \[file\]: .*wrong\.pem cannot be used: .*holds no certificate/);
    expect(await refused('no PEM\n')).toMatch(/^2 .*holds no certificate/);
    expect(await refused(Buffer.from(ours.certificate.der))).toMatch(/^2 .*holds no certificate/);
    expect(await refused(await readFile(at('file.pub.pem')))).toMatch(/^2 .*holds no certificate/);
    const withKey = await refused(`${pemOf(ours)}${keyPem(ours)}`);
    expect(withKey).toMatch(/^2 .*error \[file\]: .*holds a private key, and --ca takes certificates alone/);
    expect(withKey).not.toContain(keyPem(ours).split('\n')[1]);
    expect(await refused(pemOf(ours).replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'))).toMatch(/^2 .*error \[file\]/);
    expect(await refused(pemOf(ours).slice(0, -30))).toMatch(/^2 .*error \[file\]/);
    const { code, stderr } = await stele(sign(server.url, ...ca('nothing.pem')));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/nothing\.pem cannot be read: there is no such file/)]);
  });
});
