import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { formatLogEntry, type LogEntry } from '../../../client/formats/log-entry.ts';
import { askLogKey, fetchLogInfo } from '../../../client/submit/log-info.ts';
import { signAndLog } from '../../../client/submit/log-signatures.ts';
import { parseLogUrl } from '../../../client/submit/log-url.ts';
import { sendAll } from '../../../client/submit/sender.ts';
import type { SendOptions } from '../../../client/submit/types.ts';
import { verifyReply } from '../../../client/verify/leaf.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { newKey } from '../../support/new-key.ts';

type Answer = (request: IncomingMessage, reply: ServerResponse, body: string) => void;
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that gives one answer after the other, the last one for good; `bodies` are what it was sent. */
async function scripted(...answers: Answer[]): Promise<{ url: string; bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, reply) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      bodies.push(Buffer.concat(parts).toString());
      (answers.length > 1 ? answers.shift()! : answers[0]!)(request, reply, bodies.at(-1)!);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies };
}

const status =
  (code: number, body: unknown = {}, headers: Record<string, string> = {}): Answer =>
  (_, reply) =>
    void reply.writeHead(code, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
const fails = (code: string, text: string | RegExp = '') =>
  expect.objectContaining({
    code,
    message: text instanceof RegExp ? expect.stringMatching(text) : expect.stringContaining(text),
  });

const key = newKey();
const log = FakeLog.empty();
const digest = Uint8Array.from(createHash('sha256').update('hello').digest());
/** Takes an entry as a log does. */
const take: Answer = (_, reply, body) => {
  const { hashedRekordRequestV002: request } = JSON.parse(body);
  const signed = {
    digest: Buffer.from(request.digest, 'base64'),
    signature: Buffer.from(request.signature.content, 'base64'),
    publicKey: key.publicKey,
  };
  reply.writeHead(201).end(JSON.stringify({ ...formatLogEntry(log.logged(signed)), inclusionPromise: null }));
};

describe('signAndLog', () => {
  it('gives a bundle that verifies', async () => {
    const { url, bodies } = await scripted(take);
    const { signed, entry, verified } = await signAndLog(digest, key, url, log.key);
    expect(verifyReply(entry, signed, { logKey: log.key }, nodePrimitives())).toEqual(verified);
    expect(verified).toMatchObject({ origin: 'localhost', index: entry.index });
    expect(JSON.parse(bodies[0]!)).toMatchObject({
      hashedRekordRequestV002: { signature: { verifier: { keyDetails: 'PKIX_ECDSA_P256_SHA_256' } } },
    });
  });

  it('sends the same bytes again after a 503, a lost connection and a time-out', async () => {
    const silent: Answer = () => {};
    const cut: Answer = (request) => void request.socket.destroy();
    const { url, bodies } = await scripted(status(503, { message: 'wait' }), cut, silent, take);
    const waits: string[] = [];
    await signAndLog(digest, key, url, log.key, { attemptTimeout: 500, onRetry: ({ why }) => waits.push(why) });
    expect(new Set(bodies).size).toBe(1);
    expect(waits).toHaveLength(3);
    expect(waits[0]).toContain('"wait"');
  });

  it('keeps nothing that does not verify', async () => {
    const other = FakeLog.empty();
    const { url } = await scripted(take);
    await expect(signAndLog(digest, key, url, other.key)).rejects.toThrow(fails('bad-checkpoint'));
  });
});

/** Sends one request. */
async function submitEntry(url: string, request: string, options: SendOptions = {}): Promise<LogEntry> {
  let result: LogEntry | ClientError | undefined;
  await sendAll(url, [{ load: () => request }], options, {
    logged: (_, entry) => {
      result = entry;
    },
    notLogged: (_, { error }) => {
      result = error;
    },
  });
  if (result instanceof ClientError) throw result;
  return result!;
}

describe('sendAll', () => {
  it('waits as long as Retry-After says', async () => {
    const { url } = await scripted(status(503, {}, { 'retry-after': '1' }), take);
    const waits: number[] = [];
    await signAndLog(digest, key, url, log.key, { onRetry: ({ wait }) => waits.push(wait) });
    expect(waits).toEqual([1000]);
  });

  it('waits until the date that Retry-After names', async () => {
    const { url } = await scripted(status(503, {}, { 'retry-after': new Date(Date.now() + 2000).toUTCString() }), take);
    const waits: number[] = [];
    await signAndLog(digest, key, url, log.key, { onRetry: ({ wait }) => waits.push(wait) });
    expect(waits[0]).toBeGreaterThan(500);
  });

  it('fetches the entry where the log answers a duplicate with 409', async () => {
    const entry = log.logged({ digest, signature: key.sign(digest), publicKey: key.publicKey });
    const seen: string[] = [];
    const { url } = await scripted(status(409, { message: 'exists' }, { 'x-log-index': '7' }), (request, reply) => {
      seen.push(request.url!);
      reply.end(JSON.stringify(formatLogEntry(entry)));
    });
    expect(await submitEntry(url, '{}')).toEqual(entry);
    expect(seen).toEqual(['/stele/v1/entries/7']);
  });

  it.each([
    [400, { code: 3, message: 'invalid hashedrekord request: signature' }, 'invalid hashedrekord request'],
    [405, 'This log has been frozen, please switch to the latest log.\n', 'frozen'],
    [409, { message: 'exists' }, '409'],
    [413, '', '413'],
  ])('does not try again after %i', async (code, body, text) => {
    const { url, bodies } = await scripted(status(code, body));
    await expect(submitEntry(url, '{}')).rejects.toThrow(fails('refused', text));
    expect(bodies).toHaveLength(1);
  });

  it('shows nothing of a reply that could move a cursor', async () => {
    const { url } = await scripted(status(400, { message: '\u001b[2Jgone\r\nhere' }));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested.
    await expect(submitEntry(url, '{}')).rejects.toThrow(fails('refused', /^[^\u0000-\u001f]*$/));
  });

  it.each([
    ['text', 'hello'],
    ['an empty object', '{}'],
    ['a list', '[]'],
  ])('refuses a 201 with %s', async (_, body) => {
    const { url } = await scripted(status(201, body));
    await expect(submitEntry(url, '{}')).rejects.toThrow(fails('bad-reply'));
  });

  it('refuses a reply without end, and a redirect', async () => {
    const endless = await scripted((_, reply) => {
      const more = () => reply.write('x'.repeat(100_000), () => setImmediate(more));
      more();
    });
    await expect(submitEntry(endless.url, '{}')).rejects.toThrow(fails('bad-reply'));
    const elsewhere = await scripted(status(307, '', { location: endless.url }));
    await expect(submitEntry(elsewhere.url, '{}', {})).rejects.toThrow(fails('network', 'redirect'));
    await expect(submitEntry('http://127.0.0.1:1', '{}')).rejects.toThrow(fails('network', 'bad port'));
  });

  it('gives up in time, and says that trying again is safe', async () => {
    const { url } = await scripted(status(503));
    await expect(submitEntry(url, '{}', { deadline: 500 })).rejects.toThrow(fails('unavailable', 'not logged twice'));
  });

  it('gives up sooner where nobody listens', async () => {
    const start = Date.now();
    const { url } = await scripted(take);
    closing.pop()!();
    await expect(submitEntry(url, '{}', { reach: 300 })).rejects.toThrow(fails('network', 'Is the address right'));
    expect(Date.now() - start).toBeLessThan(5000);
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const { url } = await scripted((_, reply) => {
      // Once the reply is out: the sender reads it, and waits before it tries again.
      reply.writeHead(503, { 'retry-after': '60' }).end(() => setImmediate(() => stop.abort()));
    });
    await expect(submitEntry(url, '{}', { signal: stop.signal })).rejects.toThrow(fails('cancelled'));
  });
});

describe('fetchLogInfo and askLogKey', () => {
  it('take what the log says of itself, with more than is known here', async () => {
    const { url } = await scripted(status(200, { origin: 'localhost', verifierKeys: [log.vkey], more: 1 }));
    expect(await fetchLogInfo(url)).toEqual({
      origin: 'localhost',
      verifierKeys: [log.vkey],
      url: undefined,
      raw: false,
      openToWriters: true,
    });
    expect((await askLogKey(url)).text).toBe(log.vkey);
  });

  it.each([{}, { origin: 'a' }, { origin: 'a', verifierKeys: [] }, { origin: 'a', verifierKeys: ['a+b+c'] }])(
    'refuse %j',
    async (info) => {
      const { url } = await scripted(status(200, info));
      await expect(askLogKey(url)).rejects.toThrow(fails('bad-reply'));
    },
  );
});

describe('parseLogUrl', () => {
  it('takes http and https, and cuts slashes at the end', () => {
    expect(parseLogUrl('http://localhost:3000')).toBe('http://localhost:3000');
    expect(parseLogUrl('https://log.example.com/2026//')).toBe('https://log.example.com/2026');
  });

  it.each(['', 'log.example.com', 'ftp://a', 'file:///etc/passwd', 'http://u:p@a', 'http://a/?q', 'http://a/#f'])(
    'refuses %s',
    (url) => {
      expect(() => parseLogUrl(url)).toThrow(fails('usage'));
    },
  );
});
