/**
 * `npm run bench:load -- --hostile-witness`: an honest log that has its checkpoints cosigned, one after another, first alone
 * and then beside 64 connections of strangers. The aim is a p99 of 3 times the quiet one.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { ed25519VerifierKey, formatNote, formatSignature, formatVerifierKey, parseNote } from '../../merkle/note.ts';
import { consistencyProof } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { softwareSigner } from '../../merkle/runtime/keys/keyfile.ts';
import { subtreeHash, subtreeProof } from '../../merkle/subtree.ts';
import { formatAddCheckpoint, formatSignSubtree, originHash } from '../../merkle/witness.ts';
import { type Row, round } from '../report.ts';
import { type Call, callOf, Generator } from './generator.ts';
import { startCommand } from './server.ts';

const MAIN = resolve('dist/client/cli/main.js');
const SPKI_PREFIX = 12;
const STRANGERS = 64;
const WARM_UP = 200;
/** Checkpoints of the honest log in each measurement. */
const STEPS = 200;
/** More requests than 64 connections get through meanwhile. */
const ENOUGH = 200_000;
/** Lines of an ML-DSA-44 cosignature that a body of 128 KiB holds. */
const LINES = 36;

type Read = (level: number, index: number) => Uint8Array;

/** A log that grows by one entry a step. */
class GrowingLog {
  readonly vkey: string;
  readonly origin: string;
  readonly #range = CompactRange.empty();
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #key;
  readonly #signer;
  size = 0;

  constructor(name: string) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    this.#key = ed25519VerifierKey(name, spki.subarray(SPKI_PREFIX));
    this.#signer = softwareSigner(privateKey);
    this.vkey = formatVerifierKey(this.#key);
    this.origin = name;
  }

  readonly read: Read = (level, index) => this.#nodes.get(`${level}/${index}`)!;

  async note(): Promise<string> {
    const { name, keyId } = this.#key;
    const root = this.#range.root();
    const text = formatCheckpoint({ origin: this.origin, size: this.size, root, extensions: [] });
    return formatNote(text, [{ name, keyId, signature: await this.#signer.sign(encodeUtf8(text)) }]);
  }

  async grow(): Promise<Call> {
    const oldSize = this.size++;
    this.#range.append(randomBytes(32), (level, index, hash) => this.#nodes.set(`${level}/${index}`, hash));
    const proof = oldSize === 0 ? [] : consistencyProof(oldSize, this.size, this.read);
    const body = formatAddCheckpoint({ oldSize, proof, note: encodeUtf8(await this.note()) });
    return callOf('/add-checkpoint', Buffer.from(body));
  }

  async steps(count: number): Promise<Call[]> {
    const calls: Call[] = [];
    for (let i = 0; i < count; i++) calls.push(await this.grow());
    return calls;
  }
}

/** What strangers send: the bodies of one attack. */
type Attack = readonly [name: string, call: Call];

export async function hostileWitnessRows(only: RegExp, progress: (line: string) => void): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of ['both', 'ml-dsa-44']) {
    const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
    const [honest, other] = [new GrowingLog('honest.test'), new GrowingLog('other.test')];
    writeFileSync(join(dir, 'logs'), `log ${honest.vkey}\nlog ${other.vkey}\n`);
    const witness = await start(dir, kind);
    try {
      const one = await Generator.open(witness.port, 1);
      await one.run(await honest.steps(WARM_UP));
      await one.run(await other.steps(64));
      for (const [name, call] of await attacksOf(other, witness.url)) {
        if (!only.test(`${kind} ${name}`)) continue;
        const quiet = await measure(one, honest);
        const strangers = await Generator.open(witness.port, STRANGERS);
        const end = new AbortController();
        const attack = strangers.run(
          Array.from({ length: ENOUGH }, () => call),
          0,
          Number.POSITIVE_INFINITY,
          end.signal,
        );
        const beside = await measure(one, honest);
        end.abort();
        strangers.close();
        const { sent, seconds } = await attack;
        progress(`${kind}, ${name}: p99 ${round(quiet.p99)} and ${round(beside.p99)} ms`);
        rows.push({
          cosignatures: kind,
          'beside 64 connections of': name,
          'attacks/s': round(sent / seconds),
          'quiet p50 ms': round(quiet.p50),
          'quiet p99 ms': round(quiet.p99),
          'p50 ms': round(beside.p50),
          'p99 ms': round(beside.p99),
          'p99 / quiet': round(beside.p99 / quiet.p99),
          refused: quiet.refused + beside.refused,
          aim: '3',
        });
      }
      one.close();
    } finally {
      await witness.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  }
  return rows;
}

async function measure(one: Generator, log: GrowingLog): Promise<{ p50: number; p99: number; refused: number }> {
  const { latencies, refused } = await one.run(await log.steps(STEPS));
  const sorted = latencies.slice().sort();
  const [p50, p99] = [sorted[Math.floor(STEPS / 2)]!, sorted[Math.floor(STEPS * 0.99)]!];
  return { p50, p99, refused: [...refused.values()].reduce((sum, count) => sum + count, 0) };
}

async function attacksOf(log: GrowingLog, url: string): Promise<Attack[]> {
  const note = await (await fetch(`${url}/${originHash(log.origin)}/checkpoint`)).text();
  const { text, signatures } = parseNote(note);
  const own = signatures.at(-1)!;
  const lines = (count: number, change = (bytes: Uint8Array, _i: number) => bytes) =>
    Array.from({ length: count }, (_, i) => formatSignature({ ...own, signature: change(own.signature, i) })).join('');
  const subtree = (of: string, changes: object = {}) => {
    const [start, end] = [8, 16];
    const hash = subtreeHash(start, end, log.read);
    const proof = subtreeProof(start, end, log.size, log.read);
    const body = formatSignSubtree({ start, end, hash, proof, note: encodeUtf8(of), ...changes });
    return callOf('/sign-subtree', Buffer.from(body));
  };
  const stranger = formatNote(text, [{ ...own, name: 'stranger.test', signature: own.signature.slice(0, 900) }]);
  const checkpoint = (of: string, oldSize = log.size) =>
    callOf('/add-checkpoint', Buffer.from(formatAddCheckpoint({ oldSize, proof: [], note: encodeUtf8(of) })));
  const [byLog] = signatures;
  return [
    ['sign-subtree, the cosignature once', subtree(note)],
    ['sign-subtree, the cosignature repeated', subtree(`${text}\n${lines(LINES)}`)],
    ['sign-subtree, two wrong cosignatures', subtree(`${text}\n${lines(2, flip)}`)],
    ['sign-subtree, many wrong cosignatures', subtree(`${text}\n${lines(LINES, flip)}`)],
    ['sign-subtree, a wrong proof', subtree(note, { hash: new Uint8Array(32) })],
    ['sign-subtree, an unknown log', subtree(note.replace(log.origin, 'unknown.test'))],
    ['add-checkpoint, the log’s line repeated', checkpoint(`${text}\n${formatSignature(byLog!).repeat(100)}`)],
    [
      'add-checkpoint, 99 lines of strangers',
      checkpoint(`${text}\n${formatSignature(byLog!)}${stranger.split('\n\n')[1]!.repeat(99)}`),
    ],
    [
      'add-checkpoint, a wrong signature',
      checkpoint(formatNote(text, [{ ...byLog!, signature: flip(byLog!.signature, 3) }])),
    ],
    ['add-checkpoint, an old size', checkpoint(note, 3)],
  ];
}

function flip(bytes: Uint8Array, i: number): Uint8Array {
  return bytes.map((byte, at) => (at === bytes.length - 9 ? byte ^ (i + 1) : byte));
}

async function start(dir: string, cosignatures: string) {
  const stores = ['--data', join(dir, 'data'), '--logs', join(dir, 'logs')];
  const flags = [...stores, '--cosignatures', cosignatures, '--name', 'witness.test', '--rate-limit-per-address', '0'];
  const { announced, stop } = await startCommand([process.env.STELE_MAIN ?? MAIN, 'witness'], flags);
  return { url: announced.url, port: Number(new URL(announced.url).port), stop };
}
