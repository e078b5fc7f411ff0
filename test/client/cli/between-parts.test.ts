/**
 * A log and two witnesses that know each other by SVIDs over mutual TLS, as real processes, each with a Workload API of its own (a
 * stand-in, test/support/workload-api.ts). Run `npm run build` first. The file is long because each test needs these services and
 * their trust domain.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMirrorApp } from '../../../client/trust/tuf/serve/trust-app.ts';
import { TrustMetrics } from '../../../client/trust/tuf/serve/trust-metrics.ts';
import type { LiveTrustServe } from '../../../client/trust/tuf/serve/trust-serve-config.ts';
import { spiffeServerRule } from '../../../merkle/runtime/identity/server-rule.ts';
import { fetchBounded } from '../../../merkle/runtime/service/fetch.ts';
import { Mirror } from '../../../merkle/runtime/service/mirror.ts';
import { listen } from '../../../merkle/runtime/service/ports.ts';
import { ServedTls } from '../../../merkle/runtime/service/served-tls.ts';
import { TlsPool } from '../../../merkle/runtime/service/tls-pool.ts';
import { parseTrustBundle } from '../../../merkle/spiffe/trust-bundle.ts';
import { AdmissionProcess } from '../../support/admission-process.ts';
import { oneRule } from '../../support/decision-policy.ts';
import { tempDir } from '../../support/log.ts';
import { CLI, type ServeProcess, startServer } from '../../support/serve.ts';
import { silent } from '../../support/silent.ts';
import { DEADLINE_MS } from '../../support/until.ts';
import { GOOD, podOf, postReview, reviewOf, TLS, UID } from '../../support/webhook.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';
import { WorkloadApiServer, type WorkloadIdentity } from '../../support/workload-api.ts';
import { TestLog } from '../../witness/helpers.ts';

const passes = <T>(what: () => T | Promise<T>) => vi.waitFor(what, { timeout: DEADLINE_MS, interval: 300 });
const domainOf = (name: string) => `${name}.test`;

let dir: Awaited<ReturnType<typeof tempDir>>;
const apis = new Map<string, WorkloadApiServer>();
const running: (ServeProcess | WitnessProcess)[] = [];
const pools: TlsPool[] = [];
const at = (...names: string[]) => join(dir.path, ...names);

beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  for (const pool of pools.splice(0)) pool.close();
  for (const process of running.splice(0)) await process.kill();
  for (const api of apis.values()) await api.close();
  apis.clear();
  await dir.remove();
});

function identityOf(name: string): WorkloadIdentity {
  return { id: `spiffe://${domainOf(name)}/part` };
}

/** Gives the part an SVID that lasts so long from now on; undefined: the usual time. Its lifetime never runs while services start. */
function shorten(name: string, lifetimeMs: number | undefined): void {
  const api = apis.get(name)!;
  api.identities = [{ ...identityOf(name), ...(lifetimeMs !== undefined && { lifetimeMs }) }];
  api.renew();
}

/** A part with one identity, `spiffe://NAME.test/part`, from an agent of its own; its bundle is the file NAME.bundle. */
async function part(name: string): Promise<WorkloadApiServer> {
  const api = await WorkloadApiServer.start({ socket: at(`${name}.sock`), identities: [identityOf(name)] });
  apis.set(name, api);
  await writeBundle(name);
  return api;
}

async function writeBundle(name: string): Promise<void> {
  await writeFile(at(`${name}.bundle`), apis.get(name)!.bundle());
}

/** A file of identities with the trust domains of these parts. */
async function identities(file: string, names: readonly string[]): Promise<string> {
  const domains = names.map((name) => `  - { name: ${domainOf(name)}, bundle: ${at(`${name}.bundle`)} }\n`);
  await writeFile(at(file), `trustDomains:\n${domains.join('')}`);
  return at(file);
}

async function files(name: string): Promise<readonly string[]> {
  const { cert, key } = apis.get(name)!.files();
  await writeFile(at(`${name}.pem`), cert);
  await writeFile(at(`${name}.key`), key, { mode: 0o600 });
  return ['--client-cert', at(`${name}.pem`), '--client-key', at(`${name}.key`)];
}

const ACCESS = `version: 1
name: witness
callers:
  log: { spiffeId: spiffe://log.test/part }
  operator: { spiffeId: spiffe://ops.test/part }
allow:
  - { name: the log, callers: [log], calls: [cosign], logs: [localhost] }
  - { name: operators, callers: [operator], calls: [admin, read] }
`;

async function witness(name: string, vkeys: readonly string[], admin: readonly string[] = []): Promise<WitnessProcess> {
  await writeFile(at('access.yaml'), ACCESS);
  const identity = await identities('identities-of-witnesses.yaml', ['log', 'ops', 'other']);
  const started = await startWitness(at(name), `${name}.test/w`, vkeys, 0, [
    ...[
      '--tls-workload-api',
      apis.get(name)!.address,
      '--identity-file',
      identity,
      '--identity-access',
      at('access.yaml'),
    ],
    ...admin,
  ]);
  running.push(started);
  return started;
}

/** The verifier key of a log of this directory that has no witnesses yet. */
async function newLog(): Promise<string> {
  const first = await startServer(at('log'));
  await first.kill();
  return first.verifierKeys[0]!;
}

async function serve(args: readonly string[]): Promise<ServeProcess> {
  const started = await startServer(at('log'), { args });
  running.push(started);
  return started;
}

function policyLine(given: WitnessProcess, name: string): string {
  return given.policyLine(name);
}

/** A request as the caller with these files, to a server of this part. */
async function ask(
  url: string,
  server: string,
  caller: string | undefined,
  body?: string,
  headers: Readonly<Record<string, string>> = {},
) {
  const bundles = new Map([
    [domainOf(server), parseTrustBundle(await readFile(at(`${server}.bundle`)), domainOf(server))],
  ]);
  const rule = spiffeServerRule({ current: () => bundles, onChange: () => () => {} }, [
    `spiffe://${domainOf(server)}/part`,
  ]);
  const shown = caller === undefined ? undefined : apis.get(caller)!.files();
  const identity = shown && { current: () => shown, onChange: () => () => {}, close: async () => {} };
  const pool = new TlsPool({ rule, identity });
  pools.push(pool);
  const {
    status,
    headers: answered,
    bytes,
  } = await fetchBounded(url, {
    limit: 1024 * 1024,
    timeoutMs: 20_000,
    fetch: pool.fetch,
    read: 'all',
    body,
    headers,
  });
  return { status, headers: answered, text: Buffer.from(bytes).toString() };
}

function stele(...args: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { timeout: 60_000 }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, out, err });
    });
  });
}

const cosigners = (checkpoint: string) => [...checkpoint.matchAll(/^— (\S+) /gm)].map(([, name]) => name!).sort();

describe('a log and its witnesses by SVIDs', () => {
  it('work while their SVIDs and authorities rotate, and say what is missing while they cannot', async () => {
    await part('ops');
    await part('other');
    const log = await part('log');
    const one = await part('w1');
    const two = await part('w2');
    const vkey = await newLog();
    const [first, second] = [await witness('w1', [vkey]), await witness('w2', [vkey])];
    await writeFile(
      at('policy'),
      `${policyLine(first, 'one')}\n${policyLine(second, 'two')}\ngroup both all one two\nquorum both\n`,
    );
    const server = await serve([
      ...['--policy', at('policy'), '--publish-min-interval', '0ms', '--publish-witness-timeout', '5s'],
      ...['--tls-workload-api', log.address, '--outgoing-identity'],
      await identities('identities-of-log.yaml', ['w1', 'w2']),
      ...[
        '--outgoing-workload-api',
        log.address,
        '--outgoing-spiffe-ids',
        'spiffe://w1.test/part,spiffe://w2.test/part',
      ],
    ]);
    expect(server.url).toMatch(/^https:/);
    const tls = ['--server-id', 'spiffe://log.test/part', '--server-bundle', `log.test=${at('log.bundle')}`];
    await stele('keygen', '--out', at('signer.pem'));
    let count = 0;
    const write = async () => {
      count += 1;
      const file = at(`file-${count}`);
      await writeFile(file, `entry ${count}`);
      const args = ['--key', at('signer.pem'), '--log', server.url, '--log-key', vkey, '--timeout', '30'];
      return await stele('sign', file, ...args, ...tls);
    };
    const checkpoint = async () => (await ask(`${server.url}/checkpoint`, 'log', undefined)).text;

    expect(await write()).toMatchObject({ code: 0 });
    expect(cosigners(await checkpoint())).toEqual(['localhost', 'w1.test/w', 'w2.test/w']);

    // New SVIDs of all, while requests go on.
    const writing = write();
    for (const api of [log, one, two]) api.rotate();
    expect(await writing).toMatchObject({ code: 0 });
    expect(await write()).toMatchObject({ code: 0 });

    // The log's bundle of a witness has other authorities than the witness: the log sends nothing to it, on no connection.
    apis.get('other')!.rotateAuthority();
    for (let i = 0; i < 2; i++) one.rotateAuthority('w1.test', { only: true });
    await writeFile(at('w1.bundle'), apis.get('other')!.bundle());
    const waiting: ReturnType<typeof write>[] = [];
    await passes(async () => {
      waiting.push(write());
      expect(await (await fetch(`${server.adminUrl}/readyz`)).text()).toMatch(
        /one was not asked \(.*does not lead to its trust domain/,
      );
    });
    await writeBundle('w1');
    for (const { code } of await Promise.all(waiting)) expect(code).toBe(0);
    expect(cosigners(await checkpoint())).toEqual(['localhost', 'w1.test/w', 'w2.test/w']);

    // A server of another identity: the client sends nothing.
    const wrong = await stele(
      'audit',
      server.url,
      '--log-key',
      vkey,
      ...['--server-id', 'spiffe://log.test/other'],
      ...tls.slice(2),
    );
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.err).toContain('the server is spiffe://log.test/part, and spiffe://log.test/other is expected');
    expect(await stele('audit', server.url, '--log-key', vkey, ...tls)).toMatchObject({ code: 0 });
  });

  it('outlive the Workload API until their SVID expires, and recover', async () => {
    for (const name of ['ops', 'other', 'w1']) await part(name);
    const log = await part('log');
    const vkey = await newLog();
    const first = await witness('w1', [vkey]);
    await writeFile(at('policy'), `${policyLine(first, 'one')}\nquorum one\n`);
    const server = await serve([
      ...['--policy', at('policy'), '--publish-min-interval', '0ms'],
      ...['--outgoing-identity', await identities('identities-of-log.yaml', ['w1'])],
      ...['--outgoing-workload-api', log.address, '--outgoing-spiffe-ids', 'spiffe://w1.test/**'],
    ]);
    log.failures.set('FetchX509SVID', grpc.status.UNAVAILABLE);
    log.cut();
    const readyz = async () => await (await fetch(`${server.adminUrl}/readyz`)).text();
    await stele('keygen', '--out', at('signer.pem'));
    const write = (name: string) =>
      stele('sign', at(name), '--key', at('signer.pem'), '--log', server.url, '--log-key', vkey);
    await writeFile(at('before'), 'before');
    await writeFile(at('after'), 'after');
    expect(await write('before')).toMatchObject({ code: 0 });
    // The next SVID is a short one, and the last before the agent goes again.
    shorten('log', 5000);
    log.failures.clear();
    await passes(() => expect(log.streams).toBeGreaterThan(0));
    log.failures.set('FetchX509SVID', grpc.status.UNAVAILABLE);
    log.cut();
    await passes(async () => expect(await readyz()).toMatch(/no identity to show|SVID.*expired|expired.*SVID/));
    shorten('log', undefined);
    log.failures.clear();
    await passes(async () => expect(await readyz()).not.toMatch(/expired/));
    expect(await write('after')).toMatchObject({ code: 0 });
  });
});

describe('a witness', () => {
  it('cosigns for the log that its policy names, and refuses others with a reason', async () => {
    for (const name of ['ops', 'other', 'log', 'stranger', 'w1']) await part(name);
    const [own, another] = [new TestLog('localhost'), new TestLog('another.test')];
    const { url } = await witness('w1', [own.vkey, another.vkey]);
    const add = (caller: string | undefined, log = own) =>
      ask(`${url}/add-checkpoint`, 'w1', caller, Buffer.from(log.request(0, 1)).toString());
    expect(await add('log')).toMatchObject({ status: 200 });
    expect(await add(undefined)).toMatchObject({
      status: 401,
      text: expect.stringMatching(/^no-identity: this call needs/),
    });
    expect(await add('other')).toMatchObject({
      status: 403,
      text: 'not-allowed: no rule lets spiffe://other.test/part have a witness cosign a tree head, or sign a subtree\n',
    });
    expect(await add('stranger')).toMatchObject({ status: 401, text: expect.stringMatching(/^trust-domain: /) });
    expect(await add('log', another)).toMatchObject({
      status: 403,
      text: 'not-allowed: the log: the log another.test is not among those of the rule: localhost\n',
    });
    expect(await add('ops')).toMatchObject({ status: 403 });
    // Stolen, and over.
    shorten('log', -2000);
    const refused = await add('log');
    expect(refused).toMatchObject({ status: 401, text: expect.stringMatching(/^certificate-expired: /) });
    expect(refused.headers.get('www-authenticate')).toBe('Certificate');
    // Everybody may read.
    expect(await ask(`${url}/`, 'w1', undefined)).toMatchObject({ status: 200 });
  });

  it('looks at the SVID of an open connection at each request', async () => {
    for (const name of ['ops', 'other', 'log', 'w1']) await part(name);
    const own = new TestLog('localhost');
    const { url } = await witness('w1', [own.vkey]);
    shorten('log', 8000);
    const agent = new https.Agent({
      keepAlive: true,
      maxSockets: 1,
      rejectUnauthorized: false,
      ...apis.get('log')!.files(),
    });
    const sockets = new Set<unknown>();
    const add = async () => {
      const request = https.request(`${url}/add-checkpoint`, { method: 'POST', agent });
      request.end(own.request(0, 1));
      const [reply] = (await once(request, 'response')) as [IncomingMessage];
      sockets.add(request.socket);
      return `${reply.statusCode} ${(await text(reply)).split(':')[0]}`;
    };
    try {
      expect(await add()).toMatch(/^200 /);
      await passes(async () => expect(await add()).toBe('401 certificate-expired'));
      expect(sockets.size).toBe(1);
    } finally {
      agent.destroy();
    }
  });

  it('takes the calls of its operators by SVID alone, where it has no token', async () => {
    for (const name of ['ops', 'other', 'log', 'w1']) await part(name);
    const { adminUrl } = await witness('w1', [], ['--admin-tls', 'true', '--admin-token', 'false']);
    expect(adminUrl).toMatch(/^https:/);
    expect(existsSync(at('w1', 'admin.token'))).toBe(false);
    const body = JSON.stringify({ log: 'x.test' });
    expect(await ask(`${adminUrl}/logs/disable`, 'w1', 'other', body)).toMatchObject({
      status: 403,
      text: expect.stringContaining('not-allowed: no rule lets spiffe://other.test/part'),
    });
    expect(await ask(`${adminUrl}/logs/disable`, 'w1', undefined, body)).toMatchObject({ status: 401 });
    expect(await ask(`${adminUrl}/metrics`, 'w1', undefined)).toMatchObject({ status: 401 });
    expect(await ask(`${adminUrl}/metrics`, 'w1', 'ops')).toMatchObject({ status: 200 });
    expect(await ask(`${adminUrl}/readyz`, 'w1', undefined)).toMatchObject({ status: 200 });
    const { vkey } = new TestLog('x.test');
    const settings = ['--data', at('w1'), '--name', 'w1.test/w'];
    const server = ['--server-id', 'spiffe://w1.test/part', '--server-bundle', `w1.test=${at('w1.bundle')}`];
    const bySvid = ['--client-svid', apis.get('ops')!.address];
    expect(await stele('witness', 'log', 'add', vkey, ...settings, ...server, ...bySvid)).toMatchObject({ code: 0 });
    expect((await stele('witness', 'log', 'list', ...settings, ...server, ...(await files('ops')))).out).toContain(
      'x.test',
    );
    // A file with a token proves nothing here.
    await writeFile(at('w1', 'admin.token'), `${'a'.repeat(43)}\n`);
    await chmod(at('w1', 'admin.token'), 0o600);
    const byToken = await stele('witness', 'log', 'disable', 'x.test', ...settings, ...server);
    expect(byToken).toMatchObject({ code: 1, err: expect.stringContaining('no-identity') });
    const nothing = await stele('witness', 'log', 'disable', 'x.test', ...settings);
    expect(nothing).toMatchObject({ code: 1, err: expect.stringContaining('speaks TLS') });
    const another = await stele(
      'witness',
      'log',
      'disable',
      'x.test',
      ...settings,
      ...server,
      ...(await files('other')),
    );
    expect(another).toMatchObject({ code: 1, err: expect.stringContaining('not-allowed') });
  });
});

describe('a log', () => {
  it('takes the calls of its operators by SVID, or by a short token of theirs, and by no other', async () => {
    const ops = await part('ops');
    for (const name of ['other', 'log']) await part(name);
    await writeFile(
      at('access.yaml'),
      `version: 1
name: log
callers: { operator: { spiffeId: spiffe://ops.test/part } }
allow: [ { name: operators, callers: [operator], calls: [admin, write] } ]
`,
    );
    const settings = [
      ...['--tls-workload-api', apis.get('log')!.address, '--admin-tls', 'true', '--admin-token', 'false'],
      ...['--identity-file', await identities('who.yaml', ['ops', 'other']), '--identity-access', at('access.yaml')],
      ...['--identity-tokens', 'true'],
    ];
    const server = await serve(settings);
    const { adminUrl } = server;
    expect(adminUrl).toMatch(/^https:/);
    expect(existsSync(at('log', 'admin.token'))).toBe(false);
    const shards = (caller: string | undefined, token?: string) =>
      ask(`${adminUrl}/shards`, 'log', caller, '', token === undefined ? {} : { authorization: `Bearer ${token}` });
    expect(await shards('ops')).toMatchObject({ status: 200 });
    expect(await shards(undefined, ops.jwtSvid('spiffe://ops.test/part', ['localhost']))).toMatchObject({
      status: 200,
    });
    expect(await shards(undefined, ops.jwtSvid('spiffe://ops.test/part', ['another.log']))).toMatchObject({
      status: 401,
      text: expect.stringContaining('token-audience'),
    });
    expect(
      await shards(undefined, apis.get('other')!.jwtSvid('spiffe://other.test/part', ['localhost'])),
    ).toMatchObject({
      status: 403,
      text: expect.stringContaining('not-allowed'),
    });
    expect(await shards('other')).toMatchObject({ status: 403 });
    expect(await shards(undefined)).toMatchObject({ status: 401 });
    // And writes by a token in a file.
    await stele('keygen', '--out', at('signer.pem'));
    // Of one second, two tokens with the same claims are the same token, and that one was shown on another connection.
    const token = ops.jwtSvid('spiffe://ops.test/part', ['localhost'], { jti: 'write' });
    await writeFile(at('token'), `${token}\n`);
    const sign = (log: string) =>
      stele(
        ...['sign', at('who.yaml'), '--key', at('signer.pem'), '--log', log, '--log-key', server.verifierKeys[0]!],
        ...['--server-id', 'spiffe://log.test/part', '--server-bundle', `log.test=${at('log.bundle')}`],
        ...['--bearer-token-file', at('token')],
      );
    const signed = await sign(server.url);
    expect(signed.code, signed.err).toBe(0);
    expect(await sign(server.url.replace('https', 'http'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('https'),
    });
    const run = (...who: readonly string[]) =>
      stele(
        ...['log', 'freeze', '--yes', '--data', at('log'), '--server-id', 'spiffe://log.test/part'],
        ...['--server-bundle', `log.test=${at('log.bundle')}`, ...who],
      );
    expect(await run(...(await files('other')))).toMatchObject({
      code: 2,
      err: expect.stringContaining('not-allowed'),
    });
    expect(await run('--client-svid', ops.address)).toMatchObject({
      code: 0,
      out: expect.stringContaining('is frozen'),
    });
  });
});

describe('the webhook of admission', () => {
  it('judges for the callers that its policy names, and denies the reviews of others', async () => {
    for (const name of ['cluster', 'other', 'log']) await part(name);
    await writeFile(at('evidence'), '');
    await writeFile(at('policy.yaml'), oneRule(''));
    await writeFile(
      at('access.yaml'),
      `version: 1
name: webhook
callers: { cluster: { spiffeId: spiffe://cluster.test/part } }
allow: [ { name: the cluster, callers: [cluster], calls: [admit] } ]
`,
    );
    const webhook = await AdmissionProcess.start(dir.path, [
      ...['--policy', 'policy.yaml', '--trust-log-key', await keyFile(), '--evidence-registry', 'false'],
      ...['--evidence-directory', 'evidence', '--identity-file', await identities('who.yaml', ['cluster', 'other'])],
      ...['--identity-access', 'access.yaml'],
    ]);
    try {
      const post = async (caller: string | undefined) => {
        const shown = caller === undefined ? {} : apis.get(caller)!.files();
        const agent = new https.Agent({ ca: TLS.ca, ...shown });
        const { status, response } = await postReview(`${webhook.url}/validate`, reviewOf(podOf(GOOD)), agent);
        return { status, allowed: response.allowed, uid: response.uid, message: response.status?.message };
      };
      const denied = { status: 200, allowed: false, uid: UID };
      expect(await post(undefined)).toMatchObject({ ...denied, message: expect.stringContaining('no-identity: ') });
      expect(await post('other')).toMatchObject({
        ...denied,
        message:
          'this webhook does not answer its caller: not-allowed: no rule lets spiffe://other.test/part ask for the admission of an image',
      });
      expect(await post('log')).toMatchObject({ ...denied, message: expect.stringContaining('trust-domain: ') });
      const judged = await post('cluster');
      expect(judged).toMatchObject(denied);
      expect(judged.message).not.toContain('caller');
    } finally {
      await webhook.end('SIGKILL');
    }
  });

  async function keyFile(): Promise<string> {
    await writeFile(at('log.vkey'), `${new TestLog('localhost').vkey}\n`);
    return at('log.vkey');
  }
});

describe('a mirror', () => {
  it('shows the SVID of its Workload API, the newest after a rotation', async () => {
    const mirror = await part('mirror');
    const live: LiveTrustServe = {
      limits: { connections: 10, requestTimeout: 5000 },
      rateLimit: { max: 0, window: 1000 },
    };
    const tls = await ServedTls.open({ workloadApi: mirror.address }, { logger: silent, reloads: () => undefined });
    const app = createMirrorApp(new Mirror(dir.path), live, { trustProxy: [] }, new TrustMetrics(), silent, tls.pair);
    tls.serve(app.server);
    const url = await listen(app, { host: '127.0.0.1', port: 0 }, 'listen', true);
    const shown = async () => {
      const socket = connect({ port: Number(new URL(url).port), rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const serial = socket.getPeerCertificate().serialNumber;
      socket.destroy();
      return serial;
    };
    try {
      const before = await shown();
      // Its handshake begins before the rotation, and goes on after it.
      const raw = connectTcp(Number(new URL(url).port), '127.0.0.1');
      await once(app.server, 'connection');
      mirror.rotate();
      await passes(async () => expect(await shown()).not.toBe(before));
      const late = connect({ socket: raw, rejectUnauthorized: false });
      await once(late, 'secureConnect');
      late.end('GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
      expect(await text(late)).toMatch(/^HTTP\/1.1 200 /);
      expect(tls.problem()).toBeUndefined();
      expect(await ask(`${url}/`, 'mirror', undefined)).toMatchObject({ status: 200 });
    } finally {
      await app.close();
      await tls.close();
    }
  });
});
