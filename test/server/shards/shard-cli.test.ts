/** The operator's commands on a log with shards, as processes. Run `npm run build` first. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../server/config/load.ts';
import { openShard, prepareShard } from '../../../server/main.ts';
import { tempDir } from '../../support/log.ts';
import { printedAtStart, type ServeProcess, startServer, steleJson } from '../../support/serve.ts';
import { silent } from '../../support/silent.ts';
import { addAt, callAt } from './support.ts';

const SECOND = '127.0.0.1';

let root: Awaited<ReturnType<typeof tempDir>>;
let data: string;
let server: ServeProcess | undefined;

beforeEach(async () => {
  root = await tempDir();
  data = join(root.path, 'data');
});
afterEach(async () => {
  await server?.kill();
  server = undefined;
  await root.remove();
});

const options = () => ({ config: loadConfig({ flags: { data, 'ingest-threads': '1' } }), logger: silent });
const log = (...args: string[]) => steleJson(['log', ...args, '--data', data]);
const at = (name: string) => join(root.path, name);

describe('stele log, with shards', () => {
  it('freezes and exports the shard that is named, and checks, copies and restores all of them', async () => {
    server = await startServer(data);
    const { url } = server;
    expect(await addAt(url, 'localhost', 'first')).toBe(201);
    await prepareShard(options(), { origin: SECOND, url: `http://${SECOND}:3000` });
    expect(await log('freeze', '--yes')).toMatchObject({ origin: 'localhost' });
    await openShard(options(), SECOND);
    expect(await addAt(url, SECOND, 'second')).toBe(201);
    expect(await addAt(url, SECOND, 'third')).toBe(201);
    // A repeat that names the shard freezes no other.
    const again = await log('freeze', '--yes', '--shard', 'localhost');
    expect(again).toMatchObject({
      origin: 'localhost',
      checkpoint: (await callAt(url, 'localhost', '/checkpoint')).body,
    });
    expect(await addAt(url, SECOND, 'fourth')).toBe(201);

    expect(await log('export', at('newest'))).toMatchObject({ size: 3 });
    expect(await log('export', at('first'), '--shard', 'localhost')).toMatchObject({ size: 1 });
    const shards = [
      { origin: 'localhost', size: 1 },
      { origin: SECOND, size: 3 },
    ];
    expect(await log('backup', at('backup'))).toMatchObject({ size: 3, shards });
    await server.stop();
    const checked = { ok: true, size: 1, shards: [{ origin: SECOND, size: 3, root: expect.stringMatching(/=$/) }] };
    expect(await steleJson(['log', 'check', data])).toMatchObject({ ...checked, kind: 'data' });
    expect(await steleJson(['log', 'check', at('backup')])).toMatchObject({ ...checked, kind: 'backup' });
    const restored = await steleJson([
      ...['log', 'restore', at('backup'), '--data', at('restored')],
      ...['--at-least', join(at('newest'), 'checkpoint')],
    ]);
    expect(restored).toMatchObject({ size: 3, atLeast: 3 });
    expect(await steleJson(['log', 'check', at('restored')])).toMatchObject({ ...checked, kind: 'data' });

    // The command on a stopped log ends the newest shard, as the one that takes entries.
    expect(await log('freeze', '--yes')).toMatchObject({ origin: SECOND });
    server = await startServer(data);
    expect(server).toMatchObject({ origin: SECOND, status: 'frozen', size: 3 });
    await server.stop();
    const { stdout } = await printedAtStart(['serve', '--data', data, '--listen-port', '0', '--admin-port', '0']);
    expect(stdout).toContain('\n  localhost: frozen, 1 entry\n  127.0.0.1: frozen, 3 entries, http://127.0.0.1:3000\n');
    server = await startServer(data);
    expect(await addAt(server.url, 'anything.example', 'late')).toBe(405);
  });
});
