/** One list of the witness network, as witnessctl and a witness of our own read it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLogList } from '../../witness/log-list.ts';
import { tempDir } from '../support/log.ts';
import { lacking, skips } from '../support/skip.ts';
import { TestLog } from '../witness/helpers.ts';
import { ok, refused } from './tools.ts';

const none = skips('lists of logs and witnessctl', lacking('witnessctl'));

describe.skipIf(none)('a list of logs and witnessctl', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let count = 0;
  beforeAll(async () => {
    dir = await tempDir();
  });
  afterAll(() => dir?.remove());

  /** Origins and keys that witnessctl takes out of a list. */
  async function pulled(list: string): Promise<[string, string][]> {
    const [file, db] = [join(dir.path, `list-${++count}`), join(dir.path, `db-${count}`)];
    await writeFile(file, list);
    await ok('witnessctl', ['pull-logs', '-db', db, '-source', file]);
    const lines = (await ok('witnessctl', ['list-logs', '-db', db])).trim().split('\n');
    return lines
      .map((line) => JSON.parse(line) as { origin: string; keys: string[] })
      .map(({ origin, keys }) => [origin, keys.join(' ')]);
  }

  const [one, two] = [new TestLog('one.test'), new TestLog('two.test/log')];
  const sum = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
  const LIST = `#\n# List: test\n#\n  logs/v0\r\n\nvkey ${one.vkey} \nqpd 86400\ncontact a@one.test\n\n\t# two\nvkey ${sum}\norigin go.sum database tree\nqpd 24\ncontact x | https://go.dev/#y\nvkey ${two.vkey}\nqpd 1\ncontact b`;

  it('gives the same origins and keys', async () => {
    const own = parseLogList(Buffer.from(LIST)).map(({ origin, vkey }) => [origin, vkey]);
    expect((await pulled(LIST)).sort()).toEqual(own.sort());
    expect(own).toHaveLength(3);
  });

  it.each([
    ['no header', `vkey ${one.vkey}\nqpd 1\ncontact x\n`],
    ['another version', `logs/v1\nvkey ${one.vkey}\nqpd 1\ncontact x\n`],
    ['an entry that does not begin with its key', `logs/v0\nqpd 1\nvkey ${one.vkey}\ncontact x\n`],
  ])('is refused by both for %s', async (_, list) => {
    const file = join(dir.path, `list-${++count}`);
    await writeFile(file, list);
    await refused('witnessctl', ['pull-logs', '-db', join(dir.path, `db-${count}`), '-source', file]);
    expect(() => parseLogList(Buffer.from(list))).toThrow(expect.objectContaining({ code: 'list' }));
  });
});
