/**
 * `npm run test:crash`: strangers attack a log in a process of its own, while an honest client at another address writes on.
 * No honest write is refused or lost, and none of its connections is closed.
 *
 * STELE_HOSTILE_WRITES is the number of honest writes in each attack (10).
 */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ATTACKS, type AttackName, addresses, attack, type Running } from '../support/attacks.ts';
import { bodyOf, tempDir } from '../support/log.ts';
import { type ServeProcess, startServer } from '../support/serve.ts';
import { until } from '../support/until.ts';

const WRITES = Number(process.env.STELE_HOSTILE_WRITES ?? '10');
const HONEST = '127.0.0.9';
const MIB = 1024 * 1024;
const CONNECTIONS = 64;
/** The attacks share a process with the honest client. bench/load/hostile-log.ts has them at full speed. */
const PAUSE_MS = 50;
const FLOODS: readonly AttackName[] = ['endless chunks', 'tiny chunks', 'bodies for no path', 'useless bodies'];
const FLOOD_CONNECTIONS = 8;
const BODIES = 16 * MIB;
/** Bodies of other limits than the default ones, so that the attacks meet them soon. */
const ARGS = [
  ...['--limits-connections', String(CONNECTIONS), '--limits-bodies-bytes', '16MiB'],
  ...['--limits-body-grace', '1s', '--ingest-threads', '1'],
];
const ENTRIES = '/api/v2/log/entries';
const NAMES = Object.keys(ATTACKS) as AttackName[];

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess;
let running: Running[];

beforeEach(async () => {
  dir = await tempDir();
  running = [];
});
afterEach(async () => {
  for (const one of running) one.stop();
  await server.kill();
  await dir.remove();
});

async function serve(...more: string[]): Promise<void> {
  server = await startServer(dir.path, { args: [...ARGS, ...more] });
}

function begin(
  name: AttackName,
  from: readonly string[],
  connections: number,
  path = ENTRIES,
  bodyBytes = 4 * MIB,
): void {
  running.push(
    attack(name, { port: Number(new URL(server.url).port), path, bodyBytes, pauseMs: PAUSE_MS }, from, connections),
  );
}

async function metric(name: string, labels = ''): Promise<number> {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}${labels} `));
  return Number(line?.slice(name.length + labels.length + 1) ?? 0);
}

/** One write, over a connection of its own where there is no agent. */
async function write(body: Uint8Array, path = ENTRIES, agent: Agent | false = false): Promise<unknown> {
  const call = request(`${server.url.replace('localhost', '127.0.0.1')}${path}`, {
    method: 'POST',
    localAddress: HONEST,
    agent,
    headers: { 'content-length': body.length },
  });
  call.end(body);
  const [reply] = (await once(call, 'response')) as [IncomingMessage];
  const value = await json(reply);
  if (reply.statusCode !== 201 && reply.statusCode !== 200)
    throw new Error(`${reply.statusCode} ${JSON.stringify(value)}`);
  return value;
}

/** Every other write over the connection that is kept. A refused or a lost one throws. */
async function writeOn(make: (name: string) => Uint8Array, path = ENTRIES): Promise<void> {
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  for (let i = 0; i < WRITES; i++) {
    await write(make(`honest ${i} ${path}`), path, i % 2 === 0 ? kept : false);
    for (const socket of Object.values({ ...kept.freeSockets, ...kept.sockets }).flat()) sockets.add(socket);
  }
  // It was never closed, and so never opened again.
  expect(sockets.size).toBe(1);
  kept.destroy();
}

/** Until the server has felt the attack: it refused something, or holds as much as one address may have. */
const FELT: Readonly<Record<AttackName, () => Promise<boolean>>> = {
  'unfinished bodies': async () => (await metric('stele_refusals_total', '{reason="address-bodies"}')) > 0,
  'declared bodies': async () => (await metric('stele_connections')) >= CONNECTIONS * 0.75,
  'trickled bodies': async () => (await metric('stele_refusals_total', '{reason="timeout"}')) > 0,
  'silent connections': async () => (await metric('stele_refused_connections_total', '{reason="address"}')) > 0,
  'half heads': async () => (await metric('stele_refused_connections_total', '{reason="address"}')) > 0,
  'idle connections': async () => (await metric('stele_refused_connections_total', '{reason="address"}')) > 0,
  'endless chunks': async () => (await metric('stele_refusals_total', '{reason="address-bodies"}')) > 0,
  'tiny chunks': async () => (await metric('stele_refusals_total', '{reason="malformed"}')) > 0,
  'bodies for no path': async () => running[0]!.opened() > FLOOD_CONNECTIONS,
  'useless bodies': async () => running[0]!.opened() > 0 && (await metric('stele_body_bytes')) > 0,
};

describe('an honest client writes on', () => {
  for (const name of NAMES) {
    it(`beside ${name} of one address`, async () => {
      await serve();
      begin(name, addresses(1, 1), FLOODS.includes(name) ? FLOOD_CONNECTIONS : CONNECTIONS);
      await until(FELT[name], () => server.log());
      await writeOn(bodyOf);
      expect(await metric('stele_body_bytes')).toBeLessThanOrEqual(BODIES);
      expect(server.log()).not.toMatch(/"level":"(?:error|fatal)"/);
    });
  }

  it('beside unfinished bodies of several addresses, which together want more than there is', async () => {
    await serve();
    begin('unfinished bodies', addresses(1, 8), 4);
    await until(async () => (await metric('stele_body_bytes')) > BODIES * 0.7);
    await writeOn(bodyOf);
  });

  it('beside connections of several addresses, which together hold all', async () => {
    await serve();
    begin('silent connections', addresses(1, 8), 16);
    begin('idle connections', addresses(2, 8), 16);
    await until(async () => (await metric('stele_refused_connections_total', '{reason="full"}')) > 0);
    await writeOn(bodyOf);
    expect(await metric('stele_refused_connections_total', '{reason="displaced"}')).toBeGreaterThan(0);
  });

  it('beside all of it at once', async () => {
    await serve();
    for (const [net, name] of NAMES.entries()) begin(name, addresses(net + 1, 2), 4);
    await until(async () => (await metric('stele_connections')) >= CONNECTIONS);
    await writeOn(bodyOf);
  });

  it('to a log of opaque entries, beside unfinished bodies', async () => {
    await serve('--entries', 'raw', '--limits-body-bytes', '64KiB', '--limits-bodies-bytes', '1MiB');
    begin('unfinished bodies', addresses(1, 1), 32, '/add', 65_535);
    await until(FELT['unfinished bodies'], () => server.log());
    await writeOn((name) => Buffer.from(name), '/add');
  });
});

describe('the proxy that trustProxy names', () => {
  it('has connections without a share, and bodies by the address that it forwards', async () => {
    await serve('--trust-proxy', HONEST, '--limits-connections-per-address', '2', '--limits-body-grace', '60s');
    const forwarded = (client: string) => ({ 'x-forwarded-for': client });
    const send = (client: string, sent: number, declared: number) => {
      const headers = { ...forwarded(client), 'content-length': declared };
      const call = request(`${server.url.replace('localhost', '127.0.0.1')}${ENTRIES}`, {
        method: 'POST',
        localAddress: HONEST,
        agent: false,
        headers,
      });
      call.on('error', () => {});
      running.push({ opened: () => 1, stop: () => void call.destroy() });
      call.write(Buffer.alloc(sent, ' '));
      return once(call, 'response') as Promise<[IncomingMessage]>;
    };
    // Sixteen connections of one address, where two are its share.
    const stalled = Array.from({ length: 16 }, () => send('192.0.2.1', 4 * MIB - 1, 4 * MIB));
    const [refused] = await Promise.race(stalled);
    expect(refused.statusCode).toBe(429);
    const [other] = await send('192.0.2.2', MIB, MIB);
    expect(other.statusCode).toBe(400);
  });
});
