import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readSecret } from '../../../../merkle/runtime/keys/secret.ts';

const NAME = 'STELE_TEST_SECRET';

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
    await writeFile(file, content);
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
});
