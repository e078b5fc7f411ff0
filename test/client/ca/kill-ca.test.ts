import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PromiseStore } from '../../../client/ca/promise-store.ts';
import { type CaAnswer, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { tempDir } from '../../support/log.ts';
import { until } from '../../support/until.ts';

const KILL = fileURLToPath(new URL('../../support/kill-ca.mjs', import.meta.url));
/** More than a request has. */
const MOST_STEPS = 40;

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path);
}, 60_000);

afterAll(async () => {
  await world?.close();
  await dir.remove();
});

/** The certificates in the log, by serial number. */
async function logged(): Promise<Map<string, string>> {
  const checkpoint = await (await fetch(`${world.log.url}/checkpoint`)).text();
  const size = Number(checkpoint.split('\n')[1]);
  const serials = new Map<string, string>();
  for (let index = 0; index < size; index++) {
    const { canonicalizedBody } = (await (await fetch(`${world.log.url}/stele/v1/entries/${index}`)).json()) as {
      canonicalizedBody: string;
    };
    const { spec } = JSON.parse(Buffer.from(canonicalizedBody, 'base64').toString());
    const der = Buffer.from(spec.hashedRekordV002.signature.verifier.x509Certificate.rawBytes, 'base64');
    const { serialNumber, subjectAltName } = new X509Certificate(der);
    serials.set(serialNumber, subjectAltName!);
  }
  return serials;
}

function serialOf({ json }: CaAnswer): string {
  return new X509Certificate(json.signedCertificateEmbeddedSct.chain.certificates[0]).serialNumber;
}

it('leaves no certificate without a log, no token that works twice and no promise, wherever SIGKILL strikes', async () => {
  let killed = 0;
  for (let at = 1; at <= MOST_STEPS; at++) {
    const token = world.token({ sub: `job-${at}`, email: `job-${at}@example.com` });
    const doomed = await world.startCa({ node: ['--import', KILL], env: { KILL_AT: String(at) } });
    const first = await doomed.ask({ token }).catch(() => undefined);
    // Steps that come after the reply are taken before the process ends in order.
    doomed.signal('SIGTERM');
    const isKilled = (await doomed.ended) === 'SIGKILL';
    if (isKilled) killed++;

    const next = await world.startCa();
    await until(async () =>
      /stele_ca_pending_certificates 0/.test(await (await fetch(`${next.adminUrl}/metrics`)).text()),
    );
    const second = await next.ask({ token });
    expect(await next.stop()).toBe(0);
    const given = [first, second].filter((one) => one?.status === 200) as CaAnswer[];
    expect(given.length, `step ${at}`).toBeLessThanOrEqual(1);
    // A token that is not used up still works, and one that is says so.
    if (given.length === 0) expect(second.json, `step ${at}`).toMatchObject({ error: 'token-used' });
    else if (first?.status === 200) expect(second.status).toBe(401);
    const serials = await logged();
    for (const one of given) expect(serials.has(serialOf(one)), `step ${at}`).toBe(true);
    const store = await PromiseStore.open(join(dir.path, 'ca-data', 'promises'), () => {});
    expect(store.unfinished, `step ${at}`).toEqual([]);
    await store.close();
    // The request went through all of its steps.
    if (!isKilled) break;
  }
  // Two stores, one call of the log, and the reply, each right before and right after.
  expect(killed).toBeGreaterThanOrEqual(8);
  expect(killed).toBeLessThan(MOST_STEPS);
}, 300_000);
