/**
 * SIGKILL for the authority, the log and the witness in turn, while many callers ask: every certificate that somebody got is in the
 * log, none is there twice, and no token worked twice.
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { tempDir } from '../../support/log.ts';
import { until } from '../../support/until.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';

const CALLERS = 16;
/** Certificates between two kills. */
const MORE = 4;
const ROUNDS = 2;

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;
let witness: WitnessProcess;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path, { settings: 'limits: { perMinute: 0, logTimeout: 3s }' });
  witness = world.witness;
  ca = await world.startCa();
}, 60_000);

afterAll(async () => {
  await ca?.kill();
  await witness?.kill();
  await world?.close();
  await dir.remove();
});

async function restartWitness(): Promise<void> {
  const { port } = witness;
  await witness.kill();
  witness = await startWitness(join(dir.path, 'witness'), 'witness.example.com', world.log.verifierKeys, port);
}

async function loggedSerials(): Promise<string[]> {
  const checkpoint = await (await fetch(`${world.log.url}/checkpoint`)).text();
  const size = Number(checkpoint.split('\n')[1]);
  const serials: string[] = [];
  for (let index = 0; index < size; index++) {
    const entry = (await (await fetch(`${world.log.url}/stele/v1/entries/${index}`)).json()) as {
      canonicalizedBody: string;
    };
    const { spec } = JSON.parse(Buffer.from(entry.canonicalizedBody, 'base64').toString());
    const der = Buffer.from(spec.hashedRekordV002.signature.verifier.x509Certificate.rawBytes, 'base64');
    serials.push(new X509Certificate(der).serialNumber);
  }
  return serials;
}

it('loses no certificate, and lets no token work twice', async () => {
  const given: string[] = [];
  const successes = new Map<string, number>();
  let done = false;
  let made = 0;
  const caller = async (email: string) => {
    while (!done) {
      const token = world.token({ jti: `${++made}`, email });
      // Each token is shown again after its first answer, or after none.
      for (let times = 0; times < 2 && !done; times++) {
        const answer = await ca.ask({ token }).catch(() => undefined);
        if (answer === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
        if (answer?.status !== 200) continue;
        const [leaf] = answer.json.signedCertificateEmbeddedSct.chain.certificates;
        given.push(new X509Certificate(leaf).serialNumber);
        successes.set(token, (successes.get(token) ?? 0) + 1);
      }
    }
  };
  const callers = Array.from({ length: CALLERS }, (_, i) => caller(`caller-${i}@example.com`));
  const moreCertificates = async () => {
    const before = given.length;
    await until(() => given.length >= before + MORE);
  };
  for (let round = 0; round < ROUNDS; round++) {
    await moreCertificates();
    await ca.kill();
    ca = await world.startCa();
    await moreCertificates();
    await world.log.kill();
    await world.startLog();
    await moreCertificates();
    await restartWitness();
  }
  await moreCertificates();
  done = true;
  await Promise.all(callers);
  await until(async () => (await (await fetch(`${ca.adminUrl}/metrics`)).text()).includes('_pending_certificates 0'));

  expect(Math.max(...successes.values())).toBe(1);
  const logged = await loggedSerials();
  expect(new Set(logged).size).toBe(logged.length);
  expect(given.filter((serial) => !logged.includes(serial))).toEqual([]);
}, 180_000);
