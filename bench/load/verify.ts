/** `npm run bench:load -- --verify`: bundles with two cosignatures each, by as many keys, in one process. */
import { verifyMany } from '../../client/verify/many/verify-many.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { type Row, round } from '../report.ts';
import { makeBundles } from './verify-inputs.ts';

const BUNDLES = 10_000;
/** Entries under one checkpoint: as many as a log with some thousand entries a second publishes at once, and one alone. */
const BATCHES = [64, 1];

export async function verifyRows(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const batch of BATCHES) {
    const { inputs, policy } = await makeBundles(BUNDLES, batch);
    const requests = inputs.map(({ bundle, digest, spki }) => ({ bundle, artifact: { sha256: digest }, key: spki }));
    const used = process.cpuUsage();
    const started = performance.now();
    let verified = 0;
    for await (const result of verifyMany(requests, { policy: encodeUtf8(policy) })) {
      if (result.ok && result.outcome.entries[0]!.cosigned.length === 2) verified++;
    }
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(used);
    rows.push({
      bundles: BUNDLES,
      'entries a checkpoint': batch,
      'bundles/s, start of the threads included': round(BUNDLES / seconds),
      'CPU µs/bundle': round((user + system) / BUNDLES),
      'not verified': BUNDLES - verified,
      aim: batch === 64 ? '4,000/s' : '',
    });
  }
  return rows;
}
