/**
 * `npm run test:crash`: a log in a process of its own is killed with SIGKILL at random moments, under load and during its
 * start, and started again on the same directory. After every start all that it ever acknowledged or showed must be there.
 *
 * STELE_CRASH_ROUNDS is the number of kills (100), STELE_CRASH_SEED repeats a run's choices (not its timing).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { Killed, type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { audit } from './audit.ts';
import { Client, each, History, type Item, prepare } from './load.ts';

const ROUNDS = count('STELE_CRASH_ROUNDS', 100);
const SEED = count('STELE_CRASH_SEED', Math.floor(Math.random() * 2 ** 32));
/** Requests that a round can send, at most: more than the longest round gets through. */
const PREPARED = 2500;
const LONGEST_MS = 1500;
/** Of older rounds, as many are looked at one by one again. */
const SAMPLE = 32;
/** In this part of the rounds the process is killed while it starts. */
const KILLED_AT_START = 0.15;

const random = mulberry32(SEED);
const below = (limit: number): number => Math.floor(random() * limit);
const sample = <T>(from: readonly T[]): T[] =>
  from.length === 0 ? [] : Array.from({ length: SAMPLE }, () => from[below(from.length)]!);

let dir: Awaited<ReturnType<typeof tempDir>>;
let running: ServeProcess | undefined;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(async () => {
  // Where the test failed, it left its server running.
  await running?.kill();
  await dir.remove();
});

it(`loses nothing that it acknowledged or showed in ${ROUNDS} kills`, async () => {
  const history = new History();
  let recent: Item[] = [];
  let kills = 0;
  let killedAtStart = 0;
  let slowestStart = 0;
  let startMs = 500;
  for (; kills < ROUNDS; kills++) {
    if (kills > 0 && random() < KILLED_AT_START && (await killedWhileStarting(random() * startMs))) {
      killedAtStart++;
      continue;
    }
    const began = performance.now();
    const server = await start(history);
    startMs = performance.now() - began;
    slowestStart = Math.max(slowestStart, startMs);
    const client = new Client(server, history);
    const seen = [...history.checkpoints.values()];
    await audit(client, history, {
      items: [...recent, ...sample(history.items)],
      heads: [...seen.slice(-SAMPLE), ...sample(seen)],
    });

    recent = prepare(PREPARED);
    const sent = await loadUntilKilled(client, server, history, recent, random() * LONGEST_MS);
    recent = recent.slice(0, sent);
    history.items.push(...recent);
    await client.close();
    if ((kills + 1) % 10 === 0) report(kills + 1, history);
  }

  const server = await start(history);
  const client = new Client(server, history);
  // Answers the last round's open requests, so that the second audit holds all of them to account.
  await audit(client, history, { items: recent, heads: [] });
  await audit(client, history, { items: history.items, heads: [...history.checkpoints.values()] });
  const { size } = await client.checkpoint();
  await client.close();
  expect(await server.stop()).toBe(0);
  expect(await steleJson(['log', 'check', dir.path])).toMatchObject({ ok: true, size, publishedSize: size });
  report(kills, history);
  console.log(`${killedAtStart} of the kills hit a start; slowest start ${Math.round(slowestStart)} ms; seed ${SEED}`);
  expect(history.items.every(({ index }) => index !== undefined)).toBe(true);
  expect(new Set(history.items.map(({ index }) => index)).size).toBe(history.items.length);
});

async function start(history: History): Promise<ServeProcess> {
  const server = await startServer(dir.path);
  running = server;
  if (history.verifierKeys.length === 0) history.verifierKeys = server.verifierKeys;
  expect(server.verifierKeys).toEqual(history.verifierKeys);
  return server;
}

/** False where it was up before the time had come; it is then stopped in order. */
async function killedWhileStarting(after: number): Promise<boolean> {
  try {
    const server = await startServer(dir.path, { killAfter: after });
    await server.kill();
    return false;
  } catch (error) {
    if (error instanceof Killed) return true;
    throw error;
  }
}

/** Sends `items` from many clients, with duplicates among them, until the kill; how many of `items` were begun. */
async function loadUntilKilled(
  client: Client,
  server: ServeProcess,
  history: History,
  items: readonly Item[],
  after: number,
): Promise<number> {
  let killed = false;
  let next = 0;
  const faults: unknown[] = [];
  const untilKilled = async (step: () => Promise<unknown>): Promise<void> => {
    while (!killed) {
      try {
        await step();
      } catch (error) {
        // Once it is killed, requests may fail in any way; what was answered before must still have been right.
        const lost = (error as { code?: string }).code !== undefined || error instanceof TypeError;
        if (!killed || !lost) faults.push(error);
        return;
      }
    }
  };
  const take = (n: number): Item[] => {
    const taken = items.slice(next, next + n);
    next += taken.length;
    return taken;
  };
  const single = async () => {
    const old = random() < 0.1 ? (items[below(next)] ?? history.items[below(history.items.length)]) : undefined;
    const item = old ?? take(1)[0];
    if (item === undefined) await sleep(5);
    else await client.submit(item);
  };
  const batch = async () => {
    const fresh = take(1 + below(24));
    const mixed = [...fresh, ...fresh.slice(0, 1), ...items.slice(below(next), next).slice(0, 1)];
    if (mixed.length === 0) await sleep(5);
    else await client.submitAll(mixed);
  };
  const reader = async () => {
    await client.checkpoint();
    await sleep(2);
  };
  const clients = [...Array(12).fill(single), ...Array(2).fill(batch), ...Array(2).fill(reader)];
  const load = each(clients, clients.length, untilKilled);
  await sleep(after);
  expect(server.running(), server.log()).toBe(true);
  killed = true;
  await server.kill();
  await load;
  expect(faults).toEqual([]);
  // A log without witnesses says at each start that nothing tells an old copy.
  const lines = server.log().split('\n');
  expect(lines.filter((line) => line !== '' && !line.includes('--at-least'))).toEqual([]);
  return next;
}

function report(kills: number, { items, acknowledged, duplicates, checkpoints }: History): void {
  const unanswered = items.length - acknowledged;
  console.log(
    `${kills} kills: ${acknowledged} entries acknowledged (${unanswered} open), ${duplicates} duplicates, ${checkpoints.size} checkpoints seen`,
  );
}

function count(name: string, byDefault: number): number {
  const text = process.env[name] ?? String(byDefault);
  if (!/^[1-9][0-9]{0,9}$/.test(text)) throw new Error(`${name}=${text} is not a number from 1`);
  return Number(text);
}

/** A small seeded generator (public domain, by its common name): Math.random cannot be repeated. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
