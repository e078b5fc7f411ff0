/** What every kind of second place MUST keep: what is signed is recorded there first, and an old copy finds that it is old. */
import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bodyOf, tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { until } from '../support/until.ts';

export interface PlaceOfTest {
  /** Settings of the log. */
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Of the records, in ascending order. */
  names(): Promise<string[]>;
  read(name: string): Promise<string>;
  /** Replaces a record, as no log does. */
  write(name: string, text: string): Promise<void>;
  takeAway(): Promise<void>;
  giveBack(): Promise<void>;
}

/** @param make called once for each test, with a name that no other test has */
export function secondPlaceContract(
  what: string,
  make: (name: string) => Promise<PlaceOfTest>,
  around: { readonly before?: () => Promise<void>; readonly after?: () => Promise<void> } = {},
): void {
  describe(what, () => {
    let dir: Awaited<ReturnType<typeof tempDir>>;
    let place: PlaceOfTest;
    let server: ServeProcess | undefined;
    let tests = 0;
    const at = (name: string) => join(dir.path, name);

    beforeAll(async () => around.before?.());
    afterAll(async () => around.after?.());
    beforeEach(async () => {
      dir = await tempDir();
      server = undefined;
      await steleJson(['keygen', '--out', at('log.pem'), '--origin', 'localhost']);
      place = await make(`place-${tests++}`);
    });
    afterEach(async () => {
      await server?.kill();
      await dir.remove();
    });

    const options = () => {
      const key = ['--key-file', at('log.pem'), '--origin', 'localhost', '--ingest-threads', '1'];
      return [...key, ...place.args, '--limits-publish-timeout', '1s'];
    };
    const env = () => ({ env: { ...place.env } });
    const start = async (data: string) => {
      server = await startServer(at(data), { args: options(), ...env() });
    };
    const log = async (name: string) =>
      (await fetch(`${server!.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf(name)) })).status;
    const refused = async (data: string) => {
      const serve = ['serve', '--data', at(data), ...options(), '--listen-port', '0', '--admin-port', '0'];
      const { code, stderr } = await stele(serve, env());
      return [code, stderr];
    };
    const ready = async () => (await (await fetch(`${server!.adminUrl}/readyz`)).json()) as { reasons: string[] };
    const other = (record: string) =>
      record.replace(/\n[^\n]{43}=\n$/, `\n${Buffer.alloc(32, 7).toString('base64')}\n`);

    it('records each tree before it is signed, and refuses an old copy, a new directory and another tree', async () => {
      await start('data');
      expect(await log('one')).toBe(201);
      await server!.stop();
      await cp(at('data'), at('old'), { recursive: true });
      await start('data');
      for (const name of ['two', 'three']) expect(await log(name)).toBe(201);
      const checkpoint = await (await fetch(`${server!.url}/checkpoint`)).text();
      expect(server!.log()).not.toContain('old copy');
      await server!.stop();
      const names = await place.names();
      expect(names).toEqual(['0000000000000002', '0000000000000003']);
      expect(checkpoint.startsWith(await place.read(names[1]!))).toBe(true);

      expect(await refused('old')).toEqual([
        1,
        expect.stringMatching(/\[rollback\].* signed a tree of 3 entries, and .* has 1/),
      ]);
      expect(await refused('fresh')).toEqual([1, expect.stringMatching(/signed a tree of 3 entries, and .* has 0/)]);
      const record = await place.read(names[1]!);
      await place.write(names[1]!, other(record));
      expect(await refused('data')).toEqual([1, expect.stringContaining('another tree of 3 entries')]);
      await place.write(names[1]!, record);
      await start('data');
      expect(await log('four')).toBe(201);
    });

    it('takes a record that is there already if it is of the same tree, and stops the log if it is of another', async () => {
      await start('data');
      expect(await log('one')).toBe(201);
      const [name] = (await place.names()).slice(-1);
      const record = await place.read(name!);
      const next = name!.replace(/1$/, '2');
      await place.write(next, other(record.replace(/\n1\n/, '\n2\n')));
      await log('two').catch(() => 0);
      await until(() => !server!.running());
      expect(server!.log()).toMatch(/shows another tree of 2 entries than this log has/);
      // The tree of two entries is committed, and its record is what it was.
      expect(await refused('data')).toEqual([1, expect.stringContaining('another tree of 2 entries')]);
      expect(await place.read(next)).toContain('\n2\n');
    });

    it('signs nothing while the place cannot be reached, says so, and goes on when it can', async () => {
      await start('data');
      expect(await log('one')).toBe(201);
      const shown = await (await fetch(`${server!.url}/checkpoint`)).text();
      await place.takeAway();
      expect(await log('two')).toBe(503);
      expect((await ready()).reasons.join()).toContain('the second place cannot be used, so nothing is signed: ');
      expect(await (await fetch(`${server!.url}/checkpoint`)).text()).toBe(shown);
      expect(await (await fetch(`${server!.adminUrl}/metrics`)).text()).toMatch(
        /stele_second_place_failures_total [1-9]/,
      );
      await place.giveBack();
      await until(async () => (await log('two')) === 201);
      await until(async () => (await ready()).reasons.length === 0);
    });

    it('makes no new log while the place cannot be reached, and is ready again when it can', async () => {
      await place.takeAway();
      expect((await refused('data'))[0]).toBe(2);
      expect(existsSync(at('data'))).toBe(false);
      await place.giveBack();
      await start('data');
      expect(await log('one')).toBe(201);
      await place.takeAway();
      // Committed, and not signed before the place is back.
      expect(await log('two')).toBe(503);
      await server!.kill();
      await start('data');
      const shown = async () => (await (await fetch(`${server!.url}/checkpoint`)).text()).split('\n')[1];
      expect(await shown()).toBe('1');
      expect((await ready()).reasons).toHaveLength(1);
      await place.giveBack();
      await until(async () => (await shown()) === '2');
      await server!.stop();
      await place.takeAway();
      // With nothing to sign.
      await start('data');
      expect((await ready()).reasons).toHaveLength(1);
      await place.giveBack();
      await until(async () => (await ready()).reasons.length === 0);
    });

    it('starts while the place cannot be reached, signs nothing, and finds that it is an old copy once it can', async () => {
      await start('data');
      expect(await log('one')).toBe(201);
      await server!.stop();
      await cp(at('data'), at('old'), { recursive: true });
      await start('data');
      expect(await log('two')).toBe(201);
      await server!.stop();
      await place.takeAway();
      await start('old');
      const shown = await (await fetch(`${server!.url}/checkpoint`)).text();
      expect(shown).toContain('\n1\n');
      expect(await log('three')).toBe(503);
      expect((await ready()).reasons.join()).toContain('the second place cannot be used, so nothing is signed: ');
      expect(await (await fetch(`${server!.url}/checkpoint`)).text()).toBe(shown);
      await place.giveBack();
      await until(() => !server!.running());
      expect(server!.log()).toMatch(/ signed a tree of 2 entries, and .* the data directory is an old copy/);
    });
  });
}
