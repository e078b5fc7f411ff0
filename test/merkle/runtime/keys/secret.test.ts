import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readSecret } from '../../../../merkle/runtime/keys/secret.ts';
import { skips } from '../../../support/skip.ts';

const NAME = 'STELE_TEST_SECRET';
const WINDOWS = process.platform === 'win32' ? 'Windows' : undefined;

describe('secrets', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-secret-'));
  });
  afterAll(() => rm(dir, { recursive: true }));
  afterEach(() => {
    delete process.env[NAME];
  });

  const fromFile = async (content: string | Uint8Array): Promise<string> => {
    const file = join(dir, 'secret');
    await writeFile(file, content, { mode: 0o600 });
    return readSecret({ file });
  };

  it('cuts one newline and nothing else', async () => {
    expect(await fromFile('s3cret\n')).toBe('s3cret');
    expect(await fromFile('s3cret\r\n')).toBe('s3cret');
    expect(await fromFile('s3cret')).toBe('s3cret');
    expect(await fromFile(' s3cret \n\n')).toBe(' s3cret \n');
    expect(await fromFile('\ufeffgeheim-ß\n')).toBe('\ufeffgeheim-ß');
  });

  it('reads the environment', async () => {
    process.env[NAME] = 's3cret';
    expect(await readSecret({ env: NAME })).toBe('s3cret');
  });

  it('refuses what is no secret, naming the source and not the content', async () => {
    for (const content of ['', '\n', 'a\0b', new Uint8Array([0x73, 0xff]), 's'.repeat(4097)]) {
      const error = await fromFile(content).catch((caught) => caught);
      expect(error).toMatchObject({ code: 'secret', message: expect.stringContaining(join(dir, 'secret')) });
      expect(error.message).not.toContain('sss');
    }
    await expect(readSecret({ file: join(dir, 'none') })).rejects.toMatchObject({ code: 'secret' });
    await expect(readSecret({ file: dir })).rejects.toMatchObject({ code: 'secret' });
    await expect(readSecret({ env: NAME })).rejects.toMatchObject({ code: 'secret' });
    process.env[NAME] = '';
    await expect(readSecret({ env: NAME })).rejects.toMatchObject({ code: 'secret' });
    expect(await readSecret({ env: NAME }, { mayBeEmpty: true })).toBe('');
  });

  it.skipIf(skips('the mode of secret files', WINDOWS))(
    'refuses a file that is open to others, with the remedy',
    async () => {
      const file = join(dir, 'open');
      await writeFile(file, 's3cret');
      for (const [mode, octal] of [
        [0o644, '0644'],
        [0o604, '0604'],
        [0o602, '0602'],
        [0o660, '0660'],
        [0o620, '0620'],
      ] as const) {
        await chmod(file, mode);
        await expect(readSecret({ file })).rejects.toMatchObject({
          code: 'secret',
          message: `the secret file ${file} is open to others (mode ${octal}): run \`chmod 600 ${file}\``,
        });
      }
    },
  );

  it.skipIf(skips('the mode of secret files', WINDOWS))(
    'reads a file behind links, as Kubernetes mounts them',
    async () => {
      const mount = join(dir, 'mount');
      await mkdir(join(mount, '..2026_11_29'), { recursive: true });
      await writeFile(join(mount, '..2026_11_29', 'pin'), '4711\n', { mode: 0o600 });
      await symlink('..2026_11_29', join(mount, '..data'));
      await symlink(join('..data', 'pin'), join(mount, 'pin'));
      expect(await readSecret({ file: join(mount, 'pin') })).toBe('4711');
      // The mode of the file counts, and not that of the link.
      await chmod(join(mount, '..2026_11_29', 'pin'), 0o644);
      await expect(readSecret({ file: join(mount, 'pin') })).rejects.toMatchObject({ code: 'secret' });
    },
  );
});
