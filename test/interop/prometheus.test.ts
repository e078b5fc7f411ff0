/** deploy/prometheus and deploy/grafana: what promtool says of them, and that the services have the metrics that they name. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { publish } from '../../client/trust/tuf/publish.ts';
import { holders, initSigned, planOf } from '../client/trust/tuf/repository.ts';
import { writeTls } from '../support/admission-process.ts';
import { type CaProcess, type CaWorld, makeCaWorld } from '../support/ca-service.ts';
import { tempDir } from '../support/log.ts';
import { CLI, run, type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { until } from '../support/until.ts';

const DIR = join(import.meta.dirname, '../../deploy');
const read = (name: string) => readFileSync(join(DIR, name), 'utf8');

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}

const rules = parse(read('prometheus/stele.rules.yaml')) as {
  groups: {
    name: string;
    rules: { alert: string; expr: string; labels: object; annotations: { summary: string } }[];
  }[];
};
const alerts = rules.groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(read('grafana/stele.json')) as { panels: Panel[] };
const targets = panels.flatMap((panel) => panel.targets ?? []);

/** A decision policy that can be loaded. */
const DECISIONS = `version: 1
name: none
signers:
  nobody: { fingerprint: ${'ab'.repeat(32)} }
rules:
  - { name: signed, type: signature, signers: [nobody] }
`;

/** The metrics of Stele in an expression, without the ends that histograms add. */
const metricsIn = (expr: string): string[] =>
  [...expr.matchAll(/\bstele_[a-z_]+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ''));

describe.skipIf(skips('the rules as promtool reads them', lacking('promtool')))('promtool', () => {
  it('takes the rules and the configuration', async () => {
    for (const [what, file] of [
      ['rules', 'stele.rules.yaml'],
      ['config', 'scrape.yaml'],
    ] as const) {
      expect(await run('promtool', ['check', what, file], { cwd: join(DIR, 'prometheus') })).toMatchObject({ code: 0 });
    }
  });

  it('finds that the rules raise what they should, and nothing else', async () => {
    const { code, stderr } = await run('promtool', ['test', 'rules', 'stele.rules.test.yaml'], {
      cwd: join(DIR, 'prometheus'),
    });
    expect(code, stderr).toBe(0);
  });

  it('takes each expression of the board', async () => {
    const dir = await tempDir();
    const record = targets.map(({ expr }, i) => ({ record: `x${i}`, expr: expr.replaceAll('$__rate_interval', '1m') }));
    writeFileSync(join(dir.path, 'board.yaml'), JSON.stringify({ groups: [{ name: 'board', rules: record }] }));
    const { code, stdout, stderr } = await run('promtool', ['check', 'rules', join(dir.path, 'board.yaml')]);
    expect(code, `${stdout}${stderr}`).toBe(0);
    await dir.remove();
  });
});

describe('the alerts', () => {
  it('have names of their own, a severity and a sentence', () => {
    const names = alerts.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
    for (const { alert, labels, annotations } of alerts) {
      expect(labels, alert).toEqual({ severity: expect.stringMatching(/^(?:page|ticket)$/) });
      expect(annotations.summary.length, alert).toBeGreaterThan(20);
    }
  });
});

describe('the board', () => {
  it('has a row for each service, and panels that do not lie on each other', () => {
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual([
      'Log',
      'Witness',
      'Monitor',
      'Trust',
      'Admission',
      'Certificate authority',
      'Index',
    ]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24);
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`);
    });
    expect(new Set(cells).size).toBe(cells.length);
    for (const panel of panels) {
      const refs = (panel.targets ?? []).map(({ refId }) => refId);
      expect(new Set(refs).size, panel.title).toBe(refs.length);
    }
  });
});

describe('the metrics of every service', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let log: ServeProcess;
  let output: ServeProcess | undefined;
  let world: CaWorld;
  let authority: CaProcess;
  const children: ChildProcess[] = [];
  const exposed = new Set<string>();

  /** Starts a command; the URL of its port with metrics. */
  const start = async (args: readonly string[], url: RegExp): Promise<string> => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    return await until(
      () => url.exec(said)?.[1],
      () => said,
    );
  };

  beforeAll(async () => {
    dir = await tempDir();
    const at = (...names: string[]) => join(dir.path, ...names);
    const free = ['--listen-port', '0', '--admin-port', '0', '--json'];
    const witness = await start(
      ['witness', '--name', 'witness.example.com/w1', '--data', at('witness'), ...free],
      /"adminUrl": "([^"]+)"/,
    );
    const { verifierKey } = await steleJson(['keygen', '--out', at('w.pem'), '--cosigner', 'witness.example.com/w2']);
    writeFileSync(at('policy'), `witness w ${verifierKey} http://127.0.0.1:9\nquorum none\n`);
    log = await startServer(at('log'), { args: ['--policy', at('policy')] });
    writeFileSync(
      at('monitor.yaml'),
      JSON.stringify({
        state: at('state'),
        logs: [{ url: log.url, keys: [...log.verifierKeys] }],
        rules: [{ name: 'all', watch: { identity: 'a@example.com' } }],
        sinks: [{ type: 'stdout' }],
        metrics: { port: 0 },
      }),
    );
    const monitor = await start(['monitor', '--config', at('monitor.yaml'), '--from-start'], /Metrics: (\S+)\/metrics/);
    const { five, online } = holders();
    await initSigned(at('repository'), planOf(five, online), five, Date.now());
    await publish(at('repository'), { online: [online.signer], now: Date.now() });
    const pem = online.key.privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(at('online.pem'), pem, { mode: 0o600 });
    const trust = await start(
      ['trust', 'serve', at('repository'), '--key-file', at('online.pem'), ...free],
      /"adminUrl": "([^"]+)"/,
    );
    writeTls(dir.path);
    writeFileSync(at('decide.yaml'), DECISIONS);
    const tls = ['--tls-cert', at('tls.crt'), '--tls-key', at('tls.key')];
    const [key] = log.verifierKeys;
    writeFileSync(at('quorum'), `log ${key}\nquorum none\n`);
    const admission = await start(
      ['admission', '--policy', at('decide.yaml'), '--trust-quorum-policy', at('quorum'), ...tls, ...free],
      /"adminUrl": "([^"]+)"/,
    );
    world = await makeCaWorld(at('ca'));
    authority = await world.startCa();
    output = await startServer(at('output'), { args: ['--origin', 'index.example.com', '--entries', 'raw'] });
    const indexed = {
      data: at('index'),
      listen: { port: 0 },
      admin: { port: 0 },
      logs: [{ url: log.url, keys: [...log.verifierKeys] }],
      store: { enabled: true },
      maps: [{ outputLog: { url: output.url, keys: [...output.verifierKeys] } }],
    };
    writeFileSync(at('index.yaml'), JSON.stringify(indexed));
    const index = await start(['index', '--config', at('index.yaml'), '--json'], /"adminUrl": "([^"]+)"/);
    const of = (name: string, { url, verifierKeys }: ServeProcess) => [
      ...[`--${name}-url`, url],
      ...[`--${name}-keys`, verifierKeys.join(',')],
    ];
    const rebuilder = await start(
      [
        ...['index', '--witness', '--name', 'rebuilder.example.com/r1', '--data', at('rebuilder'), ...free],
        ...[...of('input', log), ...of('output', output)],
      ],
      /"adminUrl": "([^"]+)"/,
    );
    for (const url of [witness, log.adminUrl, monitor, trust, admission, authority.adminUrl, index, rebuilder]) {
      const text = await (await fetch(`${url}/metrics`)).text();
      for (const [, name] of text.matchAll(/^# TYPE (stele_\S+) /gm)) exposed.add(name!);
    }
  });
  afterAll(async () => {
    for (const child of children) {
      // One that could not start has ended before.
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'close');
      child.kill('SIGTERM');
      await ended;
    }
    await authority?.kill();
    await world?.close();
    await log?.kill();
    await output?.kill();
    await dir?.remove();
  });

  it('have the names that rules and board use', () => {
    const used = [...alerts.map(({ expr }) => expr), ...targets.map(({ expr }) => expr)].flatMap(metricsIn);
    expect([...new Set(used)].filter((name) => !exposed.has(name))).toEqual([]);
  });

  it('are all on the board or in a rule', () => {
    const used = new Set([...alerts.map(({ expr }) => expr), ...targets.map(({ expr }) => expr)].flatMap(metricsIn));
    expect([...exposed].filter((name) => !used.has(name))).toEqual([]);
  });
});
