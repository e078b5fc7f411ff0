/** Shards of a log whose checkpoints a real witness cosigns: `stele witness`, built first. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { originHash } from '../../../merkle/witness.ts';
import { loadConfig } from '../../../server/config/load.ts';
import { freezeLog, openShard, prepareShard, type Server, serve, witnessesKnow } from '../../../server/main.ts';
import { tempDir } from '../../support/log.ts';
import { CREDENTIALS, startS3Server } from '../../support/s3-server.ts';
import { silent } from '../../support/silent.ts';
import { until } from '../../support/until.ts';
import { TestWitness } from '../../support/witness.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';
import { addAt, callAt } from './support.ts';

const SECOND = '127.0.0.1';
const order = { origin: SECOND, url: `http://${SECOND}:3000` };

let root: Awaited<ReturnType<typeof tempDir>>;
let server: Server | undefined;
let witness: WitnessProcess | undefined;
const at = (...parts: string[]) => join(root.path, ...parts);

beforeEach(async () => {
  root = await tempDir();
});
afterEach(async () => {
  await server?.close();
  await witness?.stop();
  server = undefined;
  witness = undefined;
  await root.remove();
});

function options(flags: Record<string, string> = {}) {
  const ports = { 'listen-port': '0', 'admin-port': '0', 'ingest-threads': '1', 'log-level': 'silent' };
  return {
    config: loadConfig({ flags: { data: at('data'), origin: 'localhost', ...ports, ...flags } }),
    logger: silent,
  };
}

describe('a shard with witnesses', () => {
  it('asks them before anything is frozen whether they know it, which stores nothing there', async () => {
    // The log begins without a policy, so that its key is known before the witness is.
    server = await serve(options());
    const [first = ''] = server.verifierKeys;
    await server.close();
    witness = await startWitness(at('witness'), 'w.test', [first]);
    await writeFile(at('policy'), `${witness.policyLine('w')}group enough all w\nquorum enough\n`);
    const flags = { policy: at('policy') };
    server = await serve(options(flags));
    const { url } = server;
    await until(async () => (await addAt(url, 'localhost', 'first')) === 201);
    const { verifierKeys } = await prepareShard(options(flags), order);
    expect(await witnessesKnow(options(flags), SECOND)).toEqual({
      witnesses: [{ witness: 'w', knows: false, text: expect.stringContaining('does not know this log') }],
      quorum: false,
    });
    const port = witness.port;
    await witness.stop();
    expect(await witnessesKnow(options(flags), SECOND)).toEqual({
      witnesses: [{ witness: 'w', text: 'refuses connections' }],
      quorum: false,
    });
    witness = await startWitness(at('witness'), 'w.test', [first, ...verifierKeys], port);
    const known = { witnesses: [{ witness: 'w', knows: true, text: 'knows this log' }], quorum: true };
    expect(await witnessesKnow(options(flags), SECOND)).toEqual(known);
    expect(await witnessesKnow(options(flags), SECOND)).toEqual(known);
    expect((await fetch(`${witness.url}/${originHash(SECOND)}/checkpoint`)).status).toBe(404);

    await freezeLog({ ...options(flags), shard: 'localhost' });
    await openShard(options(flags), SECOND);
    await expect(witnessesKnow(options(flags), SECOND)).rejects.toMatchObject({ code: 'config' });
    expect((await callAt(url, SECOND, '/checkpoint')).status).toBe(404);
    expect(await addAt(url, SECOND, 'second')).toBe(201);
    const note = (await callAt(url, SECOND, '/checkpoint')).body;
    expect(note).toMatch(/^127\.0\.0\.1\n1\n[\s\S]*\n— w\.test /);
    expect((await callAt(url, 'localhost', '/checkpoint.plain')).body).toMatch(/^localhost\n1\n[\s\S]*\n— w\.test /);

    await server.close();
    server = await serve(options(flags));
    const again = server;
    await until(async () => (await addAt(again.url, SECOND, 'third')) === 201);
    // The log that has ended waits for nobody.
    expect(await (await fetch(`${again.adminUrl}/readyz`)).json()).toEqual({ ready: true, reasons: [] });
    // A reload is about every shard that is open.
    const away = new TestWitness('x', parseVerifierKey(first));
    await writeFile(at('policy'), `${witness.policyLine('w')}${away.policyLine.replace(':0\n', ':1\n')}quorum x\n`);
    await again.reload();
    expect(await addAt(again.url, SECOND, 'fourth')).toBe(503);
    await writeFile(at('policy'), `${witness.policyLine('w')}group enough all w\nquorum enough\n`);
    await again.reload();
    await until(async () => (await addAt(again.url, SECOND, 'fifth')) === 201);
    await witness.stop();
    await until(async () => (await addAt(again.url, SECOND, 'late')) === 503);
    const { reasons } = (await (await fetch(`${again.adminUrl}/readyz`)).json()) as { reasons: string[] };
    expect(reasons.join()).toMatch(/^127\.0\.0\.1: the quorum of the witnesses cannot be reached/);
  });

  it('is not prepared for a policy that does not name it', async () => {
    server = await serve(options());
    const [first = ''] = server.verifierKeys;
    await server.close();
    witness = await startWitness(at('witness'), 'w.test', [first]);
    await writeFile(at('policy'), `log ${first}\n${witness.policyLine('w')}group enough all w\nquorum enough\n`);
    const flags = { policy: at('policy') };
    await expect(prepareShard(options(flags), order)).rejects.toMatchObject({ code: 'policy' });
    server = await serve(options(flags));
    await expect(prepareShard(options(flags), order)).rejects.toMatchObject({ code: 'config' });
  });
});

describe('a shard with a second place', () => {
  it('has a place of its own, and finds an old copy by it', async () => {
    await mkdir(at('place'));
    const flags = { 'second-place': at('place') };
    server = await serve(options(flags));
    expect(await addAt(server.url, 'localhost', 'first')).toBe(201);
    await prepareShard(options(flags), order);
    await freezeLog({ ...options(flags), shard: 'localhost' });
    expect((await readdir(at('place'))).filter((name) => name === 'shards')).toEqual([]);
    await openShard(options(flags), SECOND);
    expect(await addAt(server.url, SECOND, 'second')).toBe(201);
    expect(await readdir(at('place', 'shards', SECOND))).toContain('0000000000000001');
    await server.close();
    await writeFile(
      at('place', 'shards', SECOND, '0000000000000009'),
      `${SECOND}\n9\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`,
    );
    await expect(serve(options(flags))).rejects.toMatchObject({ code: 'rollback' });
  });
});

describe('a shard with a second place on S3', () => {
  it.each([
    ['of its own where the log has one', 'records', ['records/', `records-${SECOND}/`]],
    ['that is its origin where none is set', undefined, ['localhost/', `${SECOND}/`]],
  ])('has a prefix %s', async (_, prefix, expected) => {
    const s3 = await startS3Server();
    try {
      await writeFile(at('credentials'), `${CREDENTIALS.id}\n${CREDENTIALS.secret}\n`, { mode: 0o600 });
      const flags = {
        'second-place-s3-endpoint': s3.url,
        'second-place-s3-bucket': s3.bucket,
        'second-place-s3-credentials-file': at('credentials'),
        ...(prefix !== undefined && { 'second-place-s3-prefix': prefix }),
      };
      server = await serve(options(flags));
      await prepareShard(options(flags), order);
      await freezeLog({ ...options(flags), shard: 'localhost' });
      await openShard(options(flags), SECOND);
      expect(await addAt(server.url, SECOND, 'first')).toBe(201);
      const prefixes = [...s3.objects.keys()].map((name) => name.replace(/[0-9]{16}$/, ''));
      expect(new Set(prefixes)).toEqual(new Set(expected));
      await server.close();
      server = await serve(options(flags));
      expect(await addAt(server.url, SECOND, 'second')).toBe(201);
    } finally {
      await server?.close();
      server = undefined;
      await s3.close();
    }
  });
});

describe('the metrics of shards', () => {
  it('stand beside those of the first one, with a label, each under one description', async () => {
    server = await serve(options());
    const { adminUrl, url } = server;
    const metrics = async () => await (await fetch(`${adminUrl}/metrics`)).text();
    await addAt(url, 'localhost', 'first');
    await prepareShard(options(), order);
    expect(await metrics()).not.toContain('shard=');
    await freezeLog({ ...options(), shard: 'localhost' });
    await openShard(options(), SECOND);
    await addAt(url, SECOND, 'second');
    await addAt(url, SECOND, 'third');
    const text = await metrics();
    expect(text).toContain('\nstele_published_entries 1\nstele_published_entries{shard="127.0.0.1"} 2\n');
    expect(text).toMatch(
      /^stele_stage_duration_seconds_count\{stage="commit",shard="127\.0\.0\.1"\} \d+$|^stele_stage_duration_seconds_count\{shard="127\.0\.0\.1",stage="commit"\} \d+$/m,
    );
    const names = [...text.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);
    // A frozen log's checkpoint gets older for ever, which is no alarm.
    expect(text).not.toMatch(/^stele_checkpoint_age_seconds \d/m);
    expect(text).toMatch(/^stele_checkpoint_age_seconds\{shard="127\.0\.0\.1"\} \d/m);
    // One process, and one port.
    expect(
      text.match(
        /^(?:process_start_time_seconds|stele_connections|stele_disk_free_bytes|stele_pool_queue_requests).*shard/gm,
      ),
    ).toBeNull();
    // Samples stand under their own description.
    let current = '';
    for (const line of text.split('\n')) {
      const name = /^# HELP (\S+)/.exec(line)?.[1];
      if (name !== undefined) current = name;
      else if (line !== '' && !line.startsWith('#')) expect(line.startsWith(current), `${current}: ${line}`).toBe(true);
    }
  });
});
