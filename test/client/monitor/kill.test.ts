/**
 * A monitor is killed at random moments while entries come in, and not one match may be lost. `npm run test:crash` kills it
 * 50 times; a few kills keep the everyday run short. Needs `npm run build`.
 */
import { expect, it } from 'vitest';
import { FakeLog, View } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log-files.ts';
import { entryOf, receiver, startMonitor, until, writeConfig } from './process.ts';

const KILLS = Number(process.env.STELE_MONITOR_KILLS ?? 3);
/** Each so-many-th entry is by the watched key. */
const EVERY = 7;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it(
  `loses no match in ${KILLS} SIGKILLs while entries come in`,
  async () => {
    const log = new FakeLog(new View([]));
    const dir = await tempDir();
    let dropped = 0;
    // A receiver that also fails: some requests are taken and never answered.
    const { sinks, alerts } = await receiver(dir, (reply) => {
      if (Math.random() < 0.9) reply.end();
      else {
        dropped++;
        reply.destroy();
      }
    });
    const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks });
    const add = (count: number) => {
      const from = log.view.entries.length;
      const more = Array.from({ length: count }, (_, i) => entryOf(`${from + i}`, (from + i) % EVERY === 0));
      log.view.grow(more);
      log.size = log.view.entries.length;
    };
    const growing = setInterval(() => add(1 + Math.floor(Math.random() * 20)), 20);
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const monitor = startMonitor(config, kill === 0 ? ['--from-start'] : []);
        // The first must have come so far that there is a state.
        if (kill === 0) await until('the first alert', () => alerts.length > 0);
        // A start takes half a second or more: many kills hit it, too.
        await sleep(Math.random() * 2500);
        expect(monitor.child.exitCode, monitor.stderr()).toBeNull();
        monitor.child.kill('SIGKILL');
        await monitor.exited;
      }
    } finally {
      clearInterval(growing);
    }
    const last = startMonitor(config);
    const wanted = Array.from({ length: Math.ceil(log.size / EVERY) }, (_, i) => i * EVERY);
    const missing = () => wanted.filter((index) => !alerts.some(({ entry }) => entry?.index === index));
    await until('the last alert', () => missing().length === 0).catch(() => {});
    last.child.kill('SIGTERM');
    expect(await last.exited, last.stderr()).toBe(0);
    expect(missing()).toEqual([]);
    expect(alerts.filter(({ entry }) => entry!.index % EVERY !== 0)).toEqual([]);
    // Whatever came twice can be recognised.
    const ids = new Map(alerts.map(({ id, entry }) => [id, entry!.index]));
    expect(ids.size).toBe(wanted.length);
    console.log(
      `${KILLS} kills, ${log.size} entries, ${wanted.length} matches, ${alerts.length - wanted.length} delivered again, ${dropped} replies dropped`,
    );
  },
  KILLS * 10_000 + 60_000,
);
