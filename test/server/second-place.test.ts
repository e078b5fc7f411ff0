/** The second place: what is signed is recorded there first, and an old copy of the data directory finds that it is old. */
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bodyOf, tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { until } from '../support/until.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess | undefined;
const at = (name: string) => join(dir.path, name);

beforeEach(async () => {
  dir = await tempDir();
  server = undefined;
  await steleJson(['keygen', '--out', at('log.pem'), '--origin', 'localhost']);
  await mkdir(at('place'));
});
afterEach(async () => {
  await server?.kill();
  await dir.remove();
});

const options = (data: string) => {
  const key = ['--key-file', at('log.pem'), '--origin', 'localhost', '--ingest-threads', '1'];
  return ['--data', at(data), ...key, '--second-place', at('place'), '--limits-publish-timeout', '1s'];
};
const start = async (data: string) => {
  server = await startServer(at(data), { args: options(data).slice(2) });
};
const log = async (name: string) =>
  (await fetch(`${server!.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf(name)) })).status;
const refused = async (data: string) => {
  const { code, stderr } = await stele(['serve', ...options(data), '--listen-port', '0', '--admin-port', '0']);
  return [code, stderr];
};

it('records each tree before it is signed, and refuses an old copy, a new directory and another tree', async () => {
  await start('data');
  expect(await log('one')).toBe(201);
  await server!.stop();
  await cp(at('data'), at('old'), { recursive: true });
  await start('data');
  for (const name of ['two', 'three']) expect(await log(name)).toBe(201);
  const checkpoint = await (await fetch(`${server!.url}/checkpoint`)).text();
  expect(server!.log()).not.toContain('old copy');
  await server!.stop();
  const names = (await readdir(at('place'))).sort();
  expect(names).toEqual(['0000000000000002', '0000000000000003']);
  expect(checkpoint.startsWith(await readFile(at(`place/${names[1]}`), 'utf8'))).toBe(true);

  expect(await refused('old')).toEqual([
    1,
    expect.stringMatching(/\[rollback\].* signed a tree of 3 entries, and .* has 1/),
  ]);
  expect(await refused('fresh')).toEqual([1, expect.stringMatching(/signed a tree of 3 entries, and .* has 0/)]);
  const record = await readFile(at(`place/${names[1]}`), 'utf8');
  await writeFile(
    at(`place/${names[1]}`),
    record.replace(/\n[^\n]{43}=\n$/, `\n${Buffer.alloc(32, 7).toString('base64')}\n`),
  );
  expect(await refused('data')).toEqual([1, expect.stringContaining('another tree of 3 entries')]);
  await writeFile(at(`place/${names[1]}`), record);
  await start('data');
  expect(await log('four')).toBe(201);
});

it('signs nothing while the place cannot be reached, says so, and goes on when it can', async () => {
  await start('data');
  expect(await log('one')).toBe(201);
  const shown = await (await fetch(`${server!.url}/checkpoint`)).text();
  await rename(at('place'), at('away'));
  expect(await log('two')).toBe(503);
  const ready = async () => (await (await fetch(`${server!.adminUrl}/readyz`)).json()) as { reasons: string[] };
  expect((await ready()).reasons.join()).toContain('the second place cannot be reached, so nothing is signed');
  expect(await (await fetch(`${server!.url}/checkpoint`)).text()).toBe(shown);
  expect(await (await fetch(`${server!.adminUrl}/metrics`)).text()).toMatch(/stele_second_place_failures_total [1-9]/);
  await rename(at('away'), at('place'));
  await until(async () => (await log('two')) === 201);
  await until(async () => (await ready()).reasons.length === 0);
});
