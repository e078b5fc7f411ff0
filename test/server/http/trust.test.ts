/** `/trust/` of the public server. What a mirror serves: test/merkle/runtime/service/mirror.test.ts. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Mirror } from '../../../merkle/runtime/service/mirror.ts';
import { tempDir } from '../../support/log.ts';
import { startServer } from '../../support/serve.ts';
import { listen, makeApp } from './support.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeEach(async () => {
  dir = await tempDir();
  await mkdir(join(dir.path, 'public'));
  for (const name of ['timestamp.json', '1.root.json'])
    await writeFile(join(dir.path, 'public', name), `{"${name}":1}`);
  await writeFile(join(dir.path, 'plan.yaml'), 'a plan');
});
afterEach(() => dir.remove());

describe('/trust/', () => {
  it('serves the files of the repository to GET and HEAD, also of pages', async () => {
    const { app } = makeApp({ mirror: new Mirror(dir.path) });
    for (const [name, caching] of [
      ['timestamp.json', 'public, max-age=1'],
      ['timestamp.json?x=1', 'public, max-age=1'],
      ['1.root.json', 'public, max-age=31536000, immutable'],
    ]) {
      const get = await app.inject(`/trust/${name}`);
      expect(get.body).toBe(`{"${name!.split('?')[0]}":1}`);
      expect(get.headers).toMatchObject({
        'content-type': 'application/json',
        'cache-control': caching,
        'access-control-allow-origin': '*',
      });
      const head = await app.inject({ method: 'HEAD', url: `/trust/${name}` });
      expect([head.statusCode, head.body]).toEqual([200, '']);
      expect(head.headers).toMatchObject({ ...get.headers, date: expect.anything() });
    }
  });

  it('says that a root is not there yet, and that nobody may keep that', async () => {
    const { app } = makeApp({ mirror: new Mirror(dir.path) });
    for (const path of [
      '2.root.json',
      '',
      '../plan.yaml',
      '%2e%2e/plan.yaml',
      '..%2fplan.yaml',
      '1.root.json/',
      'a/b',
    ]) {
      const reply = await app.inject(`/trust/${path}`);
      expect(reply.statusCode, path).toBe(404);
      expect(reply.json()).toEqual({ code: 5, message: 'not found', details: [] });
      expect(reply.headers).toMatchObject({ 'cache-control': 'no-store', 'access-control-allow-origin': '*' });
    }
    expect((await app.inject('/trust')).statusCode).toBe(404);
    const post = await app.inject({ method: 'POST', url: '/trust/1.root.json' });
    expect([post.statusCode, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it('counts for the rate limit of an address', async () => {
    const { app } = makeApp({ mirror: new Mirror(dir.path), rateLimit: { max: 2, window: 60_000 } });
    const { base } = await listen(app);
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await fetch(`${base}/trust/timestamp.json`)).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it('asks a client to come again while too many bytes are under way', async () => {
    const { app } = makeApp({ mirror: new Mirror(dir.path, { held: 1 }) });
    const reply = await app.inject('/trust/1.root.json');
    expect([reply.statusCode, reply.headers['retry-after']]).toEqual([503, '1']);
  });

  it('is not there without a repository, nor in the description', async () => {
    const { app } = makeApp();
    expect((await app.inject('/trust/timestamp.json')).statusCode).toBe(404);
    expect((await app.inject('/openapi.json')).json().paths).not.toHaveProperty('/trust/{file}');
    const { app: with_ } = makeApp({ mirror: new Mirror(dir.path) });
    expect((await with_.inject('/openapi.json')).json().paths).toHaveProperty('/trust/{file}');
  });

  it('is served by a log whose settings name a repository, and the operator learns that nothing is published', async () => {
    const log = await startServer(join(dir.path, 'data'), { args: ['--trust-directory', dir.path] });
    try {
      expect(await (await fetch(`${log.url}/trust/timestamp.json`)).text()).toBe('{"timestamp.json":1}');
      const ready = async () => (await (await fetch(`${log.adminUrl}/readyz`)).json()) as { alarms?: string[] };
      expect((await ready()).alarms).toBeUndefined();
      await rm(join(dir.path, 'public', 'timestamp.json'));
      expect((await ready()).alarms).toEqual([expect.stringContaining('`trust.directory` has nothing to serve')]);
    } finally {
      await log.stop();
    }
  });
});
