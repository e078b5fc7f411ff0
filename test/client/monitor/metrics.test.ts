import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeliveryError } from '../../../client/monitor/alerts/sink.ts';
import { type MetricsServer, startMetricsServer } from '../../../client/monitor/metrics-server.ts';
import { MonitorMetrics } from '../../../client/monitor/monitor-metrics.ts';

let metrics: MonitorMetrics;
let server: MetricsServer | undefined;
let now: number;

beforeEach(() => {
  now = 1_000_000;
  metrics = new MonitorMetrics({ process: false, now: () => now });
});

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function value(name: string, label = ''): Promise<number | undefined> {
  const text = await metrics.registry.metrics();
  const line = text
    .split('\n')
    .find((line) => line.startsWith(`stele_monitor_${name}${label}`) && !line.startsWith('#'));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

describe('the metrics of a monitor', () => {
  it('tell size, lag, entries and age of each log', async () => {
    metrics.checkpoint('a', 1000, now - 5000);
    metrics.progress('a', 400, 400);
    metrics.progress('a', 700, 300);
    metrics.checkpoint('b', 7, now);
    metrics.round('a', false);
    metrics.round('a', true);
    expect(await value('size_seen_entries', '{log="a"}')).toBe(1000);
    expect(await value('complete_entries', '{log="a"}')).toBe(700);
    expect(await value('lag_entries', '{log="a"}')).toBe(300);
    expect(await value('lag_entries', '{log="b"}')).toBe(7);
    expect(await value('entries_total', '{log="a"}')).toBe(700);
    expect(await value('round_failures_total', '{log="a"}')).toBe(1);
    expect(await value('following', '{log="a"}')).toBe(1);
    now += 10_000;
    expect(await value('checkpoint_age_seconds', '{log="a"}')).toBe(15);
  });

  it('count matches and deliveries, from 0', async () => {
    metrics.expect({ rules: ['ours', 'theirs'], sinks: ['mail'] });
    expect(await value('matches_total', '{rule="theirs"}')).toBe(0);
    expect(await value('delivery_failures_total', '{sink="mail"}')).toBe(0);
    metrics.alert('match', 'ours');
    metrics.alert('rollback');
    metrics.delivery({ kind: 'delivered', sink: 'mail', alerts: 3 });
    const error = new DeliveryError('refused', 'x');
    metrics.delivery({ kind: 'failed', sink: 'mail', error, attempt: 1, waitMs: 1 });
    expect(await value('matches_total', '{rule="ours"}')).toBe(1);
    expect(await value('alerts_total', '{kind="rollback"}')).toBe(1);
    expect(await value('delivered_alerts_total', '{sink="mail"}')).toBe(3);
    expect(await value('delivery_failures_total', '{sink="mail"}')).toBe(1);
    metrics.watchQueue(() => [{ sink: 'mail', pending: 12, failures: 4 }]);
    expect(await value('queue_alerts', '{sink="mail"}')).toBe(12);
    expect(await value('sink_failures_in_a_row', '{sink="mail"}')).toBe(4);
  });

  it('have no more labels than a bound, however many logs come', async () => {
    for (let i = 0; i < 3000; i++) metrics.progress(`log ${i}`, 1, 1);
    const text = await metrics.registry.metrics();
    expect(text.split('\n').filter((line) => line.startsWith('stele_monitor_entries_total{'))).toHaveLength(1001);
    expect(await value('entries_total', '{log="other"}')).toBe(2000);
  });

  it('are served on loopback, with health and readiness', async () => {
    let reasons = ['log a is not followed'];
    metrics.checkpoint('a', 5, now);
    server = await startMetricsServer(metrics, { host: '127.0.0.1', port: 0 }, () => reasons);
    expect(server.url).toMatch(/^http:\/\/localhost:[0-9]+$/);
    const get = async (path: string, init?: RequestInit) => {
      const reply = await fetch(`${server!.url}${path}`, init);
      return { status: reply.status, type: reply.headers.get('content-type'), text: await reply.text() };
    };
    const scraped = await get('/metrics');
    expect(scraped).toMatchObject({ status: 200, type: expect.stringContaining('text/plain; version=0.0.4') });
    expect(scraped.text).toContain('stele_monitor_size_seen_entries{log="a"} 5');
    expect(await get('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await get('/readyz')).toMatchObject({ status: 503, text: JSON.stringify({ ready: false, reasons }) });
    reasons = [];
    expect(await get('/readyz')).toMatchObject({ status: 200 });
    expect(await get('/metrics', { method: 'POST', body: 'x' })).toMatchObject({ status: 404 });
    expect(await get('/')).toMatchObject({ status: 404 });
  });

  it('are served to no web page, and to the names that are listed', async () => {
    metrics.checkpoint('a', 5, now);
    const hosts = ['prometheus.internal'];
    server = await startMetricsServer(metrics, { host: '127.0.0.1', port: 0, hosts }, () => []);
    const get = async (headers: Record<string, string>) => {
      const [reply] = await once(request(`${server!.url}/metrics`, { headers }).end(), 'response');
      return { status: reply.statusCode as number, body: await text(reply) };
    };
    expect(await get({ origin: 'http://localhost' })).toMatchObject({ status: 403 });
    const refused = await get({ host: 'attacker.example' });
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining('`metrics.hosts`') });
    expect(refused.body).not.toContain('stele_monitor');
    expect(await get({ host: 'prometheus.internal:9464' })).toMatchObject({ status: 200 });
  });

  it('say so where the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(startMetricsServer(metrics, { host: '127.0.0.1', port }, () => [])).rejects.toMatchObject({
      code: 'config',
      message: expect.stringMatching(/EADDRINUSE.*`metrics\.port`/),
    });
    await once(other.close(), 'close');
  });
});
