import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Logger } from '../../../merkle/runtime/service/logger.ts';
import { ServerError } from '../../../server/errors.ts';
import { createAdminApp, type Operated } from '../../../server/http/admin.ts';
import { Metrics } from '../../../server/metrics.ts';
import { injectable } from '../../support/inject.ts';
import { MemoryLog } from '../../support/memory-log.ts';
import { hashedRekordRequest, toJson } from '../../support/requests.ts';
import { ENTRIES, exchange, fill, listen, MemoryLogger, makeApp } from './support.ts';

const TOKEN = 'a token of the operator';
const operator = { authorization: `Bearer ${TOKEN}`, host: 'localhost:9000' };

/** A log without further shards, as the operator's port sees it. */
function operated(log: MemoryLog): Operated {
  const none = async () => Promise.reject(new ServerError('config', 'there is no such shard'));
  return {
    notReady: () => log.notReady(),
    alarms: () => log.alarms(),
    freeze: async () => ({ origin: log.info.origin, checkpoint: await log.freeze() }),
    backup: async (dir) => ({ size: await log.backup(dir) }),
    export: async (dir) => ({ size: await log.export(dir) }),
    list: () => [],
    prepare: none,
    openShard: none,
    witnessesKnow: none,
  };
}

function makeAdmin(hosts: readonly string[] = []) {
  const log = new MemoryLog();
  const metrics = new Metrics({ process: false });
  const logger = new MemoryLogger();
  const app = injectable(createAdminApp(operated(log), { token: TOKEN, hosts }, metrics, logger as unknown as Logger));
  onTestFinished(() => app.close());
  return { app, log, metrics, logger };
}

describe('reading', () => {
  it('/healthz', async () => {
    const { app } = makeAdmin();
    expect((await app.inject('/healthz')).body).toBe('ok\n');
  });

  it('/readyz is red with its reasons', async () => {
    const { app, log } = makeAdmin();
    const green = await app.inject('/readyz');
    expect([green.statusCode, green.json()]).toEqual([200, { ready: true, reasons: [] }]);
    log.raised = ['the witness a cosigned with the time 2030-01-01T00:00:00.000Z'];
    const alarmed = await app.inject('/readyz');
    expect([alarmed.statusCode, alarmed.json()]).toEqual([200, { ready: true, reasons: [], alarms: log.raised }]);
    log.raised = [];
    log.reasons = ['the signing key cannot be reached'];
    const red = await app.inject('/readyz');
    expect([red.statusCode, red.json()]).toEqual([503, { ready: false, reasons: log.reasons }]);
  });

  it('/metrics counts the reasons and the alarms', async () => {
    const { app, log } = makeAdmin();
    const counts = async () => (await app.inject('/metrics')).body.match(/^stele_readiness_\w+ \d+$/gm);
    expect(await counts()).toEqual(['stele_readiness_reasons 0', 'stele_readiness_alarms 0']);
    log.raised = ['the witness a cosigned with the time 2030-01-01T00:00:00.000Z'];
    log.reasons = ['the signing key cannot be reached', 'a checkpoint is late'];
    expect(await counts()).toEqual(['stele_readiness_reasons 2', 'stele_readiness_alarms 1']);
  });

  it('/metrics in the text format of Prometheus', async () => {
    const { app, metrics } = makeAdmin();
    metrics.checkpointPublished(42);
    metrics.stage('commit').observe(0.003);
    metrics.refused('bad-signature');
    metrics.poolQueue = () => 7;
    metrics.filterComplete = () => true;
    const reply = await app.inject('/metrics');
    expect(reply.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(reply.body).toContain('\nstele_published_entries 42\n');
    expect(reply.body).toContain('\nstele_pool_queue_requests 7\n');
    expect(reply.body).toContain('\nstele_leaf_filter_complete 1\n');
    expect(reply.body).toContain('\nstele_refusals_total{reason="bad-signature"} 1\n');
    expect(reply.body).toContain('\nstele_stage_duration_seconds_bucket{le="0.005",stage="commit"} 1\n');
    expect(Number(/\nstele_checkpoint_age_seconds (\S+)\n/.exec(reply.body)![1])).toBeLessThan(10);
  });

  it.each([
    ['GET', '/nothing', 404, 5],
    ['GET', '/freeze', 405, 12],
    ['POST', '/metrics', 405, 12],
  ] as const)('%s %s: %i', async (method, url, status, code) => {
    const { app } = makeAdmin();
    const reply = await app.inject({ method, url });
    expect(reply.statusCode).toBe(status);
    expect(reply.json().code).toBe(code);
  });
});

describe('web pages', () => {
  const paths = ['/healthz', '/readyz', '/metrics'];

  it.each([
    ['an Origin', { host: 'localhost:3001', origin: 'https://attacker.example' }],
    ['an Origin of null', { host: 'localhost:3001', origin: 'null' }],
    ['the Origin of the port itself', { host: 'localhost:3001', origin: 'http://localhost:3001' }],
    ['a name that leads here', { host: 'attacker.example:3001' }],
    ['a name that only begins like this machine', { host: 'localhost.attacker.example' }],
    ['a name that only ends like one that is listed', { host: 'attacker-prometheus.internal' }],
  ])('read nothing with %s: 403', async (_name, headers) => {
    const { app, metrics } = makeAdmin(['prometheus.internal']);
    metrics.checkpointPublished(42);
    for (const url of paths) {
      for (const method of ['GET', 'HEAD'] as const) {
        const reply = await app.inject({ method, url, headers });
        expect(reply.statusCode).toBe(403);
      }
      const { body } = await app.inject({ url, headers });
      expect(JSON.parse(body)).toMatchObject({ code: 7, details: [] });
      expect(body).not.toContain('stele_');
      if (!('origin' in headers)) expect(body).toContain('`admin.hosts`');
    }
  });

  it.each(['localhost', 'LOCALHOST:3001', '127.0.0.1:3001', '[::1]:3001', 'prometheus.internal:3001', '[2001:db8::1]'])(
    'are not what calls %s',
    async (host) => {
      const { app } = makeAdmin(['Prometheus.internal', '2001:db8::1']);
      for (const url of paths) expect((await app.inject({ url, headers: { host } })).statusCode).toBe(200);
    },
  );

  it('are not what calls the address that the port is bound to, where it is bound to all', async () => {
    const { app } = makeAdmin();
    app.server.listen({ port: 0, host: '0.0.0.0' });
    await once(app.server, 'listening');
    const { port } = app.server.address() as AddressInfo;
    const read = async (host: string, headers = {}) =>
      (await exchange({ host, port, path: '/readyz', headers })).status;
    expect(await read('127.0.0.2')).toBe(200);
    expect(await read('127.0.0.2', { host: `127.0.0.3:${port}` })).toBe(403);
  });
});

describe('the calls about shards', () => {
  it.each<[string, unknown, number]>([
    ['/shards', {}, 200],
    ['/freeze', { shard: 1 }, 400],
    ['/freeze', { shard: 'a', more: 1 }, 400],
    ['/freeze', ['a'], 400],
    ['/freeze', null, 400],
    ['/backup', { dir: '/backup', shard: 'a' }, 400],
    ['/export', { dir: 'relative' }, 400],
    ['/export', { shard: 'a' }, 400],
    ['/shards/open', {}, 400],
    ['/shards/open', { shard: 'a', origin: 'b' }, 400],
    ['/shards/witnesses', { shard: null }, 400],
    ['/shards/prepare', { origin: 'a' }, 400],
    ['/shards/prepare', { origin: 'a', url: 'https://a', more: 1 }, 400],
    ['/shards/prepare', { origin: 'a', url: 'https://a', key: 'key.pem' }, 400],
    ['/shards/prepare', { origin: 'a', url: 'https://a', key: { file: 'key.pem' } }, 400],
    ['/shards/prepare', { origin: 'a', url: 'https://a', key: { file: '/key.pem', passphrase: 'secret' } }, 400],
    [
      '/shards/prepare',
      { origin: 'a', url: 'https://a', key: { pkcs11: { module: 'm', token: 't', label: 'l', pin: '1' } } },
      400,
    ],
    ['/shards/prepare', { origin: 'a', url: 'https://a', mldsaKey: 'relative' }, 400],
  ])('%s with %j answers %i, and 401 without the token', async (url, body, status) => {
    const { app } = makeAdmin();
    const payload = JSON.stringify(body);
    const reply = await app.inject({ method: 'POST', url, headers: operator, payload });
    expect(reply.statusCode).toBe(status);
    expect(reply.body).not.toContain('secret');
    const { host } = operator;
    expect((await app.inject({ method: 'POST', url, headers: { host }, payload })).statusCode).toBe(401);
  });
});

describe('calls that change something', () => {
  it('/freeze answers with the last checkpoint', async () => {
    const { app, log } = makeAdmin();
    const reply = await app.inject({ method: 'POST', url: '/freeze', headers: operator });
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({ origin: 'log.example.com', checkpoint: log.checkpoint });
    expect(log.checkpoint).toContain('\nLog frozen — ');
  });

  it.each(['/backup', '/export'])('%s answers with the size', async (url) => {
    const { app, log } = makeAdmin();
    await fill(log, 3);
    const reply = await app.inject({ method: 'POST', url, headers: operator, payload: '{"dir":"/srv/copy"}' });
    expect([reply.statusCode, reply.json()]).toEqual([200, { size: 3 }]);
    expect(log.backups).toEqual(['/srv/copy']);
  });

  it.each([
    '',
    '{',
    '[]',
    'null',
    '{"dir":"copy"}',
    '{"dir":1}',
    '{"dir":"/a","to":"/b"}',
    '{"dir":"/a\\u0000"}',
    '\u{fffd}',
  ])('/backup refuses %j', async (payload) => {
    const { app, log } = makeAdmin();
    const reply = await app.inject({ method: 'POST', url: '/backup', headers: operator, payload });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().code).toBe(3);
    expect(log.backups).toEqual([]);
  });

  it('says to the operator what is wrong, and keeps what nobody thought of', async () => {
    const { app, log, logger } = makeAdmin();
    const backup = () => app.inject({ method: 'POST', url: '/backup', headers: operator, payload: '{"dir":"/srv"}' });
    log.fault = () => {
      throw new ServerError('config', '/srv is not empty. Name a new directory.');
    };
    expect((await backup()).json()).toEqual({
      code: 13,
      message: '/srv is not empty. Name a new directory.',
      details: [],
    });
    log.fault = () => {
      throw new Error('internals');
    };
    const reply = await backup();
    expect([reply.statusCode, reply.json()]).toEqual([500, { code: 13, message: 'internal error', details: [] }]);
    expect(logger.lines).toHaveLength(1);
  });

  it.each([
    ['no token', { host: 'localhost' }],
    ['another token', { ...operator, authorization: 'Bearer another token altogether' }],
    ['a token that is a prefix', { ...operator, authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
    ['another scheme', { ...operator, authorization: `Basic ${TOKEN}` }],
    ['an Origin', { ...operator, origin: 'http://localhost:9000' }],
    ['an Origin of null', { ...operator, origin: 'null' }],
    ['another host', { ...operator, host: 'attacker.example:9000' }],
    ['a host that only begins like one', { ...operator, host: 'localhost.attacker.example' }],
  ])('are refused with %s: 401', async (_name, headers) => {
    const { app, log } = makeAdmin();
    for (const url of ['/freeze', '/backup']) {
      const reply = await app.inject({ method: 'POST', url, headers, payload: '{"dir":"/srv"}' });
      expect(reply.statusCode).toBe(401);
      expect(reply.headers['www-authenticate']).toBe('Bearer');
      expect(reply.json()).toMatchObject({ code: 16, details: [] });
      expect(reply.body).not.toContain(TOKEN);
    }
    expect([log.status, log.backups]).toEqual(['open', []]);
  });

  it('take the address that they are bound to as a host', async () => {
    const { app, log } = makeAdmin();
    const { base } = await listen(app);
    const reply = await fetch(`${base}/freeze`, { method: 'POST', headers: { authorization: operator.authorization } });
    expect(reply.status).toBe(200);
    expect(log.status).toBe('frozen');
  });

  it('need a token that cannot be guessed', () => {
    const make = () =>
      createAdminApp(operated(new MemoryLog()), { token: 'short' }, new Metrics({ process: false }), {} as Logger);
    expect(make).toThrow(expect.objectContaining({ code: 'config' }));
  });
});

describe('request durations', () => {
  it('are counted by route, method and status, with bounded labels', async () => {
    const { app, metrics } = makeApp();
    await app.inject({ method: 'POST', url: ENTRIES, payload: toJson(hashedRekordRequest()) });
    await app.inject({ method: 'POST', url: `${ENTRIES}:batch`, payload: '{' });
    await app.inject('/tile/0/000.p/1');
    for (let n = 0; n < 5; n++) await app.inject(`/unknown/${n}`);
    const counts = (await metrics.registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('stele_http_request_duration_seconds_count'));
    expect(counts.sort()).toEqual([
      'stele_http_request_duration_seconds_count{route="/api/v2/log/entries",method="POST",status="201"} 1',
      'stele_http_request_duration_seconds_count{route="/api/v2/log/entries:batch",method="POST",status="400"} 1',
      'stele_http_request_duration_seconds_count{route="/tile/*",method="GET",status="200"} 1',
      'stele_http_request_duration_seconds_count{route="none",method="any",status="404"} 5',
    ]);
  });

  it('do not grow with reasons that are not fixed', async () => {
    const metrics = new Metrics({ process: false });
    for (let n = 0; n < 1000; n++) metrics.refused(`reason ${n}`);
    const lines = (await metrics.registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('stele_refusals_total{'));
    expect(lines).toHaveLength(101);
    expect(lines).toContain('stele_refusals_total{reason="other"} 900');
  });
});
