/** The second place as a directory, and as objects on a small S3 server. test/interop has a real one. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { secondPlaceContract } from '../suites/second-place.ts';
import { bodyOf, tempDir } from '../support/log.ts';
import { CREDENTIALS, type S3Server, startS3Server } from '../support/s3-server.ts';
import { startServer } from '../support/serve.ts';
import { until } from '../support/until.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(() => dir.remove());

secondPlaceContract('a second place that is a directory', async (name) => {
  const place = join(dir.path, name);
  await mkdir(place);
  return {
    args: ['--second-place', place],
    names: async () => (await readdir(place)).sort(),
    read: (record) => readFile(join(place, record), 'utf8'),
    write: (record, text) => writeFile(join(place, record), text),
    takeAway: () => rename(place, `${place}-away`),
    giveBack: async () => {
      await rm(place, { recursive: true, force: true });
      await rename(`${place}-away`, place);
    },
  };
});

let s3: S3Server;
secondPlaceContract(
  'a second place on S3',
  async (name) => {
    const { id, secret } = CREDENTIALS;
    const file = join(dir.path, `${name}.credentials`);
    await writeFile(file, `${id}\n${secret}\n`, { mode: 0o600 });
    const key = (record: string) => `${name}/log/${record}`;
    const place = ['--second-place-s3-endpoint', s3.url, '--second-place-s3-bucket', s3.bucket];
    return {
      args: [...place, '--second-place-s3-prefix', `${name}/log`, '--second-place-s3-credentials-file', file],
      names: async () =>
        [...s3.objects.keys()]
          .flatMap((found) => (found.startsWith(key('')) ? [found.slice(key('').length)] : []))
          .sort(),
      read: async (record) => s3.objects.get(key(record))!.toString(),
      write: async (record, text) => void s3.objects.set(key(record), Buffer.from(text)),
      takeAway: () => s3.close(),
      giveBack: () => s3.listen(),
    };
  },
  {
    before: async () => {
      s3 = await startS3Server();
    },
    after: () => s3.close(),
  },
);

it('signs nothing while the S3 server answers anything else than it should, says why, and names no secret', async () => {
  const server = await startS3Server();
  const { id, secret } = CREDENTIALS;
  const log = await startServer(join(dir.path, 'log'), {
    args: [
      ...['--second-place-s3-endpoint', server.url, '--second-place-s3-bucket', server.bucket],
      ...['--limits-publish-timeout', '100ms', '--ingest-threads', '1'],
    ],
    env: { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret },
  });
  try {
    const send = async (name: string) => {
      const body = Buffer.from(bodyOf(name));
      return (await fetch(`${log.url}/api/v2/log/entries`, { method: 'POST', body })).status;
    };
    const checkpoint = async () => await (await fetch(`${log.url}/checkpoint`)).text();
    const ready = async () => await (await fetch(`${log.adminUrl}/readyz`)).text();
    await until(async () => (await send('first')) === 201);
    // Without a prefix, the origin is the prefix.
    expect([...server.objects.keys()].at(-1)).toBe('localhost/0000000000000001');
    const status = (code: number, headers = {}): RequestListener => {
      return (_, reply) => reply.writeHead(code, headers).end(`<Error><Code>Told</Code>${secret}</Error>`);
    };
    const answers: [RequestListener, string][] = [
      [status(403), 'answers 403 (Told) to the new record 0000000000000002: check the credentials'],
      [status(500), 'answers 500 (Told)'],
      [status(307, { location: `${server.url}/elsewhere` }), 'redirects are not followed'],
      [(_, reply) => reply.destroy(), 'does not answer: '],
      [() => {}, 'gave no whole answer within 5 s'],
    ];
    for (const [i, [answer, why]] of answers.entries()) {
      const shown = await checkpoint();
      server.instead = answer;
      expect(await send(`entry ${i}`)).toBe(503);
      await until(async () => (await ready()).includes(why), log.log);
      expect(await ready()).toContain('the second place cannot be used, so nothing is signed: ');
      expect(await checkpoint()).toBe(shown);
      server.instead = undefined;
      await until(async () => (await send(`entry ${i}`)) === 201);
      await until(async () => !(await ready()).includes('second place'));
    }
    expect(`${log.log()}${await ready()}`).not.toContain(secret);
  } finally {
    await log.kill();
    await server.close();
  }
});

it('signs nothing where the disk of the directory was unmounted, and what is below is empty', async () => {
  const place = join(dir.path, 'mounted');
  await mkdir(place);
  const log = await startServer(join(dir.path, 'disk'), {
    args: ['--second-place', place, '--limits-publish-timeout', '100ms', '--ingest-threads', '1'],
  });
  try {
    const send = async (name: string) => {
      const body = Buffer.from(bodyOf(name));
      return (await fetch(`${log.url}/api/v2/log/entries`, { method: 'POST', body })).status;
    };
    await until(async () => (await send('one')) === 201);
    await rename(place, `${place}-away`);
    await mkdir(place);
    expect(await send('two')).toBe(503);
    expect(await readdir(place)).toEqual([]);
    expect(await (await fetch(`${log.adminUrl}/readyz`)).text()).toMatch(/the record 0+1 in .* is gone/);
    await rm(place, { recursive: true });
    await rename(`${place}-away`, place);
    await until(async () => (await send('two')) === 201);
  } finally {
    await log.kill();
  }
});
