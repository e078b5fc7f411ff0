/**
 * A new log with a policy whose witnesses are not there, as a process of its own: it must neither end nor wait, and publish
 * when they come.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519VerifierKey } from '../../../merkle/note.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { bodyOf, tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';
import { until } from '../../support/until.ts';
import { type Behaviour, policyOf, TestWitness } from '../../support/witness.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess | undefined;
let witness: TestWitness;
const at = (name: string) => join(dir.path, name);

beforeEach(async () => {
  dir = await tempDir();
  server = undefined;
  const { publicKey } = await createKeyFile(at('log.pem'), 'ed25519');
  witness = await new TestWitness('w', ed25519VerifierKey('localhost', publicKey.slice(-32))).start();
  await writeFile(at('policy'), policyOf([witness], 'all'));
});

afterEach(async () => {
  await server?.kill();
  await witness.stop();
  await dir.remove();
});

async function start(): Promise<ServeProcess> {
  const times = ['--publish-witness-timeout', '500ms', '--limits-publish-timeout', '500ms'];
  const args = ['--key-file', at('log.pem'), '--policy', at('policy'), '--ingest-threads', '1', ...times];
  server = await startServer(at('data'), { args });
  return server;
}

const get = async (path: string) => await fetch(`${server!.url}${path}`);
const submit = async (name: string) =>
  await fetch(`${server!.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf(name)) });
const readiness = async () =>
  (await (await fetch(`${server!.adminUrl}/readyz`)).json()) as { ready: boolean; reasons: string[] };

describe('a new log without its witness', () => {
  it.each<[string, Behaviour | 'down', RegExp, boolean]>([
    ['is down', 'down', /w refuses connections/, true],
    ['does not know the log', 'unknown-log', /w does not know this log: its operator must add the verifier key/, false],
    ['answers 502', 'error-502', /w answered 502/, true],
    ['knows another key of the log', 'unknown-key', /w does not know the keys that this log signs with/, false],
    ['hangs', 'hang-always', /w did not answer in 0.5 s/, true],
  ])('runs, serves, says what is missing, and publishes when it comes: %s', async (_, behaviour, why, atOnce) => {
    if (behaviour === 'down') await witness.stop();
    else witness.behaviour = behaviour;
    await start();
    const none = await get('/checkpoint');
    expect([none.status, none.headers.get('cache-control')]).toEqual([404, 'no-store']);
    expect(await none.json()).toMatchObject({ code: 5, message: expect.stringContaining('no checkpoint yet') });
    expect((await get('/api/v2/checkpoint')).status).toBe(404);
    expect((await get('/tile/0/000.p/1')).status).toBe(404);
    expect((await get('/stele/v1/entries/0')).status).toBe(404);
    expect(await (await get('/stele/v1/log')).json()).toMatchObject({ status: 'open', size: 0 });
    // Before the first entry, a request for its checkpoint is all that a witness gets.
    if (atOnce) expect((await readiness()).reasons.join()).toMatch(why);

    const taken = await submit('one');
    expect([taken.status, taken.headers.get('x-log-index')]).toEqual([503, '0']);
    const { ready, reasons } = await until(async () => {
      const now = await readiness();
      return why.test(now.reasons.join()) ? now : undefined;
    });
    expect({ ready, reasons: reasons.join() }).toEqual({ ready: false, reasons: expect.stringMatching(why) });
    expect((await get('/checkpoint')).status).toBe(404);
    expect((await get('/tile/0/000.p/1')).status).toBe(404);
    expect(server!.running()).toBe(true);

    if (behaviour === 'down') await witness.start();
    witness.behaviour = 'good';
    await until(async () => (await get('/checkpoint')).status === 200);
    const { logIndex } = await until(async () => {
      const again = await submit('one');
      return again.status === 201 && ((await again.json()) as { logIndex: string });
    });
    expect(logIndex).toBe('0');
    await until(async () => (await readiness()).ready);
    expect(await server!.stop()).toBe(0);
    expect(await steleJson(['log', 'check', at('data')])).toMatchObject({ size: 1, publishedSize: 1 });
  });

  it('keeps what it took over a kill, and a check of its directory holds', async () => {
    await witness.stop();
    await start();
    expect(await steleJson(['log', 'check', at('data')]).catch((error: Error) => error.message)).toContain('locked');
    // Who reads it is told that it is new, and alarms nobody.
    const read = await stele(['audit', server!.url]);
    expect([read.code, read.stderr]).toEqual([2, expect.stringContaining('is a new log without a checkpoint')]);
    const log = { url: server!.url, keys: [...server!.verifierKeys] };
    const settings = { state: at('monitor'), logs: [log], rules: [], sinks: [{ type: 'stdout' }], staleAfter: '1s' };
    await writeFile(at('monitor.yaml'), JSON.stringify(settings));
    const watched = await stele(['monitor', '--once', '--from-start', '--config', at('monitor.yaml')]);
    expect([watched.code, watched.stdout + watched.stderr]).toEqual([
      0,
      expect.stringContaining('is new, and has no checkpoint'),
    ]);
    expect((await submit('one')).status).toBe(503);
    await server!.kill();
    expect(await steleJson(['log', 'check', at('data')])).toMatchObject({ size: 1, publishedSize: 0 });
    await expect(steleJson(['log', 'export', at('out'), '--data', at('data')])).rejects.toThrow(/not published/);
    await expect(steleJson(['log', 'backup', at('out'), '--data', at('data')])).rejects.toThrow(/not published/);
    await witness.start();
    await start();
    const { json } = await until(async () => {
      const reply = await submit('one');
      return reply.status === 201 && { json: (await reply.json()) as object };
    });
    expect(json).toMatchObject({ logIndex: '0' });
    expect((await get('/checkpoint')).status).toBe(200);
  });
});
