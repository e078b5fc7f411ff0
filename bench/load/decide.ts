/**
 * `npm run bench:load -- --decide`: `stele decide` of one local bundle, in turn with `stele verify` of it, and the decisions of a
 * service in one second.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDecider } from '../../client/policy/decider.ts';
import type { DecisionBasis } from '../../client/policy/decision-basis.ts';
import { encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { median, type Row, round } from '../report.ts';
import { makeBundles } from './verify-inputs.ts';
import { prepareVerifyOne, verifyOnce } from './verify-one.ts';

const PAIRS = 40;
const MAIN = 'dist/client/cli/main.js';
const THREADS = 2;
const MEASURED_MS = 5000;
const IN_FLIGHT = 128;

/** Medians of the runs, and the median of the ratios of the pairs. */
export async function decideOneRows(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const [verify, file, key, spki, policy, quorum] = await prepareVerifyOne(dir);
    const rule = (more: string) => `version: 1
name: bench
signers: { release: { keyFile: key.pub } }
rules:
  - { name: signed, type: signature, signers: [release]${more} }
`;
    writeFileSync(join(dir, 'plain.yaml'), rule(''));
    writeFileSync(join(dir, 'cel.yaml'), rule(`, conditions: [ "entries.exists(e, e.origin == 'log.test')" ]`));
    const verifying = [MAIN, verify!, file!, key!, spki!, policy!, quorum!];
    const deciding = (name: string) => [
      ...[MAIN, 'decide', file!, '--policy', join(dir, name)],
      ...['--evidence', `${file!}.sigstore.json`, '--quorum-policy', quorum!],
    ];
    return [
      ratio('a policy without conditions', verifying, deciding('plain.yaml'), dir),
      ratio('a policy with a condition', verifying, deciding('cel.yaml'), dir),
    ];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function ratio(what: string, verifying: readonly string[], deciding: readonly string[], dir: string): Row {
  const pairs = Array.from({ length: PAIRS }, (_, at) => {
    // Each pair swaps which goes first.
    if (at % 2 === 0) return { verify: verifyOnce(verifying, dir), decide: verifyOnce(deciding, dir) };
    const decide = verifyOnce(deciding, dir);
    return { verify: verifyOnce(verifying, dir), decide };
  });
  const of = (value: (pair: (typeof pairs)[number]) => number) => round(median(pairs.map(value)));
  return {
    'stele decide with': what,
    'stele verify, ms': of(({ verify }) => verify.wall),
    'stele decide, ms': of(({ decide }) => decide.wall),
    'ratio of ms': of(({ verify, decide }) => decide.wall / verify.wall),
    'ratio of CPU ms': of(({ verify, decide }) => decide.cpu / verify.cpu),
    aim: '1.3',
  };
}

/** Each is a rule's. */
const CONDITIONS = [
  "signer.kind == 'key'",
  "entries.exists(e, e.origin == 'log.test')",
  'entries.all(e, e.quorum && e.treeSize > e.index)',
  "entries[0].witnesses.exists(w, w.startsWith('w'))",
  'size(times) >= 1',
  "now - signedAt > duration('1h')",
  "times.exists(t, t.kind == 'witness')",
  "artifact.name.endsWith('app')",
  "!(signer.fingerprint in ['00', '11'])",
  "size(artifact.digest.sha256) == 64 && artifact.digest.sha256 != ''",
];

const tenRules = (fingerprint: string) => `version: 1
name: ten rules
signers: { release: { fingerprint: ${fingerprint} } }
rules:
${CONDITIONS.map(
  (cel, i) => `  - { name: rule ${i}, type: signature, signers: [release], conditions: [ ${JSON.stringify(cel)} ] }\n`,
).join('')}`;

/** Decisions a second with evidence verified once: of the service, and of its engine alone in one thread. */
export async function decisionsRows(): Promise<Row[]> {
  const { inputs, policy } = await makeBundles(64, 64);
  const { bundle, digest, spki } = inputs[0]!;
  const piece = { source: 'app.json', bytes: bundle };
  const artifact = { name: 'registry.example.com/team/app', digest: { sha256: encodeHex(digest) } };
  const text = tenRules(createHash('sha256').update(spki).digest('hex'));
  const basis: DecisionBasis = {
    policy: { file: 'policy.yaml', bytes: encodeUtf8(text) },
    keyFiles: {},
    quorumPolicy: encodeUtf8(policy),
  };
  const rows: Row[] = [];
  for (const threads of [THREADS, 0]) {
    const decider = await openDecider({ read: async () => basis, threads });
    const one = async () => {
      const { verdict } = await decider.decide(artifact, [piece]);
      if (verdict !== 'allow') throw new Error('a decision is deny');
    };
    await Promise.all(Array.from({ length: 1000 }, one));
    const end = performance.now() + MEASURED_MS;
    const before = process.cpuUsage();
    const started = performance.now();
    let done = 0;
    await Promise.all(
      Array.from({ length: IN_FLIGHT }, async () => {
        while (performance.now() < end) {
          await one();
          done++;
        }
      }),
    );
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(before);
    rows.push({
      'decisions with ten rules': threads === 0 ? 'in the thread of the caller' : `${threads} threads`,
      'a second': round(done / seconds),
      'CPU µs of each': round((user + system) / done),
      'cores busy': round((user + system) / 1e6 / seconds),
      aim: threads === 0 ? '' : '8000',
    });
    await decider.close();
  }
  return rows;
}
