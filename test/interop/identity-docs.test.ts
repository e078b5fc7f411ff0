/**
 * The walk of docs/identity.md, command by command as it stands: a ceremony and a team with keys in tokens of SoftHSM, a log with three
 * witnesses, a certificate authority, cosign, a monitor, and a log that asks who writes. Only the ports are others.
 */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatPem } from '../../merkle/pem.ts';
import { tempDir } from '../support/log.ts';
import { CLI, stele } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { NO_SOFTHSM } from '../support/softhsm.ts';
import { until } from '../support/until.ts';
import { WorkloadApiServer } from '../support/workload-api.ts';
import { buildJudge } from './go-judge.ts';
import { stepsOf, WalkShell } from './walk-shell.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/identity.md'), 'utf8');
const SECTION = 'A walk: from an empty directory to a signature without a key';
const built = buildJudge('spiffe-client');
const [program, noGo] = typeof built === 'string' ? ['', built] : [built.program, undefined];
const unable = NO_SOFTHSM ?? lacking('softhsm2-util', 'npm', 'cosign', 'openssl', 'curl', 'bash');

/** The lines of step 7 that sign app.txt and write request.json. */
function linesOf(script: string): [from: number, to: number] {
  const lines = script.split('\n');
  return [
    lines.findIndex((line) => line.startsWith('openssl dgst')),
    lines.findIndex((line) => line.startsWith('write=')),
  ];
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

describe.skipIf(skips('the walk of docs/identity.md', unable))('the walk of docs/identity.md', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let shell: WalkShell;
  let here: (script: string) => string;
  const steps = stepsOf(PAGE, SECTION);
  const run = (number: number) => shell.run(here(steps[number - 1]![1]));
  const at = (name: string) => join(dir.path, name);
  /** Entries of the log that asks who writes. */
  const internalSize = async () =>
    (await shell.run(here('curl -sf --cacert tls.pem https://localhost:3443/checkpoint | sed -n 2p'))).trim();

  beforeAll(async () => {
    dir = await tempDir();
    mkdirSync(at('bin'));
    symlinkSync(CLI, at('bin/stele'));
    const [log, admin, ca, caAdmin, standIns, internal, internalAdmin] = (await freePorts(7)) as [number, ...number[]];
    const ports: [RegExp, string][] = [
      [/stele up /g, `stele up --listen-port ${log} --admin-port ${admin} --witness-port 0 `],
      [/data: ca-data/g, `data: ca-data\nlisten: { port: ${ca} }\nadmin: { port: ${caAdmin} }`],
      [/(identity-stand-ins\.mjs" stand-ins)/g, `$1 ${standIns}`],
      [/\b3000\b/g, String(log)],
      [/\b3300\b/g, String(ca)],
      [/\b3301\b/g, String(caAdmin)],
      [/\b4000\b/g, String(standIns)],
      [/\b3443\b/g, String(internal)],
      [/\b3444\b/g, String(internalAdmin)],
    ];
    here = (script) => ports.reduce((text, [shown, real]) => text.replaceAll(shown, real), script);
    const clean = Object.entries(process.env).filter(
      ([name]) => !/^(?:STELE_|SIGSTORE_|SPIFFE_|TUF_|XDG_DATA)/.test(name),
    );
    const env = { ...Object.fromEntries(clean), HOME: dir.path, PATH: `${at('bin')}:${process.env.PATH}`, STELE: ROOT };
    shell = new WalkShell(dir.path, env);
  });
  afterAll(async () => {
    await shell?.close();
    await dir?.remove();
  });

  it('has the steps', () => expect(steps.map(([title]) => title[0])).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']));

  it('makes a root by ceremony and the authority of a team, with keys that never leave their tokens', async () => {
    const said = await run(1);
    expect(said).toContain('Signed by holder-1, holder-2: 2 of the 2 that are needed.');
    expect(said).toContain('Certified authority 1 of the team "build"');
    const root = 'ceremony/ca/root.pem';
    const chain = ['verify', '-CAfile', root, '-untrusted', root, 'ceremony/ca/teams/build/1.chain.pem'];
    expect(await shell.run(`openssl ${chain.join(' ')}`)).toContain('OK');
  });

  it('logs and verifies the ceremony, and logs the delegation', async () => {
    const said = await run(2);
    expect(said).toContain('OK: 1.root.json was made in the ceremony "root of example.org"');
    expect(said).toMatch(/^done +ceremony\/ca\/teams\/build\/1\.sigstore\.json +entry 2 of .*its proof was checked$/m);
    const fingerprint = await shell.run('openssl x509 -in ceremony/ca/root.pem -outform DER | sha256sum');
    expect(said.replaceAll(' ', '')).toContain(fingerprint.split(' ')[0]);
  });

  it('serves certificates, and puts the authority into the trust files', async () => {
    const said = await run(3);
    expect(said).toContain('The authority "CN=');
    const root = JSON.parse(readFileSync(at('log/trust/trusted_root.json'), 'utf8'));
    expect(root.certificateAuthorities).toHaveLength(1);
    expect(root.ctlogs).toHaveLength(1);
    expect(root.timestampAuthorities).toHaveLength(1);
  });

  it('signs without a key by cosign and by Stele, and each verifies both with no insecure flag', async () => {
    const [, script] = steps[3]!;
    expect(script).not.toContain('insecure');
    const said = await run(4);
    expect(said.match(/Verified OK/g)).toHaveLength(2);
    expect(said.match(/OK: app\.txt is signed/g)).toHaveLength(2);
    expect(said.match(/transparency {2}the certificate was promised/g)).toHaveLength(2);
  });

  it('is seen by the monitor: silent about what is expected, and alerting about what is not', async () => {
    const said = await run(5);
    const alerts = said.split('\n').filter((line) => line.includes('is not what is expected'));
    expect(said).toContain('nothing was found');
    expect(said).toContain('found something');
    expect(alerts.length).toBeGreaterThan(0);
    expect(alerts.every((line) => line.includes('intern@example.org'))).toBe(true);
  });

  it('makes SVIDs of two trust domains', async () => {
    await run(6);
    expect(await shell.run('openssl x509 -in other.example.svid.pem -noout -ext subjectAltName')).toContain(
      'URI:spiffe://other.example/build/main',
    );
  });

  it('takes the entry of an SVID, and refuses the workload of another trust domain with a reason', async () => {
    const said = await run(7);
    const statuses = [...said.matchAll(/^(401|403|201)$/gm)].map(([status]) => status);
    expect(statuses, said).toEqual(['401', '403', '201']);
    expect(said).toMatch(/"error":"no-identity"/);
    expect(said).toMatch(/"error":"not-allowed"/);
    // What was refused is not in the log.
    expect(await internalSize()).toBe('1');
  });

  it('takes what stele sign sends with the same certificate', async () => {
    const show = '--client-cert build.example.org.svid.pem --client-key build.example.org.key --ca tls.pem';
    await shell.run('echo "by stele sign" > by-stele.txt');
    const said = await shell.run(
      here(`stele sign by-stele.txt --key signer.pem --log https://localhost:3443 ${show} --out by-stele.json`),
    );
    expect(said).toContain('Logged by internal.example.org as entry 1 of 2');
  });

  it.skipIf(skips('go-spiffe in the walk of docs/identity.md', noGo))(
    "takes go-spiffe's entry by its SVID",
    async () => {
      const api = await WorkloadApiServer.start({
        socket: at('api.sock'),
        identities: [{ id: 'spiffe://build.example.org/build/go' }],
      });
      try {
        // The trust domain has a new authority: the log reads its bundle again while it runs.
        const authority = formatPem('CERTIFICATE', api.authority('build.example.org').certificate.der);
        await appendFile(at('build.example.org.pem'), authority);
        // Another entry: the request of the walk, over another file.
        await shell.run('echo "of a workload in Go" > go.txt');
        const request = steps[6]![1]
          .split('\n')
          .slice(...linesOf(steps[6]![1]))
          .join('\n');
        await shell.run(`${request.replaceAll('app.txt', 'go.txt')}\nmv request.json go-request.json`);
        const post = [program, '-socket', api.address, '-ca', 'tls.pem', '-type', 'application/json', 'POST'];
        const asked = here(`${post.join(' ')} https://localhost:3443/api/v2/log/entries go-request.json || true`);
        const answer = await until(async () => {
          const text = await shell.run(asked);
          return /^(?:200|201)\b/.test(text) ? text : undefined;
        });
        expect(JSON.parse(answer.slice(answer.indexOf('\n')))).toHaveProperty('logIndex');
        expect(await internalSize()).toBe('3');
      } finally {
        await api.close();
      }
    },
  );

  it('verifies what an SVID signed', async () => {
    expect(await run(8)).toContain('leads to an authority of the SPIFFE bundle');
    const other = ['verify', 'app.txt', '--bundle', 'app.svid.json', '--identity', 'spiffe://other.example/build/main'];
    const trust = [
      '--spiffe-bundle',
      'other.example=other.example.pem',
      '--policy',
      'log/trust/policy',
      '--witness-time',
    ];
    expect(await stele([...other, ...trust], { cwd: dir.path })).toMatchObject({ code: 1 });
  });
});
