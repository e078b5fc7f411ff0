/** `stele serve --at-least`: an old copy of a data directory does not start, with or without witnesses. */
import { cp, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bodyOf, tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess | undefined;
const at = (name: string) => join(dir.path, name);
const KEY = ['--ingest-threads', '1'];

beforeEach(async () => {
  dir = await tempDir();
  server = undefined;
  await steleJson(['keygen', '--out', at('log.pem'), '--origin', 'localhost']);
});
afterEach(async () => {
  await server?.kill();
  await dir.remove();
});

async function start(data: string, args: readonly string[] = []): Promise<ServeProcess> {
  server = await startServer(at(data), { args: ['--key-file', at('log.pem'), ...KEY, ...args] });
  return server;
}

/** Logs an entry and stores the checkpoint that covers it. */
async function log(name: string): Promise<void> {
  const reply = await fetch(`${server!.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf(name)) });
  expect(reply.status).toBe(201);
  await writeFile(at(`checkpoint-${name}`), await (await fetch(`${server!.url}/checkpoint`)).text());
}

async function refused(data: string, checkpoint: string) {
  const ports = ['--listen-port', '0', '--admin-port', '0'];
  const args = [
    '--data',
    at(data),
    '--key-file',
    at('log.pem'),
    '--origin',
    'localhost',
    ...ports,
    '--at-least',
    at(checkpoint),
  ];
  const { code, stderr } = await stele(['serve', ...args]);
  return [code, stderr];
}

describe('a start with --at-least', () => {
  it('goes on from the same tree or a larger one, and refuses a smaller one', async () => {
    await start('data');
    await log('one');
    await server!.stop();
    await cp(at('data'), at('old'), { recursive: true });
    await start('data', ['--at-least', at('checkpoint-one')]);
    await log('two');
    await server!.stop();
    await start('data', ['--at-least', at('checkpoint-one')]);
    expect(server!.size).toBe(2);
    await server!.stop();

    const before = await readFile(at('old/public/checkpoint'), 'utf8');
    expect(await refused('old', 'checkpoint-two')).toEqual([
      1,
      expect.stringMatching(
        /\[rollback\]: the data directory has 1 entries, and .*checkpoint-two shows that the log had 2/,
      ),
    ]);
    expect(await readFile(at('old/public/checkpoint'), 'utf8')).toBe(before);
  });

  it('refuses another tree of that size, one from before the freeze, and what is no checkpoint of the log', async () => {
    await start('data');
    await log('one');
    await server!.stop();
    await start('twin');
    await log('other');
    await server!.stop();
    const other = [1, expect.stringMatching(/\[rollback\]: .* their trees differ at size 1/)];
    expect(await refused('data', 'checkpoint-other')).toEqual(other);

    await cp(at('data'), at('old'), { recursive: true });
    const key = ['--key-file', at('log.pem'), '--origin', 'localhost'];
    const { checkpoint } = await steleJson(['log', 'freeze', '--yes', '--data', at('data'), ...key]);
    await writeFile(at('frozen'), checkpoint as string);
    expect(await refused('old', 'frozen')).toEqual([1, expect.stringContaining('was frozen for ever')]);

    await writeFile(at('unsigned'), (await readFile(at('checkpoint-one'), 'utf8')).replace('\n1\n', '\n0\n'));
    for (const [file, why] of [
      ['none', 'is not there'],
      ['log.pem', 'is not a checkpoint that this log signed'],
      ['unsigned', 'is not a checkpoint that this log signed'],
    ] as const) {
      expect(await refused('old', file)).toEqual([2, expect.stringContaining(why)]);
    }
  });

  it('makes no new log in the place of one that is missing', async () => {
    await start('data');
    await log('one');
    await server!.stop();
    expect(await refused('elsewhere', 'checkpoint-one')).toEqual([1, expect.stringMatching(/holds no log/)]);
    await expect(stat(at('elsewhere/stele.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a start without a policy', () => {
  it('warns in one line that nothing tells an old copy, unless a checkpoint does', async () => {
    await start('data');
    await log('one');
    await server!.stop();
    const warnings = () =>
      server!
        .log()
        .split('\n')
        .filter((line) => line.includes('old copy'));
    await start('data');
    expect(warnings()).toEqual([expect.stringContaining('name witnesses in `policy`')]);
    await server!.stop();
    await start('data', ['--at-least', at('checkpoint-one')]);
    expect(warnings()).toEqual([]);
  });
});
