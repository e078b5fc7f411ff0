// Queues alerts in the directory of argv, tells its parent, and delivers slowly until it is killed. Runs the built sources.
import { setTimeout as sleep } from 'node:timers/promises';
import { LastingQueue } from '../../../dist/client/monitor/alerts/lasting.js';

const [dir, from, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const told = (message) => new Promise((resolve) => process.send(message, resolve));
const sink = {
  name: 'child',
  settings: { severity: 'info' },
  async deliver(alerts) {
    for (const { entry } of alerts) {
      await told({ took: entry.index });
      await sleep(1);
    }
  },
};
const queue = await LastingQueue.open(dir, { sinks: [sink] });
const alerts = Array.from({ length: count }, (_, i) => ({
  id: `id ${from + i}`,
  kind: 'match',
  severity: 'alert',
  log: 'log.example',
  time: '2026-11-22T02:00:00.000Z',
  summary: 'x',
  entry: { index: from + i, leafHash: '', names: [] },
  completeThrough: 0,
}));
await queue.enqueue(alerts);
await told({ queued: count });
await queue.run(new AbortController().signal);
