/**
 * `npm run bench:load -- --admission`: `stele admission` as a process, asked by TLS as an API server asks it: over kept-alive connections of
 * HTTP/1.1, with reviews of pods of two containers. Once as fast as it answers, and once at an even pace, which shows the time of an
 * answer and not that of a queue. Needs openssl, for the certificate.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { formatPublicKeyPem } from '../../client/formats/key.ts';
import { encodeHex } from '../../merkle/bytes.ts';
import { type Row, round } from '../report.ts';
import { startCommand } from './server.ts';
import { makeBundles } from './verify-inputs.ts';

const IMAGES = 20;
const CONNECTIONS = 32;
const REVIEWS = 20_000;
const WARM_UP = 4000;
const PACE = 1000;
const MAIN = resolve('dist/client/cli/main.js');

export async function admissionRows(quick: boolean): Promise<Row[]> {
  const reviews = quick ? REVIEWS / 10 : REVIEWS;
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const bodies = await prepare(dir);
    return [
      ...(await measure(dir, bodies, reviews, 'kept', [])),
      ...(await measure(dir, bodies, reviews / 4, 'decided anew', ['--cache-allow', '0s', '--cache-deny', '0s'])),
    ];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Fills `dir` with a policy, its trust, evidence and a certificate. Gives the requests, half of them for an image without evidence. */
async function prepare(dir: string): Promise<Buffer[]> {
  const at = (name: string) => join(dir, name);
  const { inputs, policy } = await makeBundles(IMAGES, IMAGES);
  writeFileSync(at('quorum'), policy);
  mkdirSync(at('evidence'));
  const signers: string[] = [];
  for (const [i, { bundle, digest, spki }] of inputs.entries()) {
    mkdirSync(at(`evidence/sha256-${encodeHex(digest)}`));
    writeFileSync(at(`evidence/sha256-${encodeHex(digest)}/app.sigstore.json`), bundle);
    writeFileSync(at(`key${i}.pub`), formatPublicKeyPem({ spki }));
    signers.push(`  k${i}: { keyFile: key${i}.pub }`);
  }
  const names = inputs.map((_, i) => `k${i}`).join(', ');
  const rule = `rules:\n  - { name: signed, type: signature, signers: [${names}] }`;
  writeFileSync(at('policy.yaml'), `version: 1\nname: bench\nsigners:\n${signers.join('\n')}\n${rule}\n`);
  const certificate = [
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=localhost',
  ];
  execFileSync('openssl', ['req', ...certificate, '-keyout', at('tls.key'), '-out', at('tls.crt')], {
    stdio: 'ignore',
  });
  return inputs.flatMap(({ digest }) => [
    requestFor(encodeHex(digest)),
    requestFor(encodeHex(digest.map((byte) => 255 - byte))),
  ]);
}

function requestFor(hex: string): Buffer {
  const image = `registry.example.com/team/app@sha256:${hex}`;
  const container = {
    name: 'app',
    image,
    resources: { limits: { cpu: '1', memory: '1Gi' } },
    env: [{ name: 'A', value: 'b' }],
  };
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'app', namespace: 'team', labels: { app: 'app' }, annotations: { note: 'x'.repeat(1500) } },
    spec: {
      containers: [container, { ...container, name: 'sidecar' }],
      restartPolicy: 'Always',
      serviceAccountName: 'app',
    },
  };
  const request = {
    uid: `705ab4f5-6393-11e8-b7cc-${hex.slice(0, 12)}`,
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'team',
    operation: 'CREATE',
    object,
  };
  const body = JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request });
  const head = `POST /validate?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
  return Buffer.from(`${head}\r\n\r\n${body}`);
}

async function measure(
  dir: string,
  requests: readonly Buffer[],
  reviews: number,
  verdicts: string,
  flags: readonly string[],
): Promise<Row[]> {
  const files = ['--policy', join(dir, 'policy.yaml'), '--trust-quorum-policy', join(dir, 'quorum')];
  const evidence = ['--evidence-registry', 'false', '--evidence-directory', join(dir, 'evidence')];
  const tls = ['--tls-cert', join(dir, 'tls.crt'), '--tls-key', join(dir, 'tls.key')];
  const own = ['--cache-allow', '1h', '--cache-deny', '10s', '--log-level', 'error'];
  const running = await startCommand([MAIN, 'admission'], [...files, ...evidence, ...tls, ...own, ...flags]);
  const port = Number(new URL(running.announced.url).port);
  const ca = readFileSync(join(dir, 'tls.crt'));
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(port, ca)));
  try {
    await drive(connections, requests, WARM_UP);
    const fast = await drive(connections, requests, reviews);
    const paced = await drive(connections, requests, Math.min(reviews, 10 * PACE), PACE);
    return [
      rowOf(`${verdicts}, as fast as it answers`, fast, verdicts === 'kept' ? '1,000/s' : ''),
      rowOf(`${verdicts}, ${PACE} a second`, paced, verdicts === 'kept' ? 'p99 < 100 ms' : ''),
    ];
  } finally {
    for (const connection of connections) connection.close();
    await running.stop();
  }
}

interface Driven {
  readonly seconds: number;
  /** Milliseconds of each answer, from the time at which it was due. */
  readonly times: readonly number[];
  readonly wrong: number;
}

/** Sends so many reviews; with a pace each at its own time, also where the ones before are not answered. */
async function drive(
  connections: readonly Connection[],
  requests: readonly Buffer[],
  count: number,
  pace?: number,
): Promise<Driven> {
  const times: number[] = [];
  let next = 0;
  let wrong = 0;
  const began = performance.now();
  const run = async (connection: Connection) => {
    for (let at = next++; at < count; at = next++) {
      const due = pace === undefined ? performance.now() : began + (at / pace) * 1000;
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const answer = await connection.ask(requests[at % requests.length]!);
      times.push(performance.now() - due);
      // Every second image has no evidence.
      if (!answer.includes(at % 2 === 0 ? '"allowed":true' : '"allowed":false')) wrong++;
    }
  };
  await Promise.all(connections.map(run));
  return { seconds: (performance.now() - began) / 1000, times, wrong };
}

/** A connection with one request under way. */
class Connection {
  readonly #socket: TLSSocket;
  #text = '';
  #done: (text: string) => void = () => {};

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.#text += chunk;
      const end = this.#text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1]);
      if (this.#text.length < end + 4 + length) return;
      const text = this.#text;
      this.#text = '';
      this.#done(text);
    });
  }

  static open(port: number, ca: Buffer): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, ca, checkServerIdentity: () => undefined }, () => resolve(new Connection(socket)));
      socket.on('error', reject);
    });
  }

  ask(request: Buffer): Promise<string> {
    return new Promise((resolve) => {
      this.#done = resolve;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

function rowOf(what: string, { seconds, times, wrong }: Driven, aim: string): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const part = (share: number) => round(sorted[Math.floor(sorted.length * share)]!);
  return {
    'verdicts of pods': what,
    'reviews/s': round(times.length / seconds),
    'p50 ms': part(0.5),
    'p99 ms': part(0.99),
    'max ms': round(sorted.at(-1)!),
    wrong,
    aim,
  };
}
