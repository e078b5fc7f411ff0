/**
 * `npm run bench:load -- --witness`: a witness that cosigns for a thousand logs, with every request counted. Then a log with
 * three witnesses on this machine (`stele up`) and the same log without witnesses, in turn.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { ed25519VerifierKey, formatNote, formatVerifierKey } from '../../merkle/note.ts';
import { consistencyProof } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { softwareSigner } from '../../merkle/runtime/keys/keyfile.ts';
import { formatAddCheckpoint } from '../../merkle/witness.ts';
import { type Row, round } from '../report.ts';
import { type Call, callOf, Generator, type Outcomes } from './generator.ts';
import { requestBodies } from './requests.ts';
import { startCommand } from './server.ts';

const LOGS = 1000;
/** Checkpoints of each log. The first round does not count. */
const STEPS = 21;
const CONNECTIONS = 64;
const MAIN = resolve('dist/client/cli/main.js');
/** An SPKI of Ed25519 (RFC 8410) is this prefix and the 32 bytes of the key. */
const SPKI_PREFIX = 12;

/** Cosigning with Ed25519, and with ML-DSA-44. */
export async function witnessRows(): Promise<Row[]> {
  const { logs, calls } = await makeCalls();
  const rows: Row[] = [];
  for (const cosignatures of ['ed25519', 'ml-dsa-44']) {
    const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
    try {
      writeFileSync(join(dir, 'logs'), logs);
      const own = [
        '--name',
        'bench.test/w',
        '--data',
        join(dir, 'data'),
        '--logs',
        join(dir, 'logs'),
        '--rate-limit-per-address',
        '0',
      ];
      const witness = await start('witness', [...own, '--cosignatures', cosignatures]);
      const generator = await Generator.open(witness.port, CONNECTIONS);
      await generator.run(calls.slice(0, LOGS));
      // ML-DSA-44 takes a hundred times as long, so fewer requests are enough.
      const outcomes = await generator.run(
        cosignatures === 'ed25519' ? calls.slice(LOGS) : calls.slice(LOGS, 2 * LOGS),
      );
      generator.close();
      await witness.stop();
      rows.push({
        witness: cosignatures,
        ...timing(outcomes),
        'refused+lost': notAnswered(outcomes),
        aim: aimOf(cosignatures),
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
  return rows;
}

/** The same entries into a log without witnesses and into one whose checkpoints two of three cosign, `repeat` times. */
export async function cosignedRows(repeat: number): Promise<Row[]> {
  const bodies = (await requestBodies('shared', 60_000)).map((body) => callOf('/api/v2/log/entries', body));
  const rows: Row[] = [];
  for (let i = 0; i < repeat; i++) {
    for (const command of ['serve', 'up']) {
      const data = mkdtempSync(join(tmpdir(), 'stele-bench-'));
      try {
        const witnesses = command === 'up' ? ['--witness-port', '0'] : [];
        const log = await start(command, ['--origin', 'localhost', '--data', data, ...witnesses]);
        const generator = await Generator.open(log.port, 256);
        await generator.run(bodies.slice(0, 20_000));
        const outcomes = await generator.run(bodies.slice(20_000));
        generator.close();
        await log.stop();
        const aim = command === 'up' ? '0.8 of the log without, p50 < 100' : '';
        rows.push({
          log: command === 'up' ? '2 of 3 cosign' : 'alone',
          ...timing(outcomes),
          'refused+lost': notAnswered(outcomes),
          aim,
        });
      } finally {
        rmSync(data, { recursive: true, force: true });
      }
    }
  }
  return rows;
}

function aimOf(cosignatures: string): string {
  return cosignatures === 'ed25519' ? '2,000/s' : '';
}

/** Each log grows by one entry a step; the logs take turns, so that no log has two steps under way. */
async function makeCalls(): Promise<{ logs: string; calls: Call[] }> {
  const lines: string[] = [];
  const steps: Call[][] = Array.from({ length: STEPS }, () => []);
  for (let i = 0; i < LOGS; i++) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    const key = ed25519VerifierKey(`log-${i}.test`, spki.subarray(SPKI_PREFIX));
    lines.push(`log ${formatVerifierKey(key)}\n`);
    const signer = softwareSigner(privateKey);
    const range = CompactRange.empty();
    const nodes = new Map<string, Uint8Array>();
    for (const [step, calls] of steps.entries()) {
      range.append(randomBytes(32), (level, index, hash) => nodes.set(`${level}/${index}`, hash));
      const read = (level: number, index: number) => nodes.get(`${level}/${index}`)!;
      const proof = step === 0 ? [] : consistencyProof(step, step + 1, read);
      const text = formatCheckpoint({ origin: key.name, size: step + 1, root: range.root(), extensions: [] });
      const signature = await signer.sign(encodeUtf8(text));
      const note = encodeUtf8(formatNote(text, [{ name: key.name, keyId: key.keyId, signature }]));
      calls.push(callOf('/add-checkpoint', Buffer.from(formatAddCheckpoint({ oldSize: step, proof, note }))));
    }
  }
  return { logs: lines.join(''), calls: steps.flat() };
}

function timing(outcomes: Outcomes): Row {
  const sorted = outcomes.latencies.filter((value) => !Number.isNaN(value)).sort();
  return {
    'requests/s': round((sorted.length - refusedOf(outcomes)) / outcomes.seconds),
    'p50 ms': round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN),
    'p99 ms': round(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN),
  };
}

function refusedOf({ refused }: Outcomes): number {
  return [...refused.values()].reduce((sum, count) => sum + count, 0);
}

function notAnswered(outcomes: Outcomes): number {
  return refusedOf(outcomes) + outcomes.latencies.filter((value) => Number.isNaN(value)).length;
}

async function start(command: string, args: readonly string[]): Promise<{ port: number; stop(): Promise<void> }> {
  const { announced, stop } = await startCommand([MAIN, command], args);
  return { port: Number(new URL(announced.url).port), stop };
}
