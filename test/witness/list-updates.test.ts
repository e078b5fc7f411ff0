import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Agent, fetch as undiciFetch } from 'undici';
import { describe, expect, it } from 'vitest';
import { createAdminApp } from '../../witness/admin.ts';
import { ListUpdates } from '../../witness/list-updates.ts';
import { listLogs } from '../../witness/listing.ts';
import { selfSigned } from '../client/monitor/certificate.ts';
import { injectable } from '../support/inject.ts';
import { steleJson } from '../support/serve.ts';
import { silent } from '../support/silent.ts';
import { later, makeWitness, TestLog, type TestWitness, tempDir } from './helpers.ts';
import { startWitness } from './kill-run.ts';

const tls = selfSigned('localhost');
const one = new TestLog('one.test');
const two = new TestLog('go.sum database tree', undefined, 'two.test');
const entry = ({ vkey, origin }: TestLog, qpd = 24) =>
  `vkey ${vkey}\n${vkey.startsWith(`${origin}+`) ? '' : `origin ${origin}\n`}qpd ${qpd}\ncontact me@example.com\n\n`;
const listOf = (...entries: string[]) => `logs/v0\n\n${entries.join('')}`;

/** A web server that answers as `answer` says at the time. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = https.createServer(tls, answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `https://localhost:${(server.address() as AddressInfo).port}/log-list.1`;
}

/** Updates of a list, one by one: `next` lets the next one begin, and resolves when it has ended. */
function updating(witness: TestWitness, source: string, options: { readonly trusted?: boolean } = {}) {
  const dispatcher = new Agent({ connect: { ca: tls.cert } });
  later(() => dispatcher.close());
  let wake = () => {};
  let slept = (_ms: number) => {};
  const clock = {
    now: () => Date.parse('2026-11-29T06:00:00Z'),
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        wake = resolve;
        signal?.addEventListener('abort', () => resolve());
        slept(ms);
      }),
  };
  const trusting = (url: string, init: object) => undiciFetch(url, { ...init, dispatcher });
  const lists = new ListUpdates({
    sources: [source],
    refreshMs: 3_600_000,
    logs: witness.logs,
    store: witness.store,
    metrics: witness.metrics,
    logger: silent,
    clock,
    ...(options.trusted !== false && { fetch: trusting as unknown as typeof fetch }),
  });
  later(() => lists.close());
  let started = false;
  const next = async () => {
    const pause = new Promise<number>((resolve) => {
      slept = resolve;
    });
    if (started) wake();
    else lists.start();
    started = true;
    return { pauseMs: await pause, status: lists.status()[0]! };
  };
  return { next, lists };
}

const origins = (witness: TestWitness) => [...witness.logs.all()].map(({ origin }) => origin);
const fileOf = (witness: TestWitness) => readFile(join(witness.dir, 'logs'), 'utf8').catch(() => '');

describe('a list over HTTPS', () => {
  it('adds the logs that are new, each with its origin, limit and contact, and they are cosigned', async () => {
    let list = listOf(entry(one));
    const url = await serve((_request, response) => response.end(list));
    const witness = await makeWitness();
    const { next } = updating(witness, url);
    expect(await next()).toEqual({
      pauseMs: 3_600_000,
      status: { source: url, state: 'good', logs: 1, updated: '2026-11-29T06:00:00.000Z' },
    });
    list = listOf(entry(one), entry(two, 86400));
    await next();
    expect((await witness.post(one.request(0, 3))).status).toBe(200);
    expect((await witness.post(two.request(0, 3))).status).toBe(200);
    expect(listLogs(witness.logs, witness.store.current)).toMatchObject([
      { origin: two.origin, state: 'witnessed', keys: [two.vkey], qpd: 86400, contact: 'me@example.com', size: 3 },
      { origin: 'one.test', qpd: 24 },
    ]);
    // A restart knows them without the list.
    await witness.close();
    const again = await makeWitness([], { dir: witness.dir });
    expect(origins(again)).toEqual(['one.test', two.origin]);
    expect((await again.post(two.request(3, 5))).status).toBe(200);
  });

  it('never drops or changes a log, whatever the list says of it', async () => {
    let list = listOf(entry(one, 24), entry(two, 24));
    const url = await serve((_request, response) => response.end(list));
    const witness = await makeWitness();
    const { next } = updating(witness, url);
    await next();
    const before = await fileOf(witness);
    for (const text of [listOf(), listOf(entry(two, 7)), listOf(entry(one, 1)), listOf(entry(one), entry(two))]) {
      list = text;
      expect((await next()).status).toMatchObject({ state: 'good' });
      expect(await fileOf(witness)).toBe(before);
    }
    expect(origins(witness)).toEqual(['one.test', two.origin]);
  });

  it('does not bring back what the operator has disabled or taken out of the file', async () => {
    const url = await serve((_request, response) => response.end(listOf(entry(one), entry(two))));
    const witness = await makeWitness([one, two]);
    // `makeWitness` adds by the key alone, so the origin of the second log is its key's name.
    await witness.logs.add(two.vkey, { origin: two.origin });
    expect((await witness.post(two.request(0, 3))).status).toBe(200);
    await witness.logs.disable(one.origin);
    await witness.close();
    const file = (await fileOf(witness)).replace(/^log two[\s\S]*/m, '');
    await writeFile(join(witness.dir, 'logs'), file);
    const again = await makeWitness([], { dir: witness.dir });
    expect((await updating(again, url).next()).status).toMatchObject({ state: 'good', logs: 2 });
    expect(origins(again)).toEqual([]);
    expect(await fileOf(again)).toBe(file);
  });

  it('stops with an alarm where a known log has another key, and goes on when the list is right again', async () => {
    const usurper = new TestLog('one.test');
    const fresh = new TestLog('fresh.test');
    let list = listOf(entry(fresh), entry(usurper));
    const url = await serve((_request, response) => response.end(list));
    const witness = await makeWitness([one]);
    const before = await fileOf(witness);
    const { next, lists } = updating(witness, url);
    const token = 'a token of more than sixteen characters';
    const app = injectable(
      createAdminApp(witness.witness, witness.logs, { token, list: () => [], lists }, witness.metrics, silent),
    );
    later(() => app.close());

    const { status, pauseMs } = await next();
    expect(status).toMatchObject({ state: 'alarm', reason: expect.stringContaining(`another key, ${usurper.vkey}`) });
    expect(status.reason).toMatch(/^line 7 gives the known log "one\.test"/);
    expect(pauseMs).toBe(3_600_000);
    expect(await fileOf(witness)).toBe(before);
    expect((await witness.post(usurper.request(0, 3))).status).toBe(403);
    const ready = await app.inject('/readyz');
    expect({ status: ready.statusCode, body: ready.json() }).toMatchObject({
      status: 200,
      body: { ready: true, alarms: [expect.stringContaining('"one.test" another key')] },
    });
    expect((await app.inject('/logs')).json()).toMatchObject({ lists: [{ state: 'alarm' }] });
    const metrics = (await app.inject('/metrics')).body;
    expect(metrics).toContain('stele_witness_list_alarms 1');
    expect(metrics).toContain('stele_witness_list_failures_total{reason="alarm"} 1');

    list = listOf(entry(fresh), entry(one));
    expect((await next()).status).toEqual(expect.not.objectContaining({ reason: expect.anything() }));
    expect(origins(witness)).toEqual(['one.test', 'fresh.test']);
    expect((await app.inject('/readyz')).json()).toEqual({ ready: true, reasons: [] });
    expect((await app.inject('/metrics')).body).toContain('stele_witness_list_alarms 0');
  });

  it.each<[string, (before: TestWitness) => Promise<void>]>([
    ['disabled', async ({ logs }) => void (await logs.disable(one.origin))],
    ['given a second key', async ({ logs }) => void (await logs.add(new TestLog('one.test').vkey))],
  ])('raises the alarm also for a log that was %s', async (_, prepare) => {
    const url = await serve((_request, response) => response.end(listOf(entry(new TestLog('one.test')))));
    const witness = await makeWitness([one]);
    await prepare(witness);
    expect((await updating(witness, url).next()).status).toMatchObject({ state: 'alarm' });
  });

  it('raises the alarm for a log that is in the store alone, and for a known key of another log', async () => {
    const witness = await makeWitness([one]);
    expect((await witness.post(one.request(0, 3))).status).toBe(200);
    await witness.close();
    await writeFile(join(witness.dir, 'logs'), '');
    const again = await makeWitness([two], { dir: witness.dir });
    let list = listOf(entry(new TestLog('one.test')));
    const url = await serve((_request, response) => response.end(list));
    const { next } = updating(again, url);
    expect((await next()).status).toMatchObject({ state: 'alarm', reason: expect.stringContaining('last cosigned') });
    // `two` is known here by its key's name.
    list = listOf(entry(two));
    expect((await next()).status).toMatchObject({
      state: 'alarm',
      reason: expect.stringContaining('known is "two.test"'),
    });
    expect(origins(again)).toEqual(['two.test']);
  });

  it('is not applied where a line is wrong, and the line is named', async () => {
    const url = await serve((_request, response) => response.end(`${listOf(entry(one), entry(two))}qpd 7\n`));
    const witness = await makeWitness();
    const { next, lists } = updating(witness, url);
    expect((await next()).status).toMatchObject({
      state: 'refused',
      reason: expect.stringMatching(/^line 12 is wrong/),
    });
    expect(witness.logs.count).toBe(0);
    expect(lists.alarms()).toEqual([]);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void, RegExp]>([
    [
      'a redirect',
      (_, reply) => void reply.writeHead(302, { location: 'https://localhost:1/x' }).end(),
      /302: it has moved to/,
    ],
    ['404', (_, reply) => void reply.writeHead(404).end(listOf(entry(one))), /answers with 404/],
    ['more than 1 MiB', (_, reply) => void reply.end('#'.repeat(1024 * 1024 + 1)), /more than 1048576 bytes/],
    [
      'half of it',
      (_, reply) =>
        void reply.writeHead(200, { 'content-length': 9999 }).write(listOf(entry(one)), () => reply.destroy()),
      /does not answer|no whole answer|gave no/,
    ],
  ])('is not applied where the server answers with %s, and is tried again sooner', async (_, answer, reason) => {
    const url = await serve(answer);
    const witness = await makeWitness();
    const { next } = updating(witness, url);
    const { status, pauseMs } = await next();
    expect(status).toMatchObject({ state: 'unreachable', reason: expect.stringMatching(reason) });
    expect(pauseMs).toBeLessThanOrEqual(10_000);
    expect((await next()).pauseMs).toBeGreaterThanOrEqual(10_000);
    expect(witness.logs.count).toBe(0);
  });

  it('is not read from a server whose certificate is not trusted', async () => {
    let asked = 0;
    const url = await serve((_request, response) => {
      asked++;
      response.end(listOf(entry(one)));
    });
    const witness = await makeWitness();
    const { status } = await updating(witness, url, { trusted: false }).next();
    expect(status).toMatchObject({ state: 'unreachable', reason: expect.stringMatching(/SELF_SIGNED|CERT/) });
    expect(asked).toBe(0);
  });
});

it('reads a list from a file, and says where it cannot', async () => {
  const file = join(await tempDir(), 'list');
  const witness = await makeWitness();
  const { next } = updating(witness, file);
  expect((await next()).status).toMatchObject({ state: 'unreachable', reason: expect.stringContaining(file) });
  await writeFile(file, listOf(entry(two)));
  expect((await next()).status).toMatchObject({ state: 'good', logs: 1 });
  expect(origins(witness)).toEqual([two.origin]);
  await writeFile(file, Buffer.alloc(1024 * 1024 + 1, '#'));
  expect((await next()).status).toMatchObject({ state: 'unreachable', logs: 1 });
});

it('stele witness reads the lists of its settings, and shows what became of them', async () => {
  const dir = await tempDir();
  const [good, bad] = [join(dir, 'good'), join(dir, 'bad')];
  await writeFile(good, listOf(entry(one), entry(two)));
  await writeFile(bad, 'logs/v0\nvkey bananas\n');
  const data = join(dir, 'data');
  const witness = await startWitness(data, ['--lists-sources', `${good},${bad}`, '--lists-refresh', '1m']);
  later(() => witness.kill());
  const shown = () => steleJson(['witness', 'log', 'list', '--data', data]);
  await expect
    .poll(async () => ((await shown()) as unknown as { lists: { state: string }[] }).lists.map(({ state }) => state), {
      timeout: 20_000,
    })
    .toEqual(['good', 'refused']);
  expect(await shown()).toMatchObject({
    logs: [{ origin: two.origin, qpd: 24, contact: 'me@example.com' }, { origin: 'one.test' }],
    lists: [
      { source: good, logs: 2 },
      { source: bad, reason: expect.stringContaining('line 2') },
    ],
  });
  const init = { method: 'POST', body: Buffer.from(two.request(0, 5)) };
  expect((await fetch(`${witness.url}/add-checkpoint`, init)).status).toBe(200);
});
