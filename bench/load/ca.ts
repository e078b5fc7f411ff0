/**
 * `npm run bench:load -- --ca`: `stele ca serve` with keys in files, its log, a witness and an issuer, each a process of its own but the
 * issuer, asked over kept-alive connections. Every certificate is in the log, cosigned and proven, before its reply. Requests are made
 * before they are sent. Counts the processor time of the authority alone, since the others share the machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CaProcess, makeCaWorld, newP256, signingBody } from '../../test/support/ca-service.ts';
import { type Row, round } from '../report.ts';

const REQUESTS = 6000;
const WARM_UP = 600;
const CONNECTIONS = 64;
const PACE = 300;

interface Prepared {
  readonly token: string;
  readonly body: string;
}

export async function caRows(quick: boolean): Promise<Row[]> {
  const count = quick ? REQUESTS / 10 : REQUESTS;
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  const settings = 'limits: { perMinute: 0 }';
  const world = await makeCaWorld(dir, { settings });
  const ca = await world.startCa();
  try {
    const keys = Array.from({ length: 64 }, newP256);
    const make = (i: number): Prepared => {
      const email = `job-${i}@example.com`;
      return {
        token: world.token({ sub: email, email, nonce: `${i}` }),
        body: JSON.stringify(signingBody(keys[i % keys.length]!, email)),
      };
    };
    // A token lasts five minutes.
    const prepare = (from: number, number: number) => Array.from({ length: number }, (_, i) => make(from + i));
    await drive(ca, prepare(0, WARM_UP));
    const fast = await drive(ca, prepare(WARM_UP, count));
    const paced = await drive(ca, prepare(WARM_UP + count, Math.min(count, 10 * PACE)), PACE);
    return [rowOf('as fast as it answers', fast, '300/s'), rowOf(`${PACE} a second`, paced, '')];
  } finally {
    await ca.kill();
    await world.close();
    rmSync(dir, { recursive: true });
  }
}

interface Driven {
  readonly seconds: number;
  readonly cpu: number;
  readonly times: readonly number[];
  readonly wrong: number;
}

async function drive(ca: CaProcess, requests: readonly Prepared[], pace?: number): Promise<Driven> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const times: number[] = [];
  let next = 0;
  let wrong = 0;
  const cpu = await cpuOf(ca);
  const began = performance.now();
  const run = async () => {
    for (let at = next++; at < requests.length; at = next++) {
      const due = pace === undefined ? performance.now() : began + (at / pace) * 1000;
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const { status, text } = await post(`${ca.url}/api/v2/signingCert`, requests[at]!, agent);
      times.push(performance.now() - due);
      if (status !== 200 || !text.includes('"tlogProof":"c2sp.org/tlog-proof@v1')) wrong++;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, run));
  const seconds = (performance.now() - began) / 1000;
  agent.destroy();
  return { seconds, cpu: (await cpuOf(ca)) - cpu, times, wrong };
}

function post(url: string, { token, body }: Prepared, agent: http.Agent): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const request = http.request(url, { method: 'POST', agent, headers }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (part: string) => (text += part));
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }));
    });
    request.on('error', reject).end(body);
  });
}

/** Seconds of processor time. */
async function cpuOf({ adminUrl }: CaProcess): Promise<number> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]);
}

function rowOf(what: string, { seconds, cpu, times, wrong }: Driven, aim: string): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const part = (share: number) => round(sorted[Math.floor(sorted.length * share)]!);
  return {
    'certificates, each logged': what,
    'certificates/s': round(times.length / seconds),
    'CPU ms/certificate': round((cpu * 1000) / times.length),
    'p50 ms': part(0.5),
    'p99 ms': part(0.99),
    'max ms': round(sorted.at(-1)!),
    wrong,
    aim,
  };
}
