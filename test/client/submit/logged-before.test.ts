/** An entry that a log has already, where the log shows single entries nowhere but in its tiles. Built first (`npm test` does). */
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let front: Server;
let url: string;
/** Paths that the server in front answers with 404, as other logs do. */
let hidden = /^\/stele\//;
const statuses: number[] = [];

beforeAll(async () => {
  dir = await tempDir();
  log = await startServer(join(dir.path, 'data'), { args: ['--duplicates', 'conflict'] });
  front = createServer((request, reply) => {
    const { method, url: path = '', headers } = request;
    if (hidden.test(path)) return void reply.writeHead(404).end();
    const passed = send(new URL(path, log.url), { method, headers }, (answer) => {
      statuses.push(answer.statusCode!);
      reply.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(reply);
    });
    request.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  for (const name of ['one', 'two']) writeFileSync(join(dir.path, name), name);
  await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', join(dir.path, 'key.pem')]);
});
afterAll(async () => {
  front.closeAllConnections();
  front.close();
  await log.stop();
  await dir.remove();
});

const sign = (...files: string[]) =>
  stele(['sign', ...files, '--key', 'key.pem', '--log', url, '--log-key', log.verifierKeys[0]!, '--json'], {
    cwd: dir.path,
  });

it('is found by its index and proven by the tiles, alone and among others, and from a queue', async () => {
  const first = JSON.parse((await sign('one')).stdout) as { index: number };
  rmSync(join(dir.path, 'one.sigstore.json'));
  const again = await sign('one', 'two');
  expect(again).toMatchObject({ code: 0 });
  expect(statuses).toContain(409);
  const { files } = JSON.parse(again.stdout) as { files: { index: number }[] };
  expect(files.map(({ index }) => index)).toEqual([first.index, first.index + 1]);

  rmSync(join(dir.path, 'one.sigstore.json'));
  const queued = [
    'sign',
    'one',
    '--key',
    'key.pem',
    '--log',
    url,
    '--log-key',
    log.verifierKeys[0]!,
    '--queue',
    'queue',
  ];
  expect(await stele(queued, { cwd: dir.path })).toMatchObject({ code: 0 });
  expect(await stele(['submit', '--flush', '--queue', 'queue'], { cwd: dir.path })).toMatchObject({ code: 0 });
  const verify = ['verify', 'one', '--key', 'key.pub.pem', '--log-key', log.verifierKeys[0]!];
  expect(await stele(verify, { cwd: dir.path })).toMatchObject({ code: 0 });
});

it('is not taken where the tiles are not there', async () => {
  hidden = /^\/stele\/|\/tile\/0\//;
  rmSync(join(dir.path, 'two.sigstore.json'));
  const { code, stderr } = await sign('two');
  expect(code).toBe(1);
  expect(stderr).toMatch(/\[refused\]: .*already.*its public files do not show the entry/);
});
