/** The composite action: its own shell steps, run by bash on real bundles. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CLI } from '../../../support/serve.ts';
import { SteleIn } from '../../../support/stele-in.ts';

interface Step {
  readonly shell: string;
  readonly env: Readonly<Record<string, string>>;
  readonly run: string;
}
interface Action {
  readonly inputs: Readonly<Record<string, { readonly default?: string; readonly required?: boolean }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly using: string; readonly steps: readonly Step[] };
}

const ACTION: Action = parse(readFileSync('deploy/github-action/action.yml', 'utf8'));
const INPUT = /^\$\{\{ inputs\.([a-z-]+) \}\}$/;
let stele: SteleIn;
let runs = 0;

beforeAll(async () => {
  stele = await SteleIn.start();
  const how = ['--log', stele.log.url, '--log-key', stele.log.vkey];
  stele.write('app', 'the app');
  stele.write('other', 'not signed');
  mkdirSync(stele.path('evidence'));
  mkdirSync(stele.path('bin'));
  symlinkSync(CLI, stele.path('bin/stele'));
  const made = ['--new-key', 'release.pem', '--public-out', 'release.pub', '--out', 'evidence/app.json'];
  await stele.done('sign', 'app', ...how, ...made);
  stele.write(
    'policy.yaml',
    'version: 1\nname: ci\nsigners: { release: { keyFile: release.pub } }\nrules: [ { name: signed, type: signature, signers: [ release ] } ]\n',
  );
  stele.write(
    'package-lock.json',
    '{ "lockfileVersion": 3, "packages": { "node_modules/a": { "version": "1.0.0" } } }',
  );
}, 60_000);

afterAll(() => stele.end());

/** Runs the steps as a runner does: the inputs stand in the variables that the steps name. */
async function act(given: Readonly<Record<string, string>>) {
  const inputs = { policy: 'policy.yaml', evidence: 'evidence', 'quorum-policy': 'quorum', ...given };
  const output = stele.path(`output-${++runs}`);
  let text = '';
  for (const { run, env } of ACTION.runs.steps) {
    const own = Object.entries(env).map(([name, value]) => {
      const input = INPUT.exec(value)![1]!;
      return [name, (inputs as Record<string, string>)[input] ?? ACTION.inputs[input]!.default ?? ''];
    });
    const all = {
      ...process.env,
      PATH: `${stele.path('bin')}${delimiter}${process.env.PATH}`,
      GITHUB_OUTPUT: output,
      ...Object.fromEntries(own),
    };
    const status = await new Promise<number>((done) => {
      const args = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', run];
      execFile('bash', args, { cwd: stele.dir, env: all }, (error, out, err) => {
        text += out + err;
        done(error === null ? 0 : Number(error.code));
      });
    });
    const verdict = existsSync(output) ? readFileSync(output, 'utf8').trim() : '';
    if (status !== 0) return { status, verdict, text };
  }
  return { status: 0, verdict: readFileSync(output, 'utf8').trim(), text };
}

describe('the composite action', () => {
  it('takes inputs by way of the environment alone', () => {
    expect(ACTION.runs.using).toBe('composite');
    for (const { run, env, shell } of ACTION.runs.steps) {
      expect(shell).toBe('bash');
      expect(run).not.toContain('${{');
      for (const value of Object.values(env)) expect(value).toMatch(INPUT);
    }
    const used = ACTION.runs.steps.flatMap(({ env }) => Object.values(env).map((value) => INPUT.exec(value)![1]));
    expect(used.sort()).toEqual(Object.keys(ACTION.inputs).sort());
  });

  it('allows', async () => {
    const { status, verdict, text } = await act({ artifacts: 'app\n' });
    expect({ status, verdict }).toEqual({ status: 0, verdict: 'verdict=allow' });
    expect(text).toContain('ALLOW: app');
  });

  it('asks registries only where it is told to', async () => {
    expect(await act({ artifacts: 'app', registry: 'false' })).toMatchObject({ status: 0 });
    // Nothing listens there: a registry that is away is no answer.
    const image = `localhost:9/app@sha256:${'ab'.repeat(32)}`;
    const { status, verdict, text } = await act({ artifacts: image, evidence: '', registry: 'true' });
    expect({ status, verdict }).toEqual({ status: 2, verdict: 'verdict=error' });
    expect(text).toContain('localhost:9');
    expect(await act({ artifacts: image })).toMatchObject({ status: 1, verdict: 'verdict=deny' });
  });

  it('denies, and writes the reports', async () => {
    const { status, verdict, text } = await act({ artifacts: 'app\r\nother', sarif: 'out.sarif', junit: 'out.xml' });
    expect({ status, verdict }).toEqual({ status: 1, verdict: 'verdict=deny' });
    expect(text).toContain('1 artifact allowed, 1 denied');
    expect(JSON.parse(readFileSync(stele.path('out.sarif'), 'utf8')).runs[0].results.length).toBeGreaterThan(0);
    expect(readFileSync(stele.path('out.xml'), 'utf8')).toContain('tests="2" failures="1"');
  });

  it('decides on a lock file', async () => {
    const { status, verdict, text } = await act({
      lock: 'package-lock.json',
      'lock-hosts': 'a.example.com\nb.example.com',
    });
    expect({ status, verdict }).toEqual({ status: 1, verdict: 'verdict=deny' });
    expect(text).toContain('[lock]');
  });

  it('fails where it cannot be tried', async () => {
    for (const given of [
      {},
      { artifacts: 'app', policy: 'nothing.yaml' },
      { artifacts: 'nothing' },
      { artifacts: 'app', evidence: '' },
      { artifacts: 'app', registry: 'true' },
      { artifacts: 'app', registry: 'yes' },
    ]) {
      expect(await act(given)).toMatchObject({ status: 2, verdict: 'verdict=error' });
    }
  });

  it('runs nothing of an input', async () => {
    const attacks = [
      '$(touch pwned)',
      '`touch pwned`',
      '"; touch pwned; "',
      "'; touch pwned; '",
      '--json',
      '--policy=x',
      '$HOME',
      '*',
    ];
    for (const attack of attacks) {
      for (const input of ['artifacts', 'lock', 'policy', 'evidence', 'quorum-policy', 'lock-hosts', 'log-key']) {
        if (!['artifacts', 'policy'].includes(input) && attack !== attacks[0]) continue;
        const { status } = await act({ artifacts: 'app', [input]: attack });
        expect([input, attack, status]).toEqual([input, attack, 2]);
      }
    }
    expect(existsSync(stele.path('pwned'))).toBe(false);
  }, 60_000);
});
