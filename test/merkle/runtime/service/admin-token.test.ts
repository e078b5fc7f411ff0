import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openAdminToken, readAdminToken } from '../../../../merkle/runtime/service/admin-token.ts';

async function tokenFile(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'stele-token-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  return join(dir, 'admin.token');
}

it('is made once, for its owner alone', async () => {
  const path = await tokenFile();
  expect(await readAdminToken(path)).toBe('');
  const token = await openAdminToken(path);
  expect(token).toMatch(/^[\w-]{43}$/);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await openAdminToken(path)).toBe(token);
  expect(await readAdminToken(path)).toBe(token);
});

it('is not taken from a file that others can read, by the service or its commands', async () => {
  const path = await tokenFile();
  const token = await openAdminToken(path);
  await chmod(path, 0o644);
  for (const open of [openAdminToken, readAdminToken]) {
    const error = await open(path).catch((caught: unknown) => caught as Error);
    expect(error).toMatchObject({ code: 'secret', message: expect.stringContaining(`chmod 600 ${path}`) });
    expect((error as Error).message).not.toContain(token);
  }
  expect(await readFile(path, 'utf8')).toBe(`${token}\n`);
});
