/**
 * Strangers against a witness: 64 connections that send what costs it most, while an honest log has its checkpoints
 * cosigned. Every honest request is answered, and no hostile one gets a 5xx but 503. The times are printed, and bench/load
 * measures them.
 *
 * STELE_HOSTILE_SECONDS is how long each attack lasts (2).
 */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatNote, formatSignature, type NoteSignature, parseNote } from '../../merkle/note.ts';
import { subtreeHash, subtreeProof } from '../../merkle/subtree.ts';
import { formatAddCheckpoint, formatSignSubtree, MAX_WITNESS_BODY, originHash } from '../../merkle/witness.ts';
import { tempDir } from '../support/log.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';
import { TestLog, treeOf } from '../witness/helpers.ts';

const SECONDS = Number(process.env.STELE_HOSTILE_SECONDS ?? '2');
const STRANGERS = 64;
const SIZE = 14;
const STEPS = 4000;

const honest = new TestLog('honest.test', treeOf('honest', STEPS));
const victim = new TestLog('victim.test');

let dir: Awaited<ReturnType<typeof tempDir>>;
let witness: WitnessProcess;
/** The checkpoint of the victim with all cosignatures. */
let note: string;
let size = 0;

beforeAll(async () => {
  dir = await tempDir();
  const args = ['--cosignatures', 'both', '--rate-limit-per-address', '0', '--rate-limit-per-origin', '0'];
  witness = await startWitness(dir.path, 'witness.test/w', [honest.vkey, victim.vkey], 0, args);
  expect((await post('/add-checkpoint', victim.request(0, SIZE))).status).toBe(200);
  note = await (await fetch(`${witness.url}/${originHash(victim.origin)}/checkpoint`)).text();
});
afterAll(async () => {
  await witness.kill();
  await dir.remove();
});

const post = (path: string, body: Uint8Array) =>
  fetch(`${witness.url}${path}`, { method: 'POST', body: Buffer.from(body) });

/** The honest log grows by one entry. */
async function grow(): Promise<void> {
  const reply = await post('/add-checkpoint', honest.request(size, size + 1));
  expect(reply.status, await reply.text()).toBe(200);
  size++;
}

/** The median and the longest of the honest requests that fit into `seconds`, in milliseconds; at least 10 of them. */
async function measure(seconds: number): Promise<{ median: number; longest: number }> {
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end || times.length < 10; ) {
    const started = performance.now();
    await grow();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return { median: times[times.length >> 1]!, longest: times.at(-1)! };
}

function subtree(of: string, changes: object = {}): Uint8Array {
  const [start, end] = [8, 13];
  const hash = subtreeHash(start, end, victim.tree.read);
  const proof = subtreeProof(start, end, SIZE, victim.tree.read);
  return formatSignSubtree({ start, end, hash, proof, note: encodeUtf8(of), ...changes });
}

/** As many as the body has room for. */
function repeated(text: string, line: (i: number) => NoteSignature): string {
  let all = `${text}\n`;
  for (let i = 0; i < 100; i++) {
    const next = formatSignature(line(i));
    if (all.length + next.length > MAX_WITNESS_BODY - 8192) break;
    all += next;
  }
  return all;
}

const wrong = (signature: NoteSignature) => (i: number) => ({
  ...signature,
  signature: signature.signature.map((byte, at) => (at === signature.signature.length - 7 ? byte ^ (i + 1) : byte)),
});

/** By name: the path, the body, and the answers that it may get. */
function attacks(): readonly (readonly [string, string, Uint8Array, readonly number[]])[] {
  const { text, signatures } = parseNote(note);
  const [byLog, byEd25519, byMldsa] = signatures as [NoteSignature, NoteSignature, NoteSignature];
  const stranger = (i: number) => ({ ...wrong(byMldsa)(i), name: 'stranger.test' });
  const checkpoint = (of: string, oldSize = SIZE, proof: Uint8Array[] = []) =>
    formatAddCheckpoint({ oldSize, proof, note: encodeUtf8(of) });
  const longProof = Array.from({ length: 63 }, () => new Uint8Array(32));
  return [
    ['subtrees', '/sign-subtree', subtree(note), [200, 503, 429]],
    ['a repeated ML-DSA-44 line', '/sign-subtree', subtree(repeated(text, () => byMldsa)), [200, 503, 429]],
    ['a repeated Ed25519 line', '/sign-subtree', subtree(repeated(text, () => byEd25519)), [200, 503, 429]],
    ['many wrong ML-DSA-44 lines', '/sign-subtree', subtree(repeated(text, wrong(byMldsa))), [400, 503, 429]],
    [
      'two wrong ML-DSA-44 lines',
      '/sign-subtree',
      subtree(formatNote(text, [0, 1].map(wrong(byMldsa)))),
      [403, 503, 429],
    ],
    ['lines of strangers', '/sign-subtree', subtree(repeated(text, stranger)), [403, 503, 429]],
    ['a wrong subtree', '/sign-subtree', subtree(note, { hash: new Uint8Array(32) }), [422, 503, 429]],
    ['a long proof', '/sign-subtree', subtree(note, { proof: longProof }), [422, 503, 429]],
    ['a repeated line of the log', '/add-checkpoint', checkpoint(repeated(text, () => byLog)), [200, 503]],
    ['many wrong lines of the log', '/add-checkpoint', checkpoint(repeated(text, wrong(byLog))), [400, 503]],
    [
      'lines of strangers beside the log',
      '/add-checkpoint',
      checkpoint(`${formatNote(text, [byLog])}${repeated('', stranger).trimStart()}`),
      [200, 503],
    ],
    ['an old size', '/add-checkpoint', checkpoint(note, 3, longProof), [409, 503]],
  ];
}

/** 64 connections that send the body again and again until `signal` aborts; the statuses that came. */
async function attack(path: string, body: Uint8Array, signal: AbortSignal): Promise<Set<number>> {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(head), body]);
  const statuses = new Set<number>();
  const sockets: Socket[] = [];
  const end = () => {
    for (const socket of sockets) socket.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  const one = () =>
    new Promise<void>((resolve) => {
      const socket = connect(witness.port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk) => {
        const status = /^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1', 0, 20))?.[1];
        if (status === undefined) return;
        statuses.add(Number(status));
        if (!signal.aborted) socket.write(bytes);
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      sockets.push(socket);
    });
  await Promise.all(Array.from({ length: STRANGERS }, one));
  return statuses;
}

it('answers an honest log under each of them', async () => {
  await measure(SECONDS);
  const told: string[] = [];
  for (const [name, path, body, allowed] of attacks()) {
    const quiet = await measure(SECONDS / 2);
    const ending = new AbortController();
    const attacking = attack(path, body, ending.signal);
    const beside = await measure(SECONDS);
    ending.abort();
    const statuses = [...(await attacking)];
    told.push(`${name}: ${statuses.join(', ')}; median ${quiet.median.toFixed(1)} and ${beside.median.toFixed(1)} ms`);
    expect(statuses.length, name).toBeGreaterThan(0);
    expect(
      statuses.filter((status) => !allowed.includes(status)),
      name,
    ).toEqual([]);
  }
  console.info(told.join('\n'));
  expect((await fetch(`${witness.adminUrl}/readyz`)).status).toBe(200);
});
