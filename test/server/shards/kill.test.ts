/**
 * A rotation whose process is killed at its durable steps, some of them here and all of them in `npm run test:crash`. Whatever was
 * done, one log at most takes entries, and a repeat comes to the end. Run `npm run build` first.
 */
import { execFile } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../server/config/load.ts';
import { freezeLog, listShards, openShard, prepareShard, type Server, serve } from '../../../server/main.ts';
import { tempDir } from '../../support/log.ts';
import { silent } from '../../support/silent.ts';
import { addAt } from './support.ts';

const CHILD = fileURLToPath(new URL('../../support/shard-child.mjs', import.meta.url));
const SECOND = '127.0.0.1';
const KILLS = Number(process.env.STELE_SHARD_KILLS ?? 6);

let root: Awaited<ReturnType<typeof tempDir>>;
/** A log with one entry, which no process runs. */
let before: string;

const optionsOf = (data: string) => {
  const ports = { 'listen-port': '0', 'admin-port': '0', 'ingest-threads': '1', 'log-level': 'silent' };
  return { config: loadConfig({ flags: { data, origin: 'localhost', ...ports } }), logger: silent };
};

beforeAll(async () => {
  root = await tempDir();
  before = join(root.path, 'before');
  const server = await serve(optionsOf(before));
  expect(await addAt(server.url, 'localhost', 'first')).toBe(201);
  await server.close();
});
afterAll(() => root.remove());

/** Rotates a copy of the log in another process. Returns its directory, and the number of its steps where it was not killed. */
async function rotate(mode: string, killAt = 0): Promise<{ data: string; steps: number | undefined }> {
  const data = join(root.path, `${mode}-${killAt}`);
  await cp(before, data, { recursive: true });
  const run = promisify(execFile)(process.execPath, [CHILD, data, SECOND, mode, String(killAt)]);
  const ended = await run.catch((error: { signal?: string; stderr?: string }) => {
    if (error.signal !== 'SIGKILL') throw error;
  });
  return { data, steps: ended === undefined ? undefined : Number(ended.stdout) };
}

/** The statuses for a write to each shard. */
const writes = async ({ url }: Server, name: string) => [
  await addAt(url, 'localhost', name),
  await addAt(url, SECOND, name),
];

describe.each(['stopped', 'running'])('a rotation of a log that is %s', (mode) => {
  it('leaves one log that takes entries wherever it is killed, and can be repeated', async () => {
    const { steps = 0 } = await rotate(mode);
    expect(steps).toBeGreaterThan(20);
    const every = Math.max(1, Math.floor(steps / KILLS));
    const seen = new Set<string>();
    for (let killAt = 1; killAt <= steps; killAt += every) {
      const { data, steps: whole } = await rotate(mode, killAt);
      expect(whole, `${killAt} of ${steps}`).toBeUndefined();
      const options = optionsOf(data);
      const [first, second] = await listShards(options);
      seen.add(`${first!.status} ${second?.status ?? 'none'}`);
      const server = await serve(options);
      try {
        const taken = await writes(server, 'after the kill');
        // A freeze that was cut off ends with the start; a shard waits until it is opened.
        const expected =
          first!.status === 'open'
            ? [201, second === undefined ? 201 : 503]
            : [405, second!.status === 'open' ? 201 : 503];
        expect(taken, `${killAt} of ${steps}: ${first!.status} ${second?.status}`).toEqual(expected);
        await prepareShard(options, { origin: SECOND, url: `http://${SECOND}:3000` });
        await freezeLog({ ...options, shard: 'localhost' });
        expect(await openShard(options, SECOND)).toMatchObject({ status: 'open' });
        expect(await writes(server, 'at the end')).toEqual([405, 201]);
      } finally {
        await server.close();
      }
    }
    expect(seen.size).toBeGreaterThanOrEqual(3);
  }, 600_000);
});
