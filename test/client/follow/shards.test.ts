import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { type ReadLocation, readShards } from '../../../client/follow/shards.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { filesOf, NOW, SOURCE } from './signing-config.ts';

describe('a signing configuration', () => {
  it('names logs, whose keys are in the trusted root', async () => {
    const log = new FakeLog();
    const { logs, unknown } = await readShards(SOURCE, filesOf([log]), NOW);
    expect(unknown).toEqual([]);
    expect(logs).toEqual([{ origin: 'log.test', keys: [log.key], location: 'https://log.test/api/v2', shard: true }]);
  });

  it('says which of them it has no key for', async () => {
    const { logs, unknown } = await readShards(SOURCE, filesOf([new FakeLog()], ['https://new.test']), NOW);
    expect(logs).toEqual([]);
    expect(unknown).toEqual([expect.stringMatching(/the log at https:\/\/new.test is not followed/)]);
  });

  it('leaves out what has not begun, and other versions of the API', async () => {
    const read = filesOf([new FakeLog()]);
    expect((await readShards(SOURCE, read, Date.parse('2025-01-01'))).logs).toEqual([]);
    const v1: ReadLocation = async (location, limit) =>
      Buffer.from(
        Buffer.from(await read(location, limit))
          .toString()
          .replace('"majorApiVersion":2', '"majorApiVersion":1'),
      );
    expect((await readShards(SOURCE, v1, NOW)).logs).toEqual([]);
  });

  it.each(['', '[]', '{"rekorTlogUrls":{}}', '{"rekorTlogUrls":[7]}', '{"rekorTlogUrls":[{"majorApiVersion":2}]}'])(
    'that is wrong is refused: %s',
    async (text) => {
      const read = filesOf([new FakeLog()]);
      const wrong: ReadLocation = async (location, limit) =>
        location === 'config' ? Buffer.from(text) : await read(location, limit);
      await expect(readShards(SOURCE, wrong, NOW)).rejects.toBeInstanceOf(ClientError);
    },
  );
});
