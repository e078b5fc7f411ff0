/** SIGHUP to the built monitor: `npm run build` first. */
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FakeLog, View } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log-files.ts';
import { until } from '../../support/until.ts';
import { entryOf, startMonitor, writeConfig } from './process.ts';

const STDOUT = '[{ type: stdout }]';

describe('stele monitor on SIGHUP', () => {
  it('takes up its configuration without missing an entry, and keeps the one before where it is wrong', async () => {
    const entries = [entryOf('first', false)];
    const log = new FakeLog(new View(entries));
    const dir = await tempDir();
    const more = 'metrics: { port: 0 }';
    const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks: STDOUT, more });
    const good = await readFile(config, 'utf8');
    const monitor = startMonitor(config, ['--from-start', '--json']);
    const lines = () => `${monitor.stdout()}${monitor.stderr()}`;
    await until(() => lines().includes('"through":1'));
    const metrics = /"metrics":"([^"]+)"/.exec(lines())![1]!;
    const get = async (path: string) => (await fetch(`${metrics}${path}`)).text();

    // Not what the file's author meant: nothing changes, and the file is named.
    await writeFile(config, good.replace('rules:', 'rulez:'));
    monitor.child.kill('SIGHUP');
    await until(() => monitor.stderr().includes('was not taken'));
    expect(monitor.stderr()).toContain(config);
    expect(await get('/readyz')).toContain('was not taken');
    expect(await get('/metrics')).toMatch(/^stele_monitor_config_reload_failed 1$/m);

    // A sink whose file is missing shows only when the parts are opened.
    await writeFile(
      config,
      good.replace(STDOUT, `[{ type: webhook, url: 'https://localhost:1', secretFile: ${dir}/none }]`),
    );
    monitor.child.kill('SIGHUP');
    await until(async () => (await get('/metrics')).includes('stele_monitor_config_reloads_total{result="failed"} 2'));
    log.show([...entries, entryOf('second', true)]);
    await until(() => lines().includes('"rule":"my key"') || lines().includes('my key'));

    await writeFile(config, good.replace('name: my key', 'name: our key'));
    for (let i = 0; i < 10; i++) monitor.child.kill('SIGHUP');
    await until(async () => (await get('/metrics')).includes('stele_monitor_config_reload_failed 0'));
    log.show([...entries, entryOf('second', true), entryOf('third', true)]);
    await until(() => lines().includes('our key'));
    expect((await get('/readyz')).includes('alarms')).toBe(false);
    monitor.child.kill('SIGTERM');
    expect(await monitor.exited).toBe(0);
  });
});
