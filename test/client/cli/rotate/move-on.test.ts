/** Signers that follow a repository, through a rotation, on real processes. Built first (`npm test` does). */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { later, tempDir } from '../../../support/log-files.ts';
import { type Ran, stele, steleJson } from '../../../support/serve.ts';
import { makeRepository, type Repository, type TwoNames, twoNames } from './rotating.ts';

let dir: string;
let log: TwoNames;
let repository: Repository;
const at = (...names: string[]) => join(dir, ...names);

beforeEach(async () => {
  dir = await tempDir();
  repository = await makeRepository(dir);
  log = await twoNames(at('data'), ['--trust-directory', repository.dir]);
  const server = await log.start();
  later(() => server.kill());
  await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('key.pem')]);
  writeFileSync(at('predicate.json'), '{}');
  // A log's operator publishes the trust files first.
  await steleJson(['trust', 'files', at('files'), ...log.settings]);
  await steleJson(['trust', 'stage', repository.dir, at('files')]);
  const keys = (flag: string) => repository.options.filter((_, i, all) => all[i - 1] === flag);
  for (const key of keys('--targets-key')) {
    await steleJson(['trust', 'sign', repository.dir, '--role', 'targets', '--key', key, '--yes']);
  }
  await steleJson(['trust', 'publish', repository.dir, '--key', ...keys('--online-key')]);
  const root = join(repository.dir, 'public', '1.root.json');
  await steleJson(['trust', 'use', `${log.first}/trust`, '--root', root], { env });
});

const env = {
  get STELE_TRUST() {
    return at('followed');
  },
};
const run = (...args: string[]): Promise<Ran> => stele(args, { env });

async function signed(name: string): Promise<Ran> {
  writeFileSync(at(name), name);
  return await run('sign', at(name), '--key', at('key.pem'), '--json');
}
const originOf = ({ stdout }: Ran) => JSON.parse(stdout).log.origin as string;
const verified = (name: string) => run('verify', at(name), '--key', at('key.pub.pem'));
const rotated = (...more: string[]) =>
  run('log', 'rotate', log.next, ...log.settings, ...repository.options, '--yes', '--json', ...more);

/** A mirror of the repository; it answers the next `failing` requests with 503. */
async function publicFiles() {
  const mirror = { url: '', failing: 0 };
  const server = createServer((request, reply) => {
    const path = join(repository.dir, 'public', decodeURIComponent(request.url!));
    if (mirror.failing > 0) {
      mirror.failing--;
      reply.writeHead(503).end();
    } else if (existsSync(path)) reply.end(readFileSync(path));
    else reply.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  });
  mirror.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return mirror;
}

describe('a signer that follows the repository', () => {
  it('signs, attests, submits and flushes at the next shard, and old and new proofs hold', async () => {
    const first = await signed('old');
    expect(first, first.stderr).toMatchObject({ code: 0 });
    expect(originOf(first)).toBe('localhost');
    writeFileSync(at('queued'), 'queued');
    const queue = ['--queue', at('queue')];
    expect(await run('sign', at('queued'), '--key', at('key.pem'), ...queue)).toMatchObject({ code: 0 });
    writeFileSync(at('unlogged'), 'unlogged');
    expect(await run('sign', at('unlogged'), '--key', at('key.pem'), '--no-log')).toMatchObject({ code: 0 });

    expect(await rotated()).toMatchObject({ code: 0 });

    expect(originOf(await signed('new'))).toBe('127.0.0.1');
    writeFileSync(at('attested'), 'attested');
    const attest = ['attest', at('attested'), '--predicate', at('predicate.json'), '--type', 'custom'];
    expect(originOf(await run(...attest, '--key', at('key.pem'), '--json'))).toBe('127.0.0.1');
    const submit = await run('submit', at('unlogged.sigstore.json'), '--key', at('key.pub.pem'));
    expect(submit, submit.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining(log.next) });
    const flush = await run('submit', '--flush', ...queue);
    expect(flush, flush.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining(log.next) });
    expect(flush.stderr).toMatch(/is frozen, and what waits for it goes to http:\/\/127\.0\.0\.1/);
    // An audit of all that is followed covers both shards, and the old one to its last checkpoint.
    const audited = await run('audit', '--json');
    expect(audited, audited.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(audited.stdout).logs).toMatchObject([
      { ok: true, tree: { origin: 'localhost', size: 1 } },
      { ok: true, tree: { origin: '127.0.0.1', size: 4 } },
    ]);
    for (const name of ['old', 'new', 'queued', 'unlogged']) {
      const found = await verified(name);
      expect(found, `${name} ${found.stderr}`).toMatchObject({ code: 0 });
    }
  });

  it('waits where the log is frozen and nothing is published yet, and never follows the frozen log itself', async () => {
    writeFileSync(at('queued'), 'queued');
    const queue = ['--queue', at('queue')];
    expect(await run('sign', at('queued'), '--key', at('key.pem'), ...queue)).toMatchObject({ code: 0 });
    expect(await rotated('--announce')).toMatchObject({ code: 0 });
    expect(await run('log', 'freeze', '--yes', ...log.settings)).toMatchObject({ code: 0 });
    // The log names its successor itself, and no trust file does.
    const about = (await (await fetch(`${log.first}/stele/v1/log`)).json()) as { successor: { origin: string } };
    expect(about.successor.origin).toBe('127.0.0.1');
    const refused = await signed('early');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/frozen.*Nothing was logged: the followed repository leads to no other log yet/);
    expect(existsSync(at('early.sigstore.json'))).toBe(false);
    const waits = await run('submit', '--flush', ...queue);
    expect(waits).toMatchObject({ code: 1, stdout: expect.stringContaining('stays in the queue') });
    const named = await run('sign', at('early'), '--key', at('key.pem'), '--log', log.first);
    expect(named).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('leave out the options that name the log'),
    });

    expect(await rotated()).toMatchObject({ code: 0 });
    expect(originOf(await signed('early'))).toBe('127.0.0.1');
    expect(await run('submit', '--flush', ...queue)).toMatchObject({ code: 0 });
    expect(await verified('queued')).toMatchObject({ code: 0 });
  });

  it('goes on within one command where the news come after it has begun', async () => {
    const mirror = await publicFiles();
    const root = join(repository.dir, 'public', '1.root.json');
    expect(await run('trust', 'use', mirror.url, '--root', root, '--force')).toMatchObject({ code: 0 });
    expect(await rotated()).toMatchObject({ code: 0 });
    // The mirror is away at the start of the command: what is here counts, and leads to the frozen log.
    mirror.failing = 1;
    const many = ['a', 'b', 'c'].map((name) => at(name));
    for (const file of many) writeFileSync(file, file);
    const ran = await run('sign', ...many, '--key', at('key.pem'), '--json');
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    const { files } = JSON.parse(ran.stdout) as { files: { log: { url: string; origin: string } }[] };
    expect(files.map(({ log: { url, origin } }) => [url, origin])).toEqual(many.map(() => [log.next, '127.0.0.1']));
    expect(ran.stderr).toMatch(/news of the followed repository could not be fetched/);
    expect(ran.stderr).toMatch(
      /http:\/\/localhost:\d+ is frozen, and the followed repository leads to http:\/\/127\.0\.0\.1/,
    );
  });
});
