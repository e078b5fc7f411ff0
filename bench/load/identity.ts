/**
 * `npm run bench:load -- --identity`: what an authorized write costs beside one of a log that takes entries of everybody. Both logs
 * speak TLS with 256 kept-alive connections; one requires an X.509-SVID of each client and judges each entry by an access policy.
 *
 * Both do small pieces of the same work in turn, a pair of pieces gives one ratio, and each pair swaps which log goes first.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { type Authority, issue, issueCa } from '../../test/merkle/x509/make.ts';
import { dnsName, issueSvid, shownBy } from '../../test/support/client-certificates.ts';
import { pemOf } from '../../test/support/tls-server.ts';
import { median, type Row, round } from '../report.ts';
import { type Call, Generator } from './generator.ts';
import { ratioText } from './pairs.ts';
import { requestBodies } from './requests.ts';
import { callsOf } from './run.ts';
import { cpuOf, type RunningCommand, startCommand } from './server.ts';

const CONNECTIONS = 256;
const PIECE = 2000;
const WARM_UP = 20_000;
const MAIN = resolve('dist/client/cli/main.js');

const POLICY = `version: 1
name: bench
callers: { ci: { spiffeId: 'spiffe://example.org/build/**' } }
allow:
  - { name: builders, callers: [ci], calls: [write], kinds: [hashedrekord, dsse], keys: [PKIX_ECDSA_P256_SHA_256], perMinute: 1000000 }
`;

/** A log with its connections. */
interface Side {
  readonly running: RunningCommand;
  readonly generator: Generator;
}

interface Piece {
  readonly seconds: number;
  readonly cpu: number;
  /** What the log answered in the place of 201, and how often. */
  readonly refused: string;
}

export async function identityRows(pairs: number, quick: boolean, say: (text: string) => void): Promise<Row[]> {
  const [piece, warmUp] = quick ? [PIECE / 4, WARM_UP / 4] : [PIECE, WARM_UP];
  const calls = callsOf((await requestBodies('fresh', 60_000)).slice(0, warmUp + piece * pairs), 1);
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  const sides: Side[] = [];
  try {
    const root = issueCa('root');
    prepare(dir, root);
    const identity = ['--identity-file', join(dir, 'identity.yaml'), '--identity-access', join(dir, 'access.yaml')];
    const client = shownBy(issueSvid(root, 'spiffe://example.org/build/linux'));
    for (const [name, flags, shown] of [['open', [], {}] as const, ['identity', identity, client] as const]) {
      const side = await openSide(dir, name, flags, shown);
      sides.push(side);
      // At once: a log cuts connections that are silent from their beginning.
      await run(side, calls.slice(0, warmUp));
    }
    const ratios = { seconds: [] as number[], cpu: [] as number[] };
    const costs: [number[], number[]] = [[], []];
    for (let at = 0; at < pairs; at++) {
      const part = calls.slice(warmUp + at * piece, warmUp + (at + 1) * piece);
      const pieces: Piece[] = [];
      for (const i of [at % 2, 1 - (at % 2)]) pieces[i] = await run(sides[i]!, part);
      for (const { refused } of pieces) if (refused !== '') throw new Error(`a log refused writes: ${refused}`);
      ratios.seconds.push(pieces[1]!.seconds / pieces[0]!.seconds);
      ratios.cpu.push(pieces[1]!.cpu / pieces[0]!.cpu);
      for (const i of [0, 1] as const) costs[i].push((pieces[i]!.cpu / piece) * 1e6);
      say(`pair ${at + 1}: time ${round(ratios.seconds.at(-1)!)}, processor time ${round(ratios.cpu.at(-1)!)}`);
    }
    return [
      rowOf('time', ratios.seconds, ''),
      rowOf(
        'processor time of the log',
        ratios.cpu,
        `${costs.map((each) => `${round(median(each))} µs`).join(' → ')} an entry`,
      ),
    ];
  } finally {
    for (const { generator, running } of sides) {
      generator.close();
      await running.stop();
    }
    rmSync(dir, { recursive: true });
  }
}

function prepare(dir: string, root: Authority): void {
  const server = shownBy(
    issue({ name: 'localhost', by: issueCa('server'), keyUsage: 0x80, names: [dnsName('localhost')] }),
  );
  writeFileSync(join(dir, 'tls.crt'), server.cert);
  writeFileSync(join(dir, 'tls.key'), server.key, { mode: 0o600 });
  writeFileSync(join(dir, 'bundle.pem'), pemOf(root));
  writeFileSync(join(dir, 'identity.yaml'), 'trustDomains: [{ name: example.org, bundle: bundle.pem }]\n');
  writeFileSync(join(dir, 'access.yaml'), POLICY);
}

async function openSide(dir: string, name: string, flags: readonly string[], client: ConnectionOptions): Promise<Side> {
  const data = join(dir, name);
  mkdirSync(data);
  const tls = ['--tls-cert', join(dir, 'tls.crt'), '--tls-key', join(dir, 'tls.key')];
  const running = await startCommand([MAIN, 'serve'], ['--origin', 'localhost', '--data', data, ...tls, ...flags]);
  const port = Number(new URL(running.announced.url).port);
  return { running, generator: await Generator.open(port, CONNECTIONS, { rejectUnauthorized: false, ...client }) };
}

async function run({ running, generator }: Side, calls: readonly Call[]): Promise<Piece> {
  const stat = `/proc/${running.child.pid}/stat`;
  const before = cpuOf(stat);
  const { seconds, indexes, refused: statuses } = await generator.run(calls);
  const lost = indexes.filter(Number.isNaN).length;
  const refused = lost === 0 ? '' : `${lost}, by status ${JSON.stringify([...statuses])}`;
  return { seconds, cpu: cpuOf(stat) - before, refused };
}

function rowOf(what: string, ratios: readonly number[], costs: string): Row {
  return { 'authorized against open writes': what, ratio: ratioText(ratios), aim: '<= 1.1', costs };
}
