/**
 * A disk that rots below a running log: bytes are flipped, cut, added, swapped, zeroed and lost, in every kind of file of its
 * directory, before a start or while the log runs. Whatever happens, the log never sends a wrong byte with 200, serves the
 * rest, never signs another tree, and never names another entry's index. Where it does not start, it says why.
 *
 * STELE_ROT_ROUNDS is the number of damages (16), STELE_ROT_SEED the first one, to repeat it.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeBundle } from '../../merkle/bundle.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { noteVerifier, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { damageTo, randomOf } from '../support/damage.ts';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer } from '../support/serve.ts';
import { until } from '../support/until.ts';

const ROUNDS = Number(process.env.STELE_ROT_ROUNDS ?? 16);
const SEED = Number(process.env.STELE_ROT_SEED ?? 1);
/** Entries in full bundles, and in all. */
const FULL = 1024;
const SIZE = 1070;
const RAW = { args: ['--entries', 'raw', '--scrub-interval', '2s', '--limits-publish-timeout', '2s'] };

const bodyOf = (index: number) => Buffer.from(`entry ${index}`);
const leaves = Array.from({ length: SIZE }, (_, i) => leafHash(bodyOf(i)));

let dir: Awaited<ReturnType<typeof tempDir>>;
/** A whole directory, which each round copies. */
let whole: string;
let verifierKey: string;
const running = new Set<ServeProcess>();

beforeAll(async () => {
  dir = await tempDir();
  whole = join(dir.path, 'whole');
  const server = await start(whole);
  verifierKey = server.verifierKeys[0]!;
  for (let first = 0; first < FULL; first += 128) {
    await Promise.all(Array.from({ length: 128 }, (_, i) => add(server, bodyOf(first + i))));
  }
  // One by one: their order is then known.
  for (let index = FULL; index < SIZE; index++) await add(server, bodyOf(index));
  await until(async () => (await headOf(server)).size === SIZE);
  await server.stop();
  // Twice, so that the tail is short and the state has a table of its own.
  await (await start(whole)).stop();
  // Their order is that of their commits.
  for (const [i, body] of entriesIn(whole).entries()) leaves[i] = leafHash(body);
});
afterAll(async () => {
  for (const server of running) await server.kill();
  await dir.remove();
});

async function start(data: string): Promise<ServeProcess> {
  const server = await startServer(data, RAW);
  running.add(server);
  return server;
}

async function add(server: ServeProcess, body: Buffer): Promise<number | undefined> {
  const reply = await fetch(`${server.url}/add`, { method: 'POST', body: new Uint8Array(body) });
  const text = await reply.text();
  if (reply.status === 200) return Number(text);
  expect(reply.status, text).toBe(503);
  return undefined;
}

async function headOf(server: ServeProcess): Promise<{ size: number; root: Uint8Array }> {
  const note = await (await fetch(`${server.url}/checkpoint`)).text();
  const verifier = noteVerifier(parseVerifierKey(verifierKey), nodeNotePrimitives);
  return parseCheckpoint(openNote(parseNote(note), [verifier]).text);
}

const bodies: Buffer[] = [];
function entriesIn(data: string): Buffer[] {
  const found: Buffer[] = [];
  for (let tile = 0; tile < Math.floor(SIZE / 256); tile++) {
    const bytes = readFileSync(join(data, `public/tile/entries/${String(tile).padStart(3, '0')}`));
    for (let at = 0; at < bytes.length; at += 2 + bytes.readUInt16BE(at)) {
      found.push(Buffer.from(bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at))));
    }
  }
  bodies.push(...found);
  return found;
}

/** Each file of the directory by its name in it. */
function filesIn(data: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const name of readdirSync(data, { recursive: true, encoding: 'utf8' })) {
    const path = join(data, name);
    if (statSync(path).isFile()) files.set(relative(data, path), readFileSync(path));
  }
  return files;
}

/** Damages one file, of any kind as often as of any other, and returns its name. */
function damage(data: string, seed: number): { name: string; what: string } {
  const random = randomOf(seed);
  const files = filesIn(data);
  const kinds = new Map<string, string[]>();
  for (const [name, bytes] of files) {
    if (bytes.length < 8) continue;
    const kind = name.replace(/[0-9]+/g, '0').replace('entries', 'e');
    kinds.set(kind, [...(kinds.get(kind) ?? []), name]);
  }
  const all = [...kinds.values()];
  const same = all[seed % all.length]!;
  const name = same[random(same.length)]!;
  const bytes = damageTo(files, name, Math.floor(seed / all.length) + seed);
  if (bytes === undefined) rmSync(join(data, name));
  else writeFileSync(join(data, name), bytes);
  return { name, what: `seed ${seed}: ${name}, ${bytes === undefined ? 'gone' : `${bytes.length} bytes`}` };
}

/** Every full tile and bundle: right with 200, or refused with 503, which only the damaged one may be. */
async function readAll(server: ServeProcess, damaged: string, what: string): Promise<void> {
  const tiles = Math.floor(SIZE / 256);
  for (let tile = 0; tile < tiles; tile++) {
    const name = String(tile).padStart(3, '0');
    const right: [string, Uint8Array][] = [
      [`tile/0/${name}`, Buffer.concat(leaves.slice(tile * 256, (tile + 1) * 256))],
      [`tile/entries/${name}`, encodeBundle(bodies.slice(tile * 256, (tile + 1) * 256))],
    ];
    for (const [path, bytes] of right) {
      const reply = await fetch(`${server.url}/${path}`);
      const body = Buffer.from(await reply.arrayBuffer());
      if (reply.status === 200) {
        expect(body.equals(bytes), `${what}: ${path}`).toBe(true);
      } else {
        expect([what, path, reply.status]).toEqual([what, damaged.replace('public/', ''), 503]);
        expect(reply.headers.get('cache-control')).toBe('no-store');
      }
    }
  }
}

/** Entries go on, new ones and those that are logged, and the signed tree is the one that they make. */
async function writeAndVerify(server: ServeProcess, seed: number, what: string): Promise<void> {
  const now = leaves.slice();
  const head = await headOf(server);
  expect(head.size, what).toBe(now.length);
  const some = [randomOf(seed)(bodies.length), randomOf(seed + 1)(bodies.length)];
  for (const body of [...some.map((i) => bodies[i]!), Buffer.from(`new ${seed}`), bodies[some[0]!]!]) {
    const index = await add(server, body);
    if (index === undefined) continue;
    const hash = leafHash(body);
    if (index === now.length) now.push(hash);
    expect(Buffer.compare(now[index] ?? new Uint8Array(0), hash), `${what}: index ${index}`).toBe(0);
  }
  const range = CompactRange.empty();
  const roots = now.map((hash) => {
    range.append(hash);
    return range.root();
  });
  await expect.poll(async () => (await headOf(server)).size).toBeGreaterThanOrEqual(SIZE);
  const { size, root } = await headOf(server);
  expect(size).toBeLessThanOrEqual(now.length);
  expect(root, what).toEqual(roots[size - 1]);
}

it(
  'never sends a wrong byte, signs a wrong tree or names a wrong index',
  async () => {
    for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
      const data = join(dir.path, `round ${seed}`);
      cpSync(whole, data, { recursive: true });
      const before = seed % 2 === 0;
      let found = before ? damage(data, seed) : undefined;
      const server = await start(data).catch((error: Error) => error);
      if (server instanceof Error) {
        // It does not start, and says why in words of its own.
        expect(found, String(server)).toBeDefined();
        expect(server.message, found!.what).toMatch(/"message": ".{20}/);
        expect(server.message, found!.what).not.toMatch(/ {4}at .*\(|TypeError|RangeError/);
      } else {
        await readAll(server, found?.name ?? '', found?.what ?? 'whole');
        found ??= damage(data, seed);
        const { name, what } = found;
        // Two reads: one finds the damage, and one comes after it.
        await readAll(server, name, what);
        await readAll(server, name, what);
        if (/^public\/tile\/(0|entries)\/00[0-3]$/.test(name)) {
          await expect.poll(async () => (await fetch(`${server.adminUrl}/readyz`)).text()).toContain(name);
        }
        await writeAndVerify(server, seed, what).catch(async (error: Error) => {
          // The state and the published note may end the process, which says why. No tile and no bundle may.
          if (name.startsWith('public/tile') || error.message !== 'fetch failed') throw error;
          await until(() => !server.running());
          expect(server.log(), what).toMatch(/"msg":".{20}/);
        });
        await server.kill();
      }
      rmSync(data, { recursive: true });
    }
  },
  30 * 60_000,
);
