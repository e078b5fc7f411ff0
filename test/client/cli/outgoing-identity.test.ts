/**
 * Parts that call others with their SVIDs: the monitor, a log that knows each of its witnesses, `stele log restore`, and a witness that
 * polls. Real processes, each with a Workload API of its own (a stand-in, test/support/workload-api.ts). Run `npm run build` first.
 */
import { readFile, writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele as steleOf } from '../../support/serve.ts';
import { DEADLINE_MS } from '../../support/until.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';
import { WorkloadApiServer } from '../../support/workload-api.ts';
import { TestLog } from '../../witness/helpers.ts';

const passes = <T>(what: () => T | Promise<T>) => vi.waitFor(what, { timeout: DEADLINE_MS, interval: 300 });

let dir: Awaited<ReturnType<typeof tempDir>>;
const ends: (() => Promise<unknown>)[] = [];
const at = (...names: string[]) => join(dir.path, ...names);
const stele = (...args: string[]) => steleOf(args);

beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await dir.remove();
});

/** A part with these identities, the first one the default; the bundle of its trust domain is the file NAME.bundle. */
async function part(name: string, paths: readonly string[] = ['part']): Promise<WorkloadApiServer> {
  const identities = paths.map((path) => ({ id: `spiffe://${name}.test/${path}` }));
  const api = await WorkloadApiServer.start({ socket: at(`${name}.sock`), identities });
  ends.push(() => api.close());
  await writeFile(at(`${name}.bundle`), api.bundle());
  return api;
}

async function identities(names: readonly string[]): Promise<string> {
  const file = at(`identities-${names.join('-')}.yaml`);
  const domains = names.map((name) => `  - { name: ${name}.test, bundle: ${at(`${name}.bundle`)} }\n`);
  await writeFile(file, `trustDomains:\n${domains.join('')}`);
  return file;
}

async function serve(args: readonly string[]): Promise<ServeProcess> {
  const log = await startServer(at('log'), { args });
  ends.push(() => log.kill());
  return log;
}

async function witness(name: string, api: WorkloadApiServer, logs: string[], args: string[]): Promise<WitnessProcess> {
  const made = await startWitness(at(name), `${name}.test/w`, logs, 0, ['--tls-workload-api', api.address, ...args]);
  ends.push(() => made.kill());
  return made;
}

/** The verifier key of a log of this directory that has no witnesses yet. */
async function newLog(): Promise<string> {
  const first = await startServer(at('log'));
  await first.kill();
  return first.verifierKeys[0]!;
}

/** A port with the SVID of a part that answers only those who show a certificate; `callers` has their names. */
async function front(api: WorkloadApiServer, answer: (path: string) => Promise<[status: number, body: Buffer]>) {
  const callers = new Set<string>();
  const asking = { requestCert: true, rejectUnauthorized: false };
  const server = https.createServer({ ...api.files(), ...asking }, async (request, reply) => {
    const shown = (request.socket as TLSSocket).getPeerCertificate().subjectaltname ?? 'nobody';
    callers.add(shown);
    const [status, body] = shown === 'nobody' ? [401, Buffer.from('nobody')] : await answer(request.url!);
    reply.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://localhost:${(server.address() as AddressInfo).port}`, callers };
}

const through = (url: string) => async (path: string) => {
  const reply = await fetch(`${url}${path}`);
  return [reply.status, Buffer.from(await reply.arrayBuffer())] as [number, Buffer];
};

async function write(log: string, ...args: string[]) {
  await writeFile(at('file'), `entry ${Math.random()}`);
  return await stele('sign', at('file'), '--key', at('signer.pem'), '--log', log, ...args);
}

it('the monitor reads a log with its SVID, and asks no log of another SPIFFE ID', async () => {
  const [log, monitor] = [await part('log'), await part('monitor', ['other', 'monitor'])];
  const server = await serve([]);
  await stele('keygen', '--out', at('signer.pem'));
  expect(await write(server.url, '--log-key', server.verifierKeys[0]!)).toMatchObject({ code: 0 });
  const { url, callers } = await front(log, through(server.url));
  await writeFile(
    at('monitor.yaml'),
    `state: ${at('monitor-state')}
logs: [{ url: '${url}', keys: ['${server.verifierKeys[0]}'] }]
partialAfter: 0s
rules: [{ name: ours, watch: { identity: release@example.org } }]
sinks: [{ type: stdout }]
`,
  );
  const look = (serverId: string, ...id: string[]) =>
    stele(
      ...['monitor', '--config', at('monitor.yaml'), '--once', '--from-start'],
      ...['--client-svid', monitor.address, ...id],
      ...['--server-id', serverId, '--server-bundle', `log.test=${at('log.bundle')}`],
    );
  const ID = ['--client-svid-id', 'spiffe://monitor.test/monitor'];
  const refused = await look('spiffe://log.test/another', ...ID);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('the server is spiffe://log.test/part, and spiffe://log.test/another is expected');
  expect([...callers]).toEqual([]);
  const read = await look('spiffe://log.test/part', ...ID);
  expect(read.code, read.stderr).toBe(0);
  expect([...callers]).toEqual(['URI:spiffe://monitor.test/monitor']);
  // Without a choice the first one is shown, and one that the Workload API does not give is a mistake.
  expect(await look('spiffe://log.test/part')).toMatchObject({ code: 0 });
  expect([...callers].at(-1)).toBe('URI:spiffe://monitor.test/other');
  const none = await look('spiffe://log.test/part', '--client-svid-id', 'spiffe://monitor.test/none');
  expect(none.code).toBe(2);
  expect(none.stderr).toContain('none of 2 SVIDs has spiffe://monitor.test/none');
  const alone = await stele('audit', url, '--log-key', server.verifierKeys[0]!, ...ID);
  expect(alone).toMatchObject({ code: 2, stderr: expect.stringContaining('--client-svid-id is about --client-svid') });
});

it('a log asks each witness by its own SPIFFE ID, with the SVID that is named, and takes up changes at SIGHUP', async () => {
  const log = await part('log', ['other', 'log']);
  const [one, two] = [await part('w1'), await part('w2')];
  const vkey = await newLog();
  await writeFile(
    at('access.yaml'),
    `version: 1
name: witness
callers: { log: { spiffeId: spiffe://log.test/log } }
allow: [ { name: the log, callers: [log], calls: [cosign], logs: [localhost] } ]
`,
  );
  const guarded = ['--identity-file', await identities(['log']), '--identity-access', at('access.yaml')];
  const [first, second] = [await witness('w1', one, [vkey], guarded), await witness('w2', two, [vkey], guarded)];
  await writeFile(
    at('policy'),
    `${first.policyLine('one')}\n${second.policyLine('two')}\ngroup both all one two\nquorum both\n`,
  );
  const known = await identities(['w1', 'w2']);
  const configure = (ids: string, more = 'svidId: spiffe://log.test/log') =>
    writeFile(
      at('stele.yaml'),
      `policy: ${at('policy')}
publish: { minInterval: 0ms }
tls: { workloadApi: '${log.address}', svidId: spiffe://log.test/log }
outgoing:
  workloadApi: '${log.address}'
  identity: ${known}
  spiffeIds: ['spiffe://w1.test/part', 'spiffe://w2.test/part']
  witnessIds: [${ids}]
  ${more}
`,
    );
  const readyz = async () => await (await fetch(`${server.adminUrl}/readyz`)).text();
  const right = 'one=spiffe://w1.test/part, two=spiffe://w2.test/part';
  await configure('three=spiffe://w1.test/part');
  await expect(serve(['--config', at('stele.yaml')])).rejects.toThrow('names the witness three');
  // The server of the other witness, whose ID is in the list too, does not answer for this one.
  await configure('two=spiffe://w1.test/part');
  const server = await serve(['--config', at('stele.yaml')]);
  const tls = ['--server-id', 'spiffe://log.test/log', '--server-bundle', `log.test=${at('log.bundle')}`];
  await stele('keygen', '--out', at('signer.pem'));
  const written = write(server.url, '--log-key', vkey, '--timeout', '60', ...tls);
  await passes(async () =>
    expect(await readyz()).toContain(
      'two was not asked (the server is spiffe://w2.test/part, and spiffe://w1.test/part is expected',
    ),
  );
  // The default SVID is one that the witnesses do not know.
  await configure(right, '');
  server.signal('SIGHUP');
  await passes(async () => expect(await readyz()).toContain('no rule lets spiffe://log.test/other'));
  await configure(right, 'svidId: spiffe://log.test/none');
  server.signal('SIGHUP');
  await passes(async () => expect(await readyz()).toContain('none of 2 SVIDs has spiffe://log.test/none'));
  await configure(right);
  server.signal('SIGHUP');
  const signed = await written;
  expect(signed.code, signed.stderr).toBe(0);
  await passes(async () => expect(await readyz()).toBe('{"ready":true,"reasons":[]}'));

  // The witnesses show what they hold to the restore, which knows them in the same way.
  await server.stop();
  const config = ['--config', at('stele.yaml')];
  const checkpoint = await readFile(at('log', 'public', 'checkpoint'));
  await writeFile(at('checkpoint'), checkpoint);
  expect(await stele('log', 'backup', at('backup'), '--data', at('log'), ...config)).toMatchObject({ code: 0 });
  const restore = (to: string) =>
    stele('log', 'restore', at('backup'), '--data', at(to), '--at-least', at('checkpoint'), ...config);
  const restored = await restore('restored');
  expect(restored.code, restored.stderr).toBe(0);
  expect(restored.stdout).toContain('The witness one holds a tree of 1 entry');
  expect(restored.stdout).toContain('The witness two holds a tree of 1 entry');
  await configure('one=spiffe://w2.test/part');
  expect((await restore('unsure')).stdout).toMatch(/NOT CHECKED: the witness one was not asked \(the server is/);
});

it('a witness polls logs and reads lists with its SVID, and asks no server of another SPIFFE ID', async () => {
  const [log, w1] = [await part('log'), await part('w1')];
  const server = await serve([]);
  await stele('keygen', '--out', at('signer.pem'));
  expect(await write(server.url, '--log-key', server.verifierKeys[0]!)).toMatchObject({ code: 0 });
  const list = Buffer.from(`logs/v0\n\nvkey ${new TestLog('listed.test').vkey}\nqpd 86400\ncontact ops@listed.test\n`);
  const { url, callers } = await front(log, async (path) =>
    path === '/list' ? [200, list] : await through(server.url)(path),
  );
  const polled = (name: string, id: string) =>
    witness(
      name,
      w1,
      [`${server.verifierKeys[0]} ${url}`],
      [
        ...['--poll', '1s', '--lists-sources', `${url}/list`, '--outgoing-workload-api', w1.address],
        ...['--outgoing-identity', at('identities-log.yaml'), '--outgoing-spiffe-ids', id],
      ],
    );
  await identities(['log']);
  const refusing = await polled('refusing', 'spiffe://log.test/another');
  const why = 'the server is spiffe://log.test/part, and spiffe://log.test/another is expected';
  await passes(() => expect(refusing.log()).toMatch(/could not be polled/));
  await passes(() => expect(refusing.log().split(why).length).toBeGreaterThan(2));
  expect([...callers]).toEqual([]);
  const polling = await polled('polling', 'spiffe://log.test/part');
  await passes(async () =>
    expect(await (await fetch(`${polling.adminUrl}/metrics`)).text()).toMatch(/^stele_witness_cosigned_total [1-9]/m),
  );
  await passes(async () => expect(await readFile(at('polling', 'logs'), 'utf8')).toContain('log listed.test+'));
  expect([...callers]).toEqual(['URI:spiffe://w1.test/part']);
});
