/**
 * `npm run bench`: the functions on the hot path, one by one (tinybench).
 *
 *     npm run bench
 *     npm run bench -- --only proof --time 2000 --json /tmp/micro.json
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Bench } from 'tinybench';
import { machine, type Row, table } from '../report.ts';
import { base64 } from './base64.ts';
import { canonical } from './canonical.ts';
import { commit } from './commit.ts';
import { digest } from './digest.ts';
import { extract } from './extract.ts';
import { hash } from './hash.ts';
import { integrate } from './integrate.ts';
import { json } from './json.ts';
import { match } from './match.ts';
import type { Micro } from './micro.ts';
import { note } from './note.ts';
import { packed } from './packed.ts';
import { proof } from './proof.ts';
import { range } from './range.ts';
import { reply } from './reply.ts';
import { tiles } from './tiles.ts';
import { token } from './token.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    /** Milliseconds per function. */
    time: { type: 'string', default: '500' },
    json: { type: 'string' },
  },
});

/** In the order in which an entry passes through them. */
const ALL: readonly Micro[] = [
  ...json,
  ...canonical,
  ...digest,
  ...packed,
  ...hash,
  ...range,
  ...integrate,
  ...commit,
  ...tiles,
  ...note,
  ...proof,
  ...base64,
  ...reply,
  ...match,
  ...extract,
  ...token,
];

const only = new RegExp(values.only);
const results = [];
for (const { name, unit, per, run } of ALL.filter((micro) => only.test(micro.name))) {
  const bench = new Bench({ time: Number(values.time), warmupTime: Number(values.time) / 4, retainSamples: true });
  bench.add(name, run as () => void);
  const [task] = await bench.run();
  const result = task?.result;
  if (result?.state !== 'completed') throw new Error(`${name} did not run`, { cause: result });
  const { latency } = result;
  const perUnit = (ms: number) => (ms / per) * 1000;
  results.push({
    name,
    unit,
    medianMicroseconds: perUnit(latency.p50),
    meanMicroseconds: perUnit(latency.mean),
    p99Microseconds: perUnit(latency.p99),
    samples: latency.samplesCount,
  });
}
for (const { close } of ALL) await close?.();

console.log(
  table(
    results.map(
      ({ name, unit, medianMicroseconds, meanMicroseconds, p99Microseconds, samples }): Row => ({
        function: name,
        'median µs': medianMicroseconds.toFixed(2),
        'mean µs': meanMicroseconds.toFixed(2),
        'p99 µs': p99Microseconds.toFixed(2),
        per: unit,
        samples,
      }),
    ),
  ),
);
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine: machine(), results }, null, 2)}\n`);
}
