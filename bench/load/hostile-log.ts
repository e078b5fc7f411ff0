/**
 * `npm run bench:load -- --hostile-log`: an honest client that logs entries one after another, first alone and then beside each
 * attack of test/support/attacks.ts at full speed. The aim is a p99 of 3 times the quiet one, and no refusal.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ATTACKS } from '../../test/support/attacks.ts';
import { type Row, round } from '../report.ts';
import { callOf, Generator } from './generator.ts';
import { requestBodies } from './requests.ts';
import { type ServerCommand, ServerProcess } from './server.ts';

const ATTACKER = fileURLToPath(new URL('./hostile-attacker.js', import.meta.url));
const WARM_UP = 200;
/** Entries of the honest client in each measurement. */
const WRITES = 300;
/** Until the attack holds what it can get. */
const SETTLE_MS = 3000;
/** One address with many connections, and several addresses with fewer. */
const STRANGERS = [
  [1, 64],
  [8, 32],
] as const;

export async function hostileLogRows(
  command: ServerCommand,
  only: RegExp,
  progress: (line: string) => void,
): Promise<Row[]> {
  const bodies = (
    await requestBodies('shared', WARM_UP + WRITES * 2 * STRANGERS.length * Object.keys(ATTACKS).length)
  ).map((body) => callOf('/api/v2/log/entries', body));
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  const server = await ServerProcess.start(command, dir);
  const rows: Row[] = [];
  try {
    const honest = await Generator.open(server.port, 1);
    await honest.run(bodies.splice(0, WARM_UP));
    const measure = async () => {
      const { latencies, refused } = await honest.run(bodies.splice(0, WRITES));
      const answered = latencies.filter((ms) => !Number.isNaN(ms)).sort();
      const at = (part: number) => answered[Math.floor(answered.length * part)] ?? Number.NaN;
      const lost = WRITES - answered.length + [...refused.values()].reduce((sum, count) => sum + count, 0);
      return { p50: at(0.5), p99: at(0.99), lost };
    };
    for (const name of Object.keys(ATTACKS)) {
      for (const [addresses, connections] of STRANGERS) {
        if (!only.test(`${name} ${addresses}`)) continue;
        const quiet = await measure();
        const args = [ATTACKER, name, String(server.port), String(addresses), String(connections)];
        const attacker = spawn(process.execPath, args, { stdio: 'inherit' });
        await sleep(SETTLE_MS);
        const beside = await measure();
        attacker.kill('SIGKILL');
        await sleep(SETTLE_MS);
        progress(`${name} of ${addresses}: p99 ${round(quiet.p99)} and ${round(beside.p99)} ms`);
        rows.push({
          beside: name,
          addresses,
          connections: addresses * connections,
          'quiet p50 ms': round(quiet.p50),
          'quiet p99 ms': round(quiet.p99),
          'p50 ms': round(beside.p50),
          'p99 ms': round(beside.p99),
          'p99 / quiet': round(beside.p99 / quiet.p99),
          'refused+lost': quiet.lost + beside.lost,
          aim: '3',
        });
      }
    }
    honest.close();
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return rows;
}
