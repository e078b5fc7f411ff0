import { Histogram as Reference, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { Histogram } from '../../../../merkle/runtime/service/histogram.ts';

const BUCKETS = [0.001, 0.5, 2];
const VALUES = [0, 0.001, 0.0011, 0.3, 0.5, 2, 2.5, 1000];

it('shows what the histogram of prom-client shows', async () => {
  const [own, theirs] = [new Registry(), new Registry()];
  const labelNames = ['route', 'status'] as const;
  const help = 'A "help"\nof two lines';
  const plain = { name: 'plain', help, buckets: BUCKETS };
  const labelled = { name: 'labelled', help, buckets: BUCKETS, labelNames };
  const mine = [new Histogram({ ...plain, labelNames: [] }, own), new Histogram(labelled, own)] as const;
  const reference = [
    new Reference({ ...plain, registers: [theirs] }),
    new Reference({ ...labelled, registers: [theirs] }),
  ] as const;
  // One without labels is there from the start, and one with labels once it has a value.
  mine[1].labels('/unused', '404');
  reference[1].labels('/unused', '404');
  expect(await own.metrics()).toBe(await theirs.metrics());
  for (const [at, value] of VALUES.entries()) {
    const labels = ['/a "b"', at % 2 === 0 ? '200' : '503'];
    mine[0].observe(value);
    reference[0].observe(value);
    mine[1].labels(...labels).observe(value);
    reference[1].labels(...labels).observe(value);
  }
  const text = await own.metrics();
  expect(text).toBe(await theirs.metrics());
  expect(text).toContain('labelled_count{route="/a \\"b\\"",status="503"} 4');
});
