/** What `stele up --monitor` writes. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refreshed } from '../../../client/cli/up/own-part.ts';
import { prepareMonitor, type Watched } from '../../../client/cli/up/up-monitor.ts';
import { loadMonitorConfig } from '../../../client/monitor/config/load-monitor.ts';
import { openMonitor } from '../../../client/monitor/open-monitor.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/note.ts';
import { tempDir } from '../../support/log.ts';

const vkey = formatVerifierKey(ed25519VerifierKey('log.example', new Uint8Array(32).fill(7)));
const watched: Watched = {
  origin: 'log.example',
  url: 'http://localhost:3000',
  verifierKeys: [vkey],
  witnesses: ['http://localhost:3101', 'http://localhost:3102'],
};

let dir: Awaited<ReturnType<typeof tempDir>>;

beforeEach(async () => {
  dir = await tempDir();
  await mkdir(join(dir.path, 'trust'));
  await writeFile(join(dir.path, 'trust', 'policy'), `log ${vkey}\nquorum none\n`);
});

afterEach(() => dir.remove());

describe("the monitor's configuration", () => {
  it('is made once, and is one', async () => {
    const { file, fresh } = await prepareMonitor(dir.path, watched, 9464);
    expect([file, fresh]).toEqual([join(dir.path, 'monitor.yaml'), true]);
    const config = loadMonitorConfig(file);
    expect(config).toMatchObject({
      state: join(dir.path, 'monitor-state'),
      logs: [{ origin: 'log.example', location: 'http://localhost:3000', peers: watched.witnesses }],
      rules: [],
      sinks: [{ type: 'stdout' }],
      metrics: { host: '127.0.0.1', port: 9464 },
    });
  });

  it('is one too with its examples taken in', async () => {
    const { file } = await prepareMonitor(dir.path, watched, 0);
    const text = await readFile(file, 'utf8');
    // Settings that are commented out begin two columns on.
    await writeFile(file, text.replaceAll(/^#(?= {2})/gm, '').replace('rules: []', 'rules:'));
    const config = loadMonitorConfig(file);
    expect(config.rules.map(({ name }) => name)).toEqual(['our releases']);
    expect(config.sinks.map(({ type }) => type)).toEqual(['stdout', 'webhook']);
  });

  it('knows a monitor that never looked at the log from one whose state is lost', async () => {
    const { file } = await prepareMonitor(dir.path, watched, 9464);
    const again = async () => (await prepareMonitor(dir.path, watched, 9464)).fresh;
    // `stele up` was killed when it had written the file, or before it had.
    expect(await again()).toBe(true);
    await rm(file);
    expect(await again()).toBe(true);
    const { state } = loadMonitorConfig(file);
    const opened = await openMonitor(loadMonitorConfig(file), { start: 'start' });
    await opened.close();
    expect(await again()).toBe(true);
    await rm(state, { recursive: true });
    expect(await again()).toBe(false);
    await writeFile(file, 'nonsense');
    expect(await again()).toBe(false);
  });

  it('learns of other ports at each start, and keeps what was changed', async () => {
    const { file } = await prepareMonitor(dir.path, watched, 9464);
    const text = await readFile(file, 'utf8');
    await writeFile(file, `${text.replace('poll: 1s', 'poll: 3s')}\n# mine\n`);
    await prepareMonitor(
      dir.path,
      { ...watched, url: 'http://localhost:4000', witnesses: ['http://localhost:4101'] },
      1,
    );
    const changed = await readFile(file, 'utf8');
    expect(loadMonitorConfig(file)).toMatchObject({
      logs: [{ location: 'http://localhost:4000', peers: ['http://localhost:4101'] }],
      follow: { pollMs: 3000 },
      metrics: { port: 9464 },
    });
    expect(changed).toContain('# mine');
  });

  it('is left alone where its owner took the line away', () => {
    const own = 'logs:\n  - url: https://log.example.com\nsinks: [{ type: stdout }]\n';
    expect(refreshed(own, 'anything')).toBe(own);
  });
});
