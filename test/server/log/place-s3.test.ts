import { chmod, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { S3Place } from '../../../server/log/place-s3.ts';
import { tempDir } from '../../support/log.ts';
import { CREDENTIALS, listing, type S3Server, startS3Server } from '../../support/s3-server.ts';

const name = (size: number) => String(size).padStart(16, '0');
const RECORD = Buffer.from('a record');
const never = new AbortController().signal;

let server: S3Server;
beforeEach(async () => {
  server = await startS3Server();
  vi.stubEnv('AWS_ACCESS_KEY_ID', CREDENTIALS.id);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', CREDENTIALS.secret);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
});

const open = (
  more: { readonly timeoutMs?: number; readonly bucket?: string; readonly credentialsFile?: string } = {},
) => S3Place.open({ endpoint: server.url, bucket: server.bucket, prefix: 'log', region: 'us-east-1', ...more });
/** Each call of a place. */
const calls = (place: S3Place) => [
  () => place.names(never),
  () => place.create(name(1), RECORD, never),
  () => place.read(name(1), never),
  () => place.remove(name(1), never),
];
const answer =
  (status: number, body = '', headers: Record<string, string> = {}): RequestListener =>
  (_, reply) =>
    reply.writeHead(status, headers).end(body);

describe('a place on S3', () => {
  it('creates each record once, reads it, names all and removes one', async () => {
    const place = await open();
    expect(await place.names(never)).toEqual([]);
    expect(await place.create(name(1), RECORD, never)).toBe(true);
    expect(await place.create(name(1), Buffer.from('another'), never)).toBe(false);
    expect(Buffer.from(await place.read(name(1), never))).toEqual(RECORD);
    expect(await place.create(name(2), RECORD, never)).toBe(true);
    expect(await place.names(never)).toEqual([name(1), name(2)]);
    await place.remove(name(1), never);
    await place.remove(name(1), never);
    expect([...server.objects.keys()]).toEqual([`log/${name(2)}`]);
    await expect(place.read(name(1), never)).rejects.toThrow(/answers 404 \(NoSuchKey\) to the request for the record/);
  });

  it('reads a list of several pages, and refuses one without an end', async () => {
    const place = await open();
    const sizes = Array.from({ length: 20 }, (_, i) => name(i + 1));
    for (const size of sizes) server.objects.set(`log/${size}`, RECORD);
    server.objects.set(`logs/${name(99)}`, RECORD);
    server.pageSize = 8;
    expect(await place.names(never)).toEqual(sizes);
    expect(server.requests).toEqual(['LIST ', `LIST log/${name(8)}`, `LIST log/${name(16)}`]);
    server.pageSize = 1;
    expect(await place.names(never)).toEqual(sizes);
    server.objects.set(`log/${name(21)}`, RECORD);
    await expect(place.names(never)).rejects.toMatchObject({ code: 'too-long' });
  });

  it('refuses a list that is too long or something else', async () => {
    const place = await open();
    server.instead = answer(200, listing('log/', []).replace('</Name>', `${' '.repeat(1024 * 1024)}</Name>`));
    await expect(place.names(never)).rejects.toMatchObject({ code: 'too-long' });
    server.instead = answer(200, '<html>');
    await expect(place.names(never)).rejects.toMatchObject({ code: 'network', message: /is no list of objects/ });
    server.instead = (_, reply) => reply.writeHead(200).end(Buffer.from([0xff, 0xfe]));
    await expect(place.names(never)).rejects.toThrow(/is no list of objects/);
    // A server that answers each page with the same one would be asked for ever.
    server.instead = answer(200, listing('log/', [`log/${name(1)}`], true));
    await expect(place.names(never)).rejects.toThrow(/is not in order/);
  });

  it('refuses a record that is too long', async () => {
    server.objects.set(`log/${name(1)}`, Buffer.alloc(4097));
    await expect((await open()).read(name(1), never)).rejects.toMatchObject({ code: 'too-long' });
  });

  it('refuses a server that replaces objects', async () => {
    const place = await open();
    server.instead = answer(200);
    await expect(place.create(name(1), RECORD, never)).rejects.toThrow(/ignores If-None-Match/);
    await expect(place.create(name(2), RECORD, never)).rejects.toThrow(/ignores If-None-Match/);
    server.instead = undefined;
    expect(await place.create(name(2), RECORD, never)).toBe(true);
  });

  it.each([
    [403, /answers 403 \(AccessDenied\) to .*: check the credentials/],
    [404, /answers 404 \(AccessDenied\) to .*: check the endpoint and the bucket/],
    [409, /answers 409 \(AccessDenied\) to /],
    [500, /answers 500 \(AccessDenied\) to /],
    [503, /answers 503 \(AccessDenied\) to /],
    [206, /answers 206 \(AccessDenied\) to /],
  ])('says that the answer was %i, to every call', async (status, why) => {
    const place = await open();
    const told = `<Error><Code>AccessDenied</Code><Message>${CREDENTIALS.secret}</Message></Error>`;
    server.instead = answer(status, told);
    for (const call of calls(place)) {
      const error = await call().then(
        (value) => value,
        (thrown: Error) => thrown,
      );
      // A record that is gone is what its removal wants.
      if (status === 404 && error === undefined) continue;
      expect(error).toMatchObject({ name: 'RuntimeError', code: 'network', message: expect.stringMatching(why) });
      expect(JSON.stringify([(error as Error).message, String(error)])).not.toContain(CREDENTIALS.secret);
    }
  });

  it.each([301, 302, 307, 308])('does not follow a redirect (%i)', async (status) => {
    const place = await open();
    const elsewhere = await startS3Server();
    try {
      server.instead = answer(status, '', { location: `${elsewhere.url}/records/log/${name(1)}` });
      for (const call of calls(place)) await expect(call()).rejects.toThrow(/redirects are not followed/);
      expect(elsewhere.requests).toEqual([]);
    } finally {
      await elsewhere.close();
    }
  });

  it('ends in time where the server does not answer, or not to the end, and with its caller', async () => {
    const place = await open({ timeoutMs: 50 });
    for (const slow of [() => {}, (_: unknown, reply) => reply.writeHead(200).write('<')] as RequestListener[]) {
      server.instead = slow;
      for (const call of calls(place)) {
        await expect(call()).rejects.toMatchObject({ code: 'network', message: /no whole answer within 0\.05 s/ });
      }
    }
    const stop = new AbortController();
    server.instead = () => stop.abort();
    const patient = await open({ timeoutMs: 60_000 });
    await expect(patient.names(stop.signal)).rejects.toMatchObject({ code: 'aborted' });
    server.instead = (_, reply) => reply.destroy();
    for (const call of calls(place)) await expect(call()).rejects.toMatchObject({ code: 'network' });
    await server.close();
    for (const call of calls(place)) await expect(call()).rejects.toThrow(/nothing listens there/);
    await server.listen();
  });

  it('names the bucket that is not there', async () => {
    await expect((await open({ bucket: 'other' })).names(never)).rejects.toThrow(
      /^s3:\/\/other\/log at .* answers 404 \(NoSuchBucket\) to a list of the records: check the endpoint and the bucket$/,
    );
  });
});

describe('the credentials of a place on S3', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let file: string;
  beforeEach(async () => {
    dir = await tempDir();
    file = join(dir.path, 'credentials');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another one');
  });
  afterEach(() => dir.remove());

  it.each(['\n', '', '\r\n'])('are two lines of a file', async (end) => {
    const between = end === '\r\n' ? end : '\n';
    await writeFile(file, `${CREDENTIALS.id}${between}${CREDENTIALS.secret}${end}`, { mode: 0o600 });
    expect(await (await open({ credentialsFile: file })).names(never)).toEqual([]);
  });

  it('are refused in a file that others read', async () => {
    await writeFile(file, `${CREDENTIALS.id}\n${CREDENTIALS.secret}\n`);
    await chmod(file, 0o644);
    await expect(open({ credentialsFile: file })).rejects.toMatchObject({ code: 'secret' });
  });

  it.each([
    ['one line', CREDENTIALS.secret],
    ['three lines', `${CREDENTIALS.id}\n${CREDENTIALS.secret}\nmore`],
    ['an empty line', `${CREDENTIALS.id}\n\n`],
    ['a space', `${CREDENTIALS.id} \n${CREDENTIALS.secret}`],
  ])('are refused with %s, without a word of them', async (_, content) => {
    await writeFile(file, content, { mode: 0o600 });
    const error = (await open({ credentialsFile: file }).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'secret', message: expect.stringContaining(`the credentials file ${file}`) });
    expect(error.message).not.toContain(CREDENTIALS.secret);
  });

  it('come from the environment where no file is named, with a session token if there is one', async () => {
    await expect(open()).rejects.toMatchObject({ code: 'secret', message: /AWS_ACCESS_KEY_ID/ });
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    await expect(open()).rejects.toMatchObject({ code: 'secret', message: /AWS_ACCESS_KEY_ID/ });
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', CREDENTIALS.secret);
    vi.stubEnv('AWS_SESSION_TOKEN', 'a-session');
    const tokens: unknown[] = [];
    const place = await open();
    server.instead = ({ headers }, reply) => {
      tokens.push(headers['x-amz-security-token'], headers.authorization?.includes('x-amz-security-token'));
      reply.end(listing('log/', []));
    };
    expect(await place.names(never)).toEqual([]);
    expect(tokens).toEqual(['a-session', true]);
  });
});
