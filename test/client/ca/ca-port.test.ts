/** The port of `stele ca serve` with the X.509-SVID of a Workload API (a stand-in). Run `npm run build` first. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { askCaByTls, type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { tempDir } from '../../support/log.ts';
import { DEADLINE_MS } from '../../support/until.ts';
import { WorkloadApiServer } from '../../support/workload-api.ts';

const ID = 'spiffe://ca.test/ca';
const passes = <T>(what: () => T | Promise<T>) => vi.waitFor(what, { timeout: DEADLINE_MS, interval: 300 });

let dir: Awaited<ReturnType<typeof tempDir>>;
let agent: WorkloadApiServer;
let world: CaWorld;
let ca: CaProcess;

beforeAll(async () => {
  dir = await tempDir();
  agent = await WorkloadApiServer.start({ socket: join(dir.path, 'agent.sock'), identities: [{ id: ID }] });
  world = await makeCaWorld(dir.path, {
    team: '    trustDomains: [ca.test]',
    identity: `  trustDomains: [{ name: ca.test, bundle: ca.test.json }]`,
    settings: `tls: { workloadApi: '${agent.address}' }`,
  });
  await writeFile(join(dir.path, 'ca.test.json'), agent.bundle());
  ca = await world.startCa();
}, 60_000);
afterAll(async () => {
  await ca?.kill();
  await world?.close();
  await agent?.close();
  await dir.remove();
});

async function shown() {
  const socket = connect({ port: Number(new URL(ca.url).port), host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { subjectaltname, serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return { subjectaltname, serialNumber };
}

it('shows its SVID, the newest after a rotation, and asks clients for theirs', async () => {
  expect(ca.url).toMatch(/^https:/);
  const before = await shown();
  expect(before.subjectaltname).toBe(`URI:${ID}`);
  agent.rotate();
  await passes(async () => expect((await shown()).serialNumber).not.toBe(before.serialNumber));
  const { cert, key } = agent.files();
  const free = { rejectUnauthorized: false };
  const byToken = await askCaByTls(ca.url, cert, free, { token: world.token() });
  expect(byToken.status, byToken.text).toBe(200);
  // A workload with its own SVID: a client certificate is asked for in the handshake.
  const { status, text } = await askCaByTls(ca.url, cert, { ...free, cert, key }, { proven: ID });
  expect([status, text]).toEqual([403, expect.stringContaining(ID)]);
  expect((await askCaByTls(ca.url, cert, free, { proven: ID })).status).toBe(401);
});

it('is not ready while its SVID is over, and ready again with the next one', async () => {
  const readyz = async () => {
    const reply = await fetch(`${ca.adminUrl}/readyz`);
    return `${reply.status} ${await reply.text()}`;
  };
  await passes(async () => expect(await readyz()).toMatch(/^200 /));
  agent.identities = [{ id: ID, lifetimeMs: 2000 }];
  agent.rotate();
  await passes(async () => expect(await readyz()).toMatch(/^503 [\s\S]*SVID/));
  agent.identities = [{ id: ID }];
  agent.rotate();
  await passes(async () => expect(await readyz()).toMatch(/^200 /));
});

it('does not start where the Workload API gives no SVID', async () => {
  agent.failures.set('FetchX509SVID', grpc.status.PERMISSION_DENIED);
  try {
    await expect(world.startCa()).rejects.toThrow(/SVID/);
  } finally {
    agent.failures.clear();
  }
});
