/**
 * Every certificate of `stele ca serve` is in the log before it leaves, so that a monitor sees each identity: the built programs,
 * with a log and its witness. Run `npm run build` first.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { startIssuer, type TestIssuer } from '../../support/issuer.ts';
import { tempDir } from '../../support/log.ts';
import { stele } from '../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;
let workloads: TestIssuer;
let seen = '--from-start';

beforeAll(async () => {
  dir = await tempDir();
  workloads = await startIssuer({ audience: 'sigstore' });
  world = await makeCaWorld(dir.path, {
    team: `      - { issuer: '${workloads.url}', name: spiffe }`,
    identity: `    - { issuer: '${workloads.url}' }`,
  });
  ca = await world.startCa();
  await writeFile(
    join(dir.path, 'monitor.yaml'),
    `state: monitor-state
logs: [{ url: '${world.log.url}', keys: ['${world.log.verifierKeys[0]}'], policy: policy }]
partialAfter: 0s
authorities: ci.chain.pem
rules:
  - name: workloads
    watch: { spiffe: { trustDomain: ci.example.com } }
    expect: { spiffe: { trustDomain: ci.example.com, path: /build/**, issuer: '${workloads.url}' } }
  - name: people
    watch: { identity: { pattern: '.*@example\\.com' } }
    expect: { identity: release@example.com, issuer: '${world.issuer.url}' }
sinks: [{ type: stdout }]
`,
  );
}, 60_000);

afterAll(async () => {
  await ca?.kill();
  await world?.close();
  await workloads?.close();
  await dir.remove();
});

/** The alerts about what was logged since the last look. */
async function alerts(): Promise<{ kind: string; rule: string; entry: { names: string[]; issuer: string } }[]> {
  const args = ['monitor', '--config', 'monitor.yaml', '--once', '--json', ...(seen === '' ? [] : [seen])];
  seen = '';
  const { stdout, stderr } = await stele(args, { cwd: dir.path });
  expect(stderr).toBe('');
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line)).filter((one) => 'rule' in one);
}

describe('a monitor of the log of an authority', () => {
  it('is silent about the identities that it expects', async () => {
    expect(await ca.ask({ token: world.token({ email: 'release@example.com' }) })).toMatchObject({ status: 200 });
    const workload = workloads.token({ sub: 'spiffe://ci.example.com/build/main' });
    expect(await ca.ask({ token: workload })).toMatchObject({ status: 200 });
    expect(await alerts()).toEqual([]);
  });

  it('alerts about each other identity that the authority certified, although nothing was signed with it', async () => {
    const other = { email: 'intern@example.com' };
    expect(await ca.ask({ token: world.token(other) })).toMatchObject({ status: 200 });
    expect(await ca.ask({ token: workloads.token({ sub: 'spiffe://ci.example.com/deploy/main' }) })).toMatchObject({
      status: 200,
    });
    expect(await alerts()).toMatchObject([
      { kind: 'unexpected', rule: 'people', entry: { names: ['intern@example.com'], issuer: world.issuer.url } },
      {
        kind: 'unexpected',
        rule: 'workloads',
        entry: { names: ['spiffe://ci.example.com/deploy/main'], issuer: workloads.url },
      },
    ]);
  });

  it('sees nothing of what the authority refused', async () => {
    expect((await ca.ask({ token: world.token({ email: 'release@example.net' }) })).status).toBe(403);
    expect((await ca.ask({ token: workloads.token({ sub: 'spiffe://other.example/build/main' }) })).status).toBe(403);
    expect(await alerts()).toEqual([]);
  });
});
