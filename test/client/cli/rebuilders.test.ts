/**
 * Three rebuilders as processes beside a log, an output log and an index, two of which a client asks for: what one, two and a lie
 * among them change.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { IndexProcess } from '../../support/index-process.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { type RebuilderProcess, startRebuilder } from '../../support/rebuilder-process.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';
import { until } from '../../support/until.ts';

const NAMES = ['rebuilder-1', 'rebuilder-2', 'rebuilder-3'] as const;

it('an index is proven while two of three rebuilders are there and agree', { timeout: 240_000 }, async () => {
  const dir = tempDir();
  const at = (...names: string[]) => join(dir, ...names);
  const served = async (name: string, ...args: string[]) => {
    const log = await startServer(at(name), { args: ['--origin', `${name}.test`, ...args] });
    later(() => log.kill());
    return log;
  };
  const log = await served('input');
  const output = await served('output', '--entries', 'raw');
  const source = (name: string, { url, verifierKeys }: ServeProcess) => [
    ...[`--${name}-url`, url],
    ...[`--${name}-keys`, verifierKeys.join(',')],
  ];
  const start = async (name: string, port = '0') => {
    const reading = ['--rebuild-poll', '200ms', '--rebuild-threads', '0', '--rebuild-wait', '2s'];
    const args = [...source('input', log), ...source('output', output), ...reading, '--listen-port', port];
    const rebuilder = await startRebuilder(at(name), `${name}.test/r`, args);
    later(() => rebuilder.kill());
    return rebuilder;
  };
  const rebuilders = (await Promise.all(NAMES.map((name) => start(name)))) as [
    RebuilderProcess,
    RebuilderProcess,
    RebuilderProcess,
  ];
  const [first, second, third] = rebuilders;
  const lines = rebuilders.map(({ verifierKeys, url }, i) => `witness ${NAMES[i]} ${verifierKeys[0]} ${url}\n`);
  writeFileSync(at('rebuilders'), `${lines.join('')}group two 2 ${NAMES.join(' ')}\nquorum two\n`);
  const config = {
    data: 'index',
    listen: { port: 0 },
    admin: { port: 0 },
    poll: '200ms',
    threads: 0,
    logs: [{ url: log.url, keys: log.verifierKeys }],
    maps: [
      {
        outputLog: { url: output.url, keys: output.verifierKeys },
        rebuilders: 'rebuilders',
        wait: '3s',
        interval: '0ms',
      },
    ],
  };
  writeFileSync(at('index.yaml'), JSON.stringify(config));
  const index = await IndexProcess.start(dir);
  later(() => index.end('SIGKILL'));

  const sign = async (name: string) => {
    writeFileSync(at(name), name);
    await steleJson(['sign', at(name), '--log', log.url, '--log-key', log.verifierKeys[0]!]);
  };
  const search = async (name: string) => {
    const trust = ['--log-key', log.verifierKeys[0]!, '--output-key', output.verifierKeys[0]!];
    const places = ['--log-url', log.url, '--output-log', output.url, '--memory', at('memory')];
    const asked = ['--index', index.url, '--digest', at(name), '--rebuilders', at('rebuilders'), '--proven', '--json'];
    const { code, stdout, stderr } = await stele(['search', ...asked, ...trust, ...places]);
    const { logs = [], errors } = JSON.parse(stdout === '' ? '{}' : stdout);
    return { code, complete: logs[0]?.complete, errors, stderr };
  };
  const provenBy = async (name: string, size: number, rebuilt: number) =>
    await until(async () => {
      const { code, complete } = await search(name);
      return code === 0 && complete.through === size && complete.rebuilders.length >= rebuilt && (complete as Complete);
    });
  interface Complete {
    readonly proven: boolean;
    readonly indexes: readonly number[];
    readonly rebuilders: readonly { readonly name: string }[];
  }

  await sign('one');
  const all = await provenBy('one', 1, 3);
  expect(all).toMatchObject({ proven: true, indexes: [0] });
  expect(all.rebuilders.map(({ name }) => name).sort()).toEqual([...NAMES]);

  // One is killed: the other two are the quorum.
  await third.kill();
  await sign('two');
  const two = await provenBy('two', 2, 2);
  expect(two).toMatchObject({ proven: true, indexes: [1] });
  expect(two.rebuilders.map(({ name }) => name).sort()).toEqual(['rebuilder-1', 'rebuilder-2']);

  // A second one is killed: the index goes on, says who is missing, and nothing new counts as proven.
  await second.kill();
  await sign('three');
  const described = async () => {
    const { parts } = (await (await fetch(`${index.url}/stele/v1/index`)).json()) as {
      parts: { map: { size: number; late: boolean; rebuilders: { name: string; late: boolean }[] }[] };
    };
    return parts.map[0]!;
  };
  const late = await until(async () => {
    const map = await described();
    return map.size === 3 && map.late && map;
  });
  expect(late.rebuilders.filter((one) => one.late).map(({ name }) => name)).toEqual(['rebuilder-2', 'rebuilder-3']);
  const missing = await search('three');
  expect(missing.code).toBe(1);
  expect(missing.stderr + JSON.stringify(missing.errors)).toContain('too few of the 3 rebuilders');

  // One comes back, and rebuilds what it missed.
  const back = await start(NAMES[1], new URL(second.url).port);
  expect(await provenBy('three', 3, 2)).toMatchObject({ proven: true, indexes: [2] });

  // The operator writes a leaf that no map has: every rebuilder halts for good, and so does its own index.
  const shown = await (await fetch(`${output.url}/tile/entries/000.p/3`)).arrayBuffer();
  const leaves = Buffer.from(shown);
  const length = leaves.readUInt16BE(0);
  const lie = leaves
    .subarray(2, 2 + length)
    .toString('utf8')
    .split('\n');
  lie[1] = Buffer.alloc(32, 7).toString('base64');
  const added = await fetch(`${output.url}/add`, { method: 'POST', body: lie.join('\n') });
  expect(added.status).toBe(200);
  for (const one of [first, back]) {
    const { reasons } = await until(async () => {
      const state = await one.ready();
      return !state.ready && state;
    });
    expect(reasons[0]).toContain('leaf 3 of "output.test" is wrong');
  }
  for (const name of [NAMES[0], NAMES[1]]) expect(readdirSync(at(name, 'rebuild', 'evidence'))).toHaveLength(1);
  await sign('four');
  const after = await search('four');
  expect(after.complete?.indexes ?? []).toEqual([]);
  const state = (await (await fetch(`${index.adminUrl}/readyz`)).json()) as { reasons: string[] };
  expect(state.reasons.join()).toContain('the map of input.test goes no further');
  expect((await described()).size).toBe(3);
});
