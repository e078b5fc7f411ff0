import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Log } from '../../../server/log/log.ts';
import { Metrics } from '../../../server/metrics.ts';
import { openTestLog, tempDir } from '../../support/log.ts';
import { appOver, type TestApp } from '../http/support.ts';

const SIZE = 700;

let dir: Awaited<ReturnType<typeof tempDir>>;
let other: Awaited<ReturnType<typeof tempDir>>;
let log: Log;
let made: TestApp<Log>;
let metrics: Metrics;
let said: { fields: Record<string, unknown>; message: string }[];

beforeEach(async () => {
  [dir, other] = [await tempDir(), await tempDir()];
  said = [];
  await open();
  await Promise.all(Array.from({ length: SIZE - 1 }, (_, i) => log.add(Buffer.from(`entry ${i}`))));
  await expect.poll(() => log.publishedSize).toBe(SIZE - 1);
  // With this commit all entries that are in files leave the tail.
  await log.add(Buffer.from('the last one'));
  await expect.poll(() => log.publishedSize).toBe(SIZE);
  await close();
  await open();
});

afterEach(async () => {
  await close();
  await Promise.all([dir.remove(), other.remove()]);
});

async function open(): Promise<void> {
  metrics = new Metrics({ process: false });
  const say = (fields: object, message: string) => void said.push({ fields: { ...fields }, message });
  const logger = Object.assign(Object.create(null), { info: say, warn: say, error: say, debug: say });
  log = await openTestLog(dir.path, { entries: 'raw', metrics, logger, tree: { cachedBytes: 1024 * 1024 } });
  made = appOver(log);
}

async function close(): Promise<void> {
  await made.app.close();
  await log.close();
}

const fileOf = (path: string) => join(dir.path, 'public', path);

/** Changes one byte of the file, and returns what puts it back. */
function damage(path: string): () => void {
  const bytes = readFileSync(fileOf(path));
  const changed = Buffer.from(bytes);
  changed[bytes.length - 3]! ^= 4;
  writeFileSync(fileOf(path), changed);
  return () => writeFileSync(fileOf(path), bytes);
}

async function statusOf(path: string, method: 'GET' | 'HEAD' = 'GET', headers = {}): Promise<[number, unknown]> {
  const { statusCode, headers: got } = await made.app.inject({ method, url: `/${path}`, headers });
  return [statusCode, got['cache-control']];
}

const IMMUTABLE = 'public, max-age=31536000, immutable';
const REFUSED = [503, 'no-store'];

/** What each file is needed for. */
const NEEDED: Record<string, readonly string[]> = {
  'tile/0/001': ['tile/0/001', 'tile/0/001.p/17', 'api/v2/tile/0/001'],
  'tile/entries/001': ['tile/entries/001', 'tile/entries/001.p/256', 'api/v2/tile/entries/001', 'stele/v1/entries/300'],
};

it.each(Object.keys(NEEDED))(
  '%s, damaged on the disk, costs its own readers an answer, and nobody else',
  async (file) => {
    const restore = damage(file);
    const needing = NEEDED[file]!.filter((path) => !path.endsWith('.p/256'));
    for (let time = 0; time < 2; time++) {
      for (const path of needing) {
        expect([path, ...(await statusOf(path))]).toEqual([path, ...REFUSED]);
        expect([path, ...(await statusOf(path, 'HEAD'))]).toEqual([path, ...REFUSED]);
        expect([path, ...(await statusOf(path, 'GET', { 'accept-encoding': 'gzip' }))]).toEqual([path, ...REFUSED]);
      }
      for (const path of [
        'tile/0/000',
        'tile/entries/000',
        'tile/0/002.p/188',
        'tile/entries/002.p/188',
        'tile/1/000.p/2',
      ]) {
        expect([path, ...(await statusOf(path))]).toEqual([path, 200, IMMUTABLE]);
      }
      for (const path of [
        'stele/v1/entries/3',
        'stele/v1/entries/699',
        'stele/v1/proofs/consistency?first=600&second=700',
      ]) {
        expect([path, ...(await statusOf(path))]).toEqual([path, 200, 'no-cache']);
      }
    }
    const { body } = await made.app.inject(`/${file}`);
    expect(JSON.parse(body)).toMatchObject({
      code: 14,
      message: expect.stringContaining('a stored file that this reply'),
    });
    expect(log.notReady()).toEqual([
      expect.stringContaining(`a stored file is damaged, and requests for it get 503: public/${file}`),
    ]);
    expect(await metrics.registry.metrics()).toContain('stele_rotten_files 1');
    // Once, however often it is read.
    const lines = said.filter(({ message }) => message === 'a stored file is damaged');
    expect(lines.map(({ fields }) => fields.path)).toEqual([`public/${file}`]);

    // No copy takes the damage along.
    await expect(log.backup(join(other.path, 'backup'))).rejects.toMatchObject({
      code: 'rotten',
      message: expect.stringContaining(file),
    });
    await expect(log.export(join(other.path, 'export'))).rejects.toMatchObject({
      code: 'rotten',
      message: expect.stringContaining(file),
    });
    expect(readdirSync(join(other.path, 'backup'))).not.toContain('stele.json');

    // Writing goes on.
    expect(await log.add(Buffer.from('one more'))).toBe(SIZE);
    await expect.poll(() => log.publishedSize).toBe(SIZE + 1);

    restore();
    for (const path of needing) expect((await statusOf(path))[0]).toBe(200);
    expect(log.notReady()).toEqual([]);
    expect(await metrics.registry.metrics()).toContain('stele_rotten_files 0');
    expect(await log.backup(join(other.path, 'another'))).toBe(SIZE + 1);
  },
);
