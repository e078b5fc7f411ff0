/**
 * Two real logs under one key, as a log that shows two histories has them, and a real witness: each view is consistent in
 * itself, and only their comparison shows the lie. Needs `npm run build`.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { originHash } from '../../../merkle/witness.ts';
import { bodyOf } from '../../support/log.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';
import { startWitness } from '../../witness/kill-run.ts';
import { until, writeConfig } from './process.ts';

async function server(dir: string): Promise<ServeProcess> {
  const running = await startServer(dir);
  later(() => running.kill());
  return running;
}

async function submit({ url }: ServeProcess, ...names: string[]): Promise<void> {
  for (const name of names) {
    const reply = await fetch(`${url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf(name)) });
    expect(reply.status).toBe(201);
    await reply.arrayBuffer();
  }
}

it('two logs under one key are seen through a copy, and through a witness', { timeout: 180_000 }, async () => {
  const dir = await tempDir();
  const first = await server(join(dir, 'one'));
  await submit(first, 'a', 'b');
  expect(await first.stop()).toBe(0);
  await cp(join(dir, 'one'), join(dir, 'two'), { recursive: true });
  const [one, two] = await Promise.all([server(join(dir, 'one')), server(join(dir, 'two'))]);
  const [vkey = ''] = one.verifierKeys;

  const sinks = '[{ type: stdout }]';
  const witnessDir = join(dir, 'witness');
  await steleJson(['witness', 'log', 'add', vkey, '--url', two.url, '--data', witnessDir]);
  await submit(two, 'c', 'd', 'e');
  const witness = await startWitness(witnessDir, ['--poll', '1s']);
  later(() => witness.kill());
  const served = `${witness.url}/${originHash(one.origin)}/checkpoint`;
  await until('the witness has seen size 5', async () => (await (await fetch(served)).text()).includes('\n5\n'));

  const look = async (peer: string, ...args: string[]) => {
    const config = await writeConfig(dir, { url: one.url, vkey, sinks, log: `peers: ['${peer}']` });
    const { code, stdout, stderr } = await stele(['monitor', '--config', config, '--once', ...args]);
    return {
      code,
      stderr,
      alerts: stdout
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    };
  };
  // As long as one is the beginning of the other, there is nothing to see.
  expect(await look(two.url, '--from-start')).toMatchObject({ code: 0, alerts: [] });
  await submit(one, 'x');
  const split = await look(two.url);
  expect(split).toMatchObject({ code: 1, alerts: [{ kind: 'split-view', severity: 'critical', completeThrough: 2 }] });
  const checked = await stele(['verify', '--evidence', split.alerts[0].evidence, '--log-key', vkey]);
  expect(checked).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/a tree of size 3, and one of size 5 that does not/),
  });

  // The witness has size 5 without a tile; the log that is followed must come that far before it shows.
  await submit(one, 'y', 'z');
  const seen = await look(witness.url);
  expect(seen).toMatchObject({ code: 1, alerts: [{ kind: 'split-view', completeThrough: 2 }] });
  expect(seen.alerts[0].summary).toContain(witness.url);
});
