/** The reader of a log's files for browsers, against real servers that misbehave. `fetch` is Node's, which is a browser's by its specification. */
import { expect, it } from 'vitest';
import { openInBrowser } from '../../../client/explorer/model/browser-files.ts';
import { FakeLog } from '../../support/fake-log.ts';
import type { Handler } from '../../support/log-files.ts';
import { serve } from '../../support/log-files.ts';

const QUICK = { retries: 2, pauseMs: 1 };

async function reading(handler: Handler, options: Parameters<typeof openInBrowser>[1] = QUICK) {
  return openInBrowser(`${await serve(handler)}/log/`, options);
}

it('reads a log, also below /api/v2', async () => {
  const log = new FakeLog();
  const url = await log.listen();
  const source = openInBrowser(url, QUICK);
  expect(Buffer.from(await source.checkpoint()).toString()).toBe(log.sign(log.text()));
  expect(await source.tile({ level: 0, index: 1, width: 256 })).toHaveLength(256 * 32);
  expect((await source.entries(2, 88)).length).toBeGreaterThan(88 * 2);
  const api = await reading((path, response) => {
    if (path === 'log/api/v2/checkpoint') response.end('here');
    else response.writeHead(404).end();
  });
  expect(Buffer.from(await api.checkpoint()).toString()).toBe('here');
});

it('says that a file is not there', async () => {
  const source = await reading((_path, response) => response.writeHead(404).end());
  await expect(source.checkpoint()).rejects.toMatchObject({ code: 'missing' });
});

it('asks again where that may help, and then says how often', async () => {
  let asked = 0;
  const mended = await reading((_path, response) => {
    if (++asked < 3) response.writeHead(503).end();
    else response.end('well');
  });
  expect(Buffer.from(await mended.checkpoint()).toString()).toBe('well');
  const away = await reading((_path, response) => response.writeHead(503).end());
  await expect(away.checkpoint()).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('3 times'),
  });
  const gone = openInBrowser('http://127.0.0.1:1', QUICK);
  await expect(gone.checkpoint()).rejects.toMatchObject({ code: 'network' });
});

it('reads no more than a file can have, whatever a server sends', async () => {
  let sent = 0;
  const source = await reading((_path, response) => {
    const more = () => {
      while (response.writable && response.write(Buffer.alloc(65_536))) sent += 65_536;
      response.once('drain', more);
    };
    more();
  });
  await expect(source.checkpoint()).rejects.toMatchObject({ code: 'corrupt' });
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

it('follows no redirect', async () => {
  let followed = false;
  const source = await reading((path, response) => {
    followed ||= path === 'elsewhere';
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  await expect(source.checkpoint()).rejects.toMatchObject({ code: 'bad-reply' });
  expect(followed).toBe(false);
});

it('waits no longer than it says, and ends with its signal', async () => {
  const silent: Handler = (_path, response) => void response.writeHead(200).write('a');
  const slow = await reading(silent, { timeoutMs: 50, retries: 0 });
  await expect(slow.checkpoint()).rejects.toMatchObject({
    code: 'network',
    message: expect.stringContaining('within 0.05 s'),
  });
  const source = await reading(silent);
  const ended = new AbortController();
  const reply = source.checkpoint(ended.signal);
  ended.abort();
  await expect(reply).rejects.toMatchObject({ code: 'cancelled' });
});

it('asks past caches with a query that is new', async () => {
  const asked: string[] = [];
  const source = await reading((path, response) => {
    asked.push(path);
    response.end('x');
  });
  await source.checkpoint(undefined, true);
  await source.checkpoint(undefined, true);
  expect(new Set(asked).size).toBe(2);
  expect(asked.every((path) => /^log\/checkpoint\?no-cache=[0-9a-f]{16}$/.test(path))).toBe(true);
});
