/** `stele monitor` with the logs of a followed repository, built (`npm run build` first), with real logs and a real mirror. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { trustFiles } from '../../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../../merkle/note.ts';
import { tempDir } from '../../../support/log.ts';
import { CLI, type ServeProcess, startServer, stele } from '../../../support/serve.ts';
import { TufMaker } from '../../../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../../../support/tuf-mirror.ts';
import { until } from '../../../support/until.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let logs: [ServeProcess, ServeProcess];
let mirror: TufMirror;
const maker = new TufMaker();
const at = (name: string) => join(dir.path, name);
const env = () => ({ STELE_TRUST: at('trust') });

/** Publishes the trust files of the first logs as shards of one log. */
function publish(count: 1 | 2): void {
  const shards = logs.slice(0, count).map((log) => ({
    ...{ origin: log.origin, url: log.url, rekor: true, policy: undefined, start: 0 },
    keys: [parseVerifierKey(log.verifierKeys[0]!)] as const,
  }));
  for (const { name, text } of trustFiles(shards as unknown as Parameters<typeof trustFiles>[0]))
    maker.target(name, text);
  maker.publish();
}

beforeAll(async () => {
  dir = await tempDir();
  logs = [await startServer(at('log-a')), await startServer(at('log-b'), { args: ['--origin', '127.0.0.1'] })];
  publish(1);
  mirror = await startMirror(maker.files);
  writeFileSync(at('root.json'), maker.root());
  const config =
    'state: ./state\nrules: []\nsinks: [{ type: stdout }]\npoll: 100ms\nthreads: 0\nmetrics: { port: 0 }\n';
  writeFileSync(at('monitor.yaml'), config);
  await stele(['trust', 'use', mirror.url, '--root', at('root.json')], { env: env() });
});

afterAll(async () => {
  await mirror.close();
  await Promise.all(logs.map((log) => log.stop()));
  await dir.remove();
});

it('follows the logs of the repository where its configuration names none', async () => {
  const look = ['monitor', '--once', '--from-start', '--json'];
  const { code, stdout } = await stele(look, { cwd: dir.path, env: env() });
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({ ok: true, logs: [{ log: logs[0].origin }] });
  expect(code).toBe(0);
  const none = await stele(look, { cwd: dir.path, env: { STELE_TRUST: at('nothing') } });
  expect(none.stderr).toContain('stele trust use');
  expect(none.code).toBe(2);
});

it('takes up a shard that the repository names later, and says which news are refused, while it runs', async () => {
  const child = spawn(process.execPath, [CLI, 'monitor', '--json'], {
    cwd: dir.path,
    env: { ...process.env, ...env() },
  });
  const ended = once(child, 'close');
  let [out, err] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const says = async (text: string) => {
    while (!out.includes(text)) {
      const [more] = await Promise.race([once(child.stdout, 'data'), ended.then(() => [undefined])]);
      if (more === undefined) throw new Error(`the monitor ended:\n${out}\n${err}`);
      out += more;
    }
  };
  try {
    await says(`"log":"${logs[0].origin}","type":"shard"`);
    publish(2);
    await says(`"log":"${logs[1].origin}","type":"shard"`);

    // News that are refused, and then good ones again.
    const { url } = /"metrics":"(?<url>[^"]+)"/.exec(out)!.groups!;
    const alarms = async () => ((await (await fetch(`${url}/readyz`)).json()) as { alarms?: string[] }).alarms;
    expect(await alarms()).toBeUndefined();
    const good = maker.files.get('timestamp.json')!;
    maker.files.set('timestamp.json', Buffer.from('{}'));
    await until(async () => /news of the followed repository are refused/.test((await alarms())?.join() ?? ''));
    maker.files.set('timestamp.json', good);
    await until(async () => (await alarms()) === undefined);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
  expect(err).toContain('was read again, and is in use');
  expect(err.match(/are refused/g)).toHaveLength(1);
});
