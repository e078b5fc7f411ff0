import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { type ReadLocation, readShards } from '../../../client/follow/shards.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { filesOf, MONITOR_SOURCE, NOW, SOURCE } from './signing-config.ts';

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

describe('a monitor configuration', () => {
  const log = new FakeLog();
  const reading = (url: string) => filesOf([log], [url]);
  const changed =
    (change: (config: { rekorLogs: object[]; ctLogs?: object[] }) => void): ReadLocation =>
    async (location, limit) => {
      const bytes = await reading('https://read.test')(location, limit);
      if (location !== 'monitor') return bytes;
      const config = JSON.parse(Buffer.from(bytes).toString());
      change(config);
      return Buffer.from(JSON.stringify(config));
    };

  it('says where a log is read, whose key the trusted root has by its origin', async () => {
    const location = 'https://read.test/api/v2';
    const found = { logs: [{ origin: 'log.test', keys: [log.key], location, shard: true }], unknown: [] };
    expect(await readShards(MONITOR_SOURCE, reading('https://read.test'), NOW)).toEqual(found);
    expect(await readShards(MONITOR_SOURCE, reading('https://read.test/api/v2/'), NOW)).toEqual(found);
  });

  it('gives no log under another origin than that of its key', async () => {
    const other = changed(({ rekorLogs }) => {
      rekorLogs[0] = { ...rekorLogs[0], logOrigin: 'other.test' };
    });
    const { logs, unknown } = await readShards(MONITOR_SOURCE, other, NOW);
    expect([logs, unknown]).toEqual([[], [expect.stringMatching(/the log at https:\/\/read.test is not followed/)]]);
  });

  it('names other kinds of logs too, which are left out', async () => {
    const more = changed((config) => {
      const [first] = config.rekorLogs;
      config.ctLogs = [first!];
      config.rekorLogs = [{ ...first, majorApiVersion: 1 }];
    });
    expect(await readShards(MONITOR_SOURCE, more, NOW)).toEqual({ logs: [], unknown: [] });
  });

  it('has the last checkpoint of a frozen log beside it, which the log must have signed', async () => {
    const source = { ...MONITOR_SOURCE, lastCheckpoints: 'pins' };
    const asked: string[] = [];
    const pins =
      (answer: () => string): ReadLocation =>
      async (location, limit) => {
        if (!location.startsWith('pins/')) return await reading('https://read.test')(location, limit);
        asked.push(location);
        return Buffer.from(answer());
      };
    const { logs } = await readShards(
      source,
      pins(() => log.sign(log.text())),
      NOW,
    );
    expect(logs).toMatchObject([{ origin: 'log.test', last: { size: 600 } }]);
    expect(asked).toEqual(['pins/log.test.last-checkpoint']);
    const stranger = new FakeLog(log.view, 'log.test');
    await expect(
      readShards(
        source,
        pins(() => stranger.sign(log.text())),
        NOW,
      ),
    ).rejects.toMatchObject({
      code: 'bad-checkpoint',
    });
    const fails = (code: 'missing' | 'network') =>
      pins(() => {
        throw new ClientError(code, 'no such file');
      });
    const open = await readShards(source, fails('missing'), NOW);
    expect(open.logs).toHaveLength(1);
    expect(open.logs[0]!.last).toBeUndefined();
    // Nobody may open a frozen log by hiding the file.
    await expect(readShards(source, fails('network'), NOW)).rejects.toMatchObject({ code: 'network' });
  });

  it('that is wrong is refused', async () => {
    const wrong = changed((config) => Object.assign(config, { more: 1 }));
    await expect(readShards(MONITOR_SOURCE, wrong, NOW)).rejects.toMatchObject({ code: 'monitor-config' });
  });
});
