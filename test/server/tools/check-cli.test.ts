/** What `stele log check` says of what it could not look at: never that it is good, and never that it is damaged. */
import { chmod, cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { writeIdentity } from '../../../server/dir/identity.ts';
import { bodyOf, makeSigner, ORIGIN, openTestLog, tempDir } from '../../support/log.ts';
import { CLI, run } from '../../support/serve.ts';

/** A user without rights: tests often run as root, whom no mode stops. */
const NOBODY = 65534;

let made: { data: string; exported: string; vkey: string };

beforeAll(async () => {
  const { path, remove } = await tempDir();
  await chmod(path, 0o755);
  const data = join(path, 'data');
  await mkdir(data);
  const { verifierKeys } = await makeSigner(data);
  const [vkey = ''] = verifierKeys;
  await writeIdentity(data, { format: 1, origin: ORIGIN, verifierKeys: [...verifierKeys], copy: false });
  const log = await openTestLog(data);
  await Promise.all(Array.from({ length: 300 }, (_, i) => log.submit(bodyOf(`entry ${i}`), 'json')));
  const exported = join(path, 'export');
  await log.export(exported);
  await log.close();
  made = { data, exported, vkey };
  return remove;
});

/** A copy of the log or of its export that every user may read and write. */
async function copyOf(dir: string): Promise<string> {
  const { path, remove } = await tempDir();
  onTestFinished(remove);
  await chmod(path, 0o755);
  const to = join(path, 'copy');
  await cp(dir, to, { recursive: true });
  for (const name of ['.', ...(await readdir(to, { recursive: true }))]) await chmod(join(to, name), 0o777);
  return to;
}

async function check(dir: string, ...args: string[]) {
  const asNobody = process.getuid?.() === 0 ? { uid: NOBODY } : {};
  const { code, stdout, stderr } = await run(process.execPath, [CLI, 'log', 'check', dir, ...args], asNobody);
  return { code, stdout, stderr };
}

describe('without permission', () => {
  it.each<[string, 'data' | 'exported', string, number]>([
    ['the directory', 'data', '.', 0],
    ['to write there', 'data', '.', 0o555],
    ['the lock', 'data', 'lock', 0],
    ['the state', 'data', 'state', 0],
    ['a bundle', 'data', 'public/tile/entries/000', 0],
    ['the checkpoint', 'data', 'public/checkpoint', 0],
    ['an export', 'exported', '.', 0],
    ['a tile of an export', 'exported', 'tile/0/000', 0],
  ])('%s: exit 2', async (_, kind, name, mode) => {
    const dir = await copyOf(made[kind]);
    expect(await check(dir, '--log-key', made.vkey)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('OK: '),
    });
    await chmod(join(dir, name), mode);
    const { code, stdout, stderr } = await check(dir, '--log-key', made.vkey);
    await chmod(join(dir, name), 0o777);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/EACCES|ermission denied/);
    expect(stderr).not.toMatch(/\[corrupt\]/);
  });
});

describe('a key that is none', () => {
  it.each(['log.example.com+1a2b3c4d+AbCd', 'garbage'])('%s: exit 2', async (key) => {
    const { code, stdout, stderr } = await check(made.exported, '--log-key', key);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('[log-key]');
  });
});

describe('an export', () => {
  it('without a key is not OK', async () => {
    const { code, stdout } = await check(made.exported);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^NOT CHECKED WHOLE: .* adds up, but nothing shows that it is the log log\.test/);
    expect(stdout).not.toMatch(/\bOK\b/);
    expect(stdout).toContain('signed by  NOT CHECKED: give --log-key');
    const json = await check(made.exported, '--json');
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([
      2,
      { ok: false, kind: 'static', size: 300, signedBy: [] },
    ]);
  });

  it('with its key is OK', async () => {
    expect(await check(made.exported, '--log-key', made.vkey)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^OK: /),
    });
  });
});
