/**
 * A workload gets its certificate of minutes by its X.509-SVID, without any token: the built commands, `stele ca serve` with TLS, a
 * log with a witness, and a small Workload API. Run `npm run build` first.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keylessSigner } from '../../../../client/submit/keyless/keyless-signer.ts';
import { issue, issueCa } from '../../../merkle/x509/make.ts';
import { type CaProcess, type CaWorld, makeCaWorld } from '../../../support/ca-service.ts';
import { der } from '../../../support/der.ts';
import { tempDir } from '../../../support/log.ts';
import { stele } from '../../../support/serve.ts';
import { keyPem, pemOf, type TlsServer, tlsServer } from '../../../support/tls-server.ts';
import { WorkloadApiServer } from '../../../support/workload-api.ts';

const BUILD = 'spiffe://ci.example.com/build/linux';
const servers = issueCa('servers');
let dir: Awaited<ReturnType<typeof tempDir>>;
let api: WorkloadApiServer;
let world: CaWorld;
let ca: CaProcess;
/** The log, behind TLS: `--client-svid` speaks nothing else. */
let log: TlsServer;
const at = (name: string) => join(dir.path, name);

beforeAll(async () => {
  dir = await tempDir();
  api = await WorkloadApiServer.start({ socket: at('agent.sock'), identities: [{ id: BUILD }] });
  await writeFile(at('spiffe.json'), api.bundle());
  const names = [der(0x82, Buffer.from('localhost'))];
  const server = issue({ name: 'localhost', by: servers, keyUsage: 0x80, usages: ['1.3.6.1.5.5.7.3.1'], names });
  await writeFile(at('tls.crt'), pemOf(server));
  await writeFile(at('tls.key'), keyPem(server), { mode: 0o600 });
  await writeFile(at('servers.pem'), pemOf(servers));
  world = await makeCaWorld(dir.path, {
    team: '    trustDomains: [ci.example.com]',
    identity: '  trustDomains: [{ name: ci.example.com, bundle: spiffe.json }]',
    settings: 'tls: { cert: tls.crt, key: tls.key }',
  });
  ca = await world.startCa();
  log = await tlsServer(world.log.url, { by: servers });
  for (const name of ['one', 'two', 'predicate.json']) await writeFile(at(name), '{}');
}, 60_000);
afterAll(async () => {
  await ca?.kill();
  await log?.close();
  await world?.close();
  await api?.close();
  await dir.remove();
});

const QUIET = { SIGSTORE_ID_TOKEN: '', ACTIONS_ID_TOKEN_REQUEST_URL: '', SPIFFE_ENDPOINT_SOCKET: '' };
const cli = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  stele(args, { cwd: dir.path, env: { ...QUIET, ...env } });
/** https://localhost:PORT, as its certificate has it. */
const authority = () => ca.url.replace('127.0.0.1', 'localhost');
const place = () => [
  ...['--keyless', '--certificate-authority', authority(), '--ca', 'servers.pem'],
  ...['--log', log.url, '--policy', 'policy', '--json'],
];

it.each([
  ['stele sign', ['sign', 'one'], (socket: string) => ['--client-svid', socket], {}],
  ['stele sign with the socket of the environment', ['sign', 'two'], () => ['--client-svid'], { own: true }],
  [
    'stele attest',
    ['attest', 'one', '--type', 'https://example.com/t', '--predicate', 'predicate.json', '--out', 'one.att.json'],
    (socket: string) => ['--client-svid', socket],
    {},
  ],
])('%s signs for the SPIFFE ID', async (_, command, shown, { own = false }: { own?: boolean }) => {
  const env = own ? { SPIFFE_ENDPOINT_SOCKET: api.address } : {};
  const { code, stdout, stderr } = await cli([...command, ...place(), ...shown(api.address)], env);
  expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
  expect(stderr).toContain(`using the X.509-SVID of ${BUILD}`);
  expect(JSON.parse(stdout).signer).toMatchObject({
    names: [{ type: 'uri', value: BUILD }],
    issuer: 'spiffe://ci.example.com',
  });
});

it('takes a token that is given before the SVID, and the authority wants one of both', async () => {
  await writeFile(at('token'), world.token());
  const given = ['--identity-token', 'token', '--client-svid', api.address];
  const { code, stderr } = await cli(['sign', 'one', ...place(), ...given, '--out', 'both.json']);
  expect([code, stderr]).toEqual([1, expect.stringContaining('a client certificate and a token')]);
});

it('shows an SVID over TLS alone', async () => {
  const plain = authority().replace('https:', 'http:');
  const args = ['sign', 'one', '--keyless', '--certificate-authority', plain, '--client-svid', api.address];
  const { code, stderr } = await cli([...args, '--log', log.url, '--policy', 'policy']);
  expect([code, stderr]).toEqual([2, expect.stringContaining('use an https address')]);
});

it('says that a workload which no team certifies gets no certificate', async () => {
  const other = await WorkloadApiServer.start({
    socket: at('other.sock'),
    identities: [{ id: 'spiffe://example.net/a' }],
  });
  try {
    const { code, stderr } = await cli(['sign', 'one', ...place(), '--client-svid', other.address, '--out', 'x.json']);
    expect(code).toBe(1);
    expect(stderr).toContain('issues no certificate');
    expect(stderr).toContain('example.net');
    await expect(readFile(at('x.json'))).rejects.toThrow();
  } finally {
    await other.close();
  }
});

it.each([
  ['neither a token nor a SPIFFE ID', {}, 'give one of'],
  ['both', { token: 'a.b.c', spiffeId: BUILD }, 'give one of'],
  ['no SPIFFE ID', { spiffeId: 'spiffe://ci.example.com/../a' }, 'is not the SPIFFE ID'],
])('refuses %s before anything is sent', async (_, identity, why) => {
  const asked = keylessSigner({ authority: authority(), ...identity });
  await expect(asked).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(why) });
});
