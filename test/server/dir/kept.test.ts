/**
 * Data directories that an earlier build made (version 0.1.0), which every later build must open. Each archive holds
 * `seen.json` beside the directories: what the clients of that build saw.
 *
 * A script drove the built `stele` of that time and packed what it left. It removed the files LOG of LevelDB, and replaced
 * the host name in `owner.json`. The keys were made for this test alone.
 *
 * - `ended.tar.gz`: a log of signed entries, its witness and its monitor. 330 entries came in five bulk calls, and the
 *   monitor went through them with `--once`. SIGTERM ended the log, SIGKILL the witness.
 * - `killed.tar.gz`: a log of opaque entries. 64 clients added entries one by one, until SIGKILL ended the log in the
 *   middle of a step: 548 entries were committed, 542 of them acknowledged, the bundle `tile/entries/001` had its name, and
 *   `tile/0/001` was a temporary file without one.
 * - `frozen.tar.gz`: a log of five signed entries whose witness had to cosign, frozen; the witness, which holds evidence of
 *   another tree of five entries; and a monitor with five alerts that wait for a webhook, which was away.
 * - `backup.tar.gz`: what `stele log backup` made of the killed log, and its key.
 *
 * Needs `npm run build`.
 */
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';
import { checkHeads, readCheckpoint, readTree } from '../../support/tlog-reader.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';

interface Seen {
  readonly origin: string;
  readonly verifierKeys: readonly string[];
  /** The last checkpoint that a client saw. */
  readonly checkpoint: string;
}

interface SeenEnded extends Seen {
  readonly witnessKeys: readonly string[];
  readonly logged: readonly { readonly index: number; readonly request: unknown }[];
  /** Signed entry 300 alone; the rule of the monitor watches it. */
  readonly watched: string;
}

interface SeenKilled extends Seen {
  readonly logged: readonly { readonly index: number; readonly body: string }[];
  /** Sent, and never answered. */
  readonly unanswered: readonly string[];
}

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess | undefined;
let witness: WitnessProcess | undefined;

beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  await server?.kill();
  await witness?.kill();
  [server, witness] = [undefined, undefined];
  await dir.remove();
});

const at = (...names: string[]) => join(dir.path, ...names);

async function unpack<T extends Seen>(name: string): Promise<T> {
  const archive = fileURLToPath(new URL(`kept/${name}.tar.gz`, import.meta.url));
  execFileSync('tar', ['-xzf', archive, '-C', dir.path, '--strip-components=1']);
  return JSON.parse(await readFile(at('seen.json'), 'utf8')) as T;
}

async function get(path: string): Promise<Buffer> {
  const reply = await fetch(`${server!.url}/${path}`);
  expect(reply.status, path).toBe(200);
  return Buffer.from(await reply.arrayBuffer());
}

/** Everything that the log serves follows from its entries, and its tree extends what clients saw. Resolves with its size. */
async function checkServed({ checkpoint, verifierKeys }: Seen): Promise<number> {
  const head = readCheckpoint((await get('checkpoint')).toString(), verifierKeys);
  const { leafHashes } = await readTree(get, head);
  checkHeads([readCheckpoint(checkpoint, verifierKeys)], leafHashes);
  expect(await steleJson(['audit', server!.url, '--log-key', verifierKeys[0]!])).toMatchObject({ ok: true });
  return head.size;
}

async function checkStopped(size: number): Promise<void> {
  expect(await server!.stop()).toBe(0);
  expect(await steleJson(['log', 'check', at('log')])).toMatchObject({ kind: 'data', size, publishedSize: size });
}

async function addSigned(request: unknown): Promise<{ readonly index: number; readonly duplicate: boolean }> {
  const reply = await fetch(`${server!.url}/api/v2/log/entries`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  expect(reply.status).toBe(201);
  const { logIndex } = (await reply.json()) as { readonly logIndex: string };
  return { index: Number(logIndex), duplicate: reply.headers.get('x-log-index') === logIndex };
}

function requestBy(pem: string): unknown {
  const key = createPrivateKey(pem);
  const message = randomBytes(32);
  const rawBytes = createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64');
  return {
    hashedRekordRequestV002: {
      digest: createHash('sha256').update(message).digest('base64'),
      signature: {
        content: sign('sha256', message, key).toString('base64'),
        verifier: { publicKey: { rawBytes }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' },
      },
    },
  };
}

it('opens a log, a witness and a monitor that ended', async () => {
  const seen = await unpack<SeenEnded>('ended');
  const { origin, verifierKeys, checkpoint } = seen;
  witness = await startWitness(at('witness'), 'witness.example.com/kept', verifierKeys);
  expect(witness.verifierKeys).toEqual(seen.witnessKeys);
  // The witness remembers the size that it cosigned before it was killed.
  const remembered = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body: `old 0\n\n${checkpoint}` });
  expect(remembered.status).toBe(409);
  expect(await remembered.text()).toBe('330\n');

  await writeFile(at('policy'), `log ${verifierKeys[0]}\n${witness.policyLine('w')}quorum w\n`);
  server = await startServer(at('log'), { args: ['--origin', origin, '--policy', at('policy')] });
  expect(server).toMatchObject({ origin, verifierKeys, size: 330, status: 'open' });
  expect((await get('checkpoint')).toString()).toContain(checkpoint.slice(0, checkpoint.indexOf('\n\n')));
  for (const { index, request } of seen.logged) expect(await addSigned(request)).toEqual({ index, duplicate: true });
  expect(await addSigned(requestBy(seen.watched))).toEqual({ index: 330, duplicate: false });
  expect(await checkServed(seen)).toBe(331);

  const config = at('monitor', 'monitor.yaml');
  const text = await readFile(config, 'utf8');
  await writeFile(config, text.replace(/url: \S+/, `url: ${server.url}`));
  const { code, stdout, stderr } = await stele(['monitor', '--config', config, '--once', '--json']);
  expect(code, stderr).toBe(1);
  const report = JSON.parse(stdout.trim().split('\n').at(-1)!) as unknown;
  expect(report).toMatchObject({ type: 'report', alerts: 1, logs: [{ completeThrough: 331, lying: false }] });
  expect(stdout).toMatch(/"index":330\b/);
  expect(stdout).not.toMatch(/"index":300\b/);
  await checkStopped(331);
});

it('opens a frozen log, a witness with evidence, and a monitor whose alerts wait', async () => {
  const { origin, verifierKeys, witnessKeys, checkpoint, logged } = await unpack<SeenEnded>('frozen');
  witness = await startWitness(at('witness'), 'witness.example.com/kept', verifierKeys);
  expect(witness.verifierKeys).toEqual(witnessKeys);
  const [evidence] = await readdir(at('witness/evidence'));
  expect(await steleJson(['witness', 'evidence', at('witness/evidence', evidence!)])).toMatchObject({
    ok: true,
    origin,
    keys: verifierKeys,
  });
  await writeFile(at('policy'), `log ${verifierKeys[0]}\n${witness.policyLine('w')}quorum w\n`);
  server = await startServer(at('log'), { args: ['--origin', origin, '--policy', at('policy')] });
  expect(server).toMatchObject({ origin, verifierKeys, size: 5, status: 'frozen' });
  // The extension line with the time of the freeze, and the signature of the log.
  const text = (await get('checkpoint')).toString();
  expect(text).toContain(checkpoint.slice(0, checkpoint.indexOf('\n— witness')));
  readCheckpoint(text, verifierKeys);
  const refused = await fetch(`${server.url}/api/v2/log/entries`, {
    method: 'POST',
    body: JSON.stringify(logged[0]!.request),
  });
  expect(refused.status).toBe(405);

  const alerts: { id: string }[] = [];
  const receiver = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    alerts.push(...(JSON.parse(Buffer.concat(parts).toString()) as { alerts: { id: string }[] }).alerts);
    response.end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const config = at('monitor', 'monitor.yaml');
  const { port } = receiver.address() as AddressInfo;
  const yaml = (await readFile(config, 'utf8')).replace('127.0.0.1:9', `127.0.0.1:${port}`);
  await writeFile(config, yaml.replace(/url: http:\S+\n/, `url: ${server.url}\n`));
  const { stdout } = await stele(['monitor', '--config', config, '--once', '--json']);
  receiver.close();
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({
    alerts: 0,
    delivered: true,
    pending: 0,
    logs: [{ completeThrough: 5, lying: false }],
  });
  expect(new Set(alerts.map(({ id }) => id)).size).toBe(5);
});

it('opens a log that was killed between a commit and its files', async () => {
  const seen = await unpack<SeenKilled>('killed');
  expect(existsSync(at('log/public/tile/0/001'))).toBe(false);
  await goOnRaw(seen);
});

it('restores a log from a backup', async () => {
  const seen = await unpack<SeenKilled>('backup');
  await writeFile(at('known'), seen.checkpoint);
  const flags = ['--data', at('log'), '--at-least', at('known'), '--origin', seen.origin];
  expect(await steleJson(['log', 'restore', at('backup'), ...flags])).toMatchObject({ ok: true, size: 548 });
  await rename(at('key.pem'), at('log', 'key.pem'));
  await goOnRaw(seen);
});

/** Starts the log of opaque entries, which finds what was committed, and takes the entries that nobody was answered. */
async function goOnRaw(seen: SeenKilled): Promise<void> {
  const { origin, verifierKeys } = seen;
  server = await startServer(at('log'), { args: ['--origin', origin, '--entries', 'raw'] });
  expect(server).toMatchObject({ origin, verifierKeys, size: 548, status: 'open' });
  expect(existsSync(at('log/public/tile/0/001'))).toBe(true);
  const add = async (body: string) => {
    const reply = await fetch(`${server!.url}/add`, { method: 'POST', body });
    expect(reply.status).toBe(200);
    return Number(await reply.text());
  };
  for (const { index, body } of seen.logged) expect(await add(body)).toBe(index);
  const late: number[] = [];
  for (const body of seen.unanswered) late.push(await add(body));
  const more = late.filter((index) => index >= 548);
  expect(more).toEqual(more.map((_, i) => 548 + i));
  expect(await add('an entry of today')).toBe(548 + more.length);
  const size = 549 + more.length;
  await expect.poll(() => checkServed(seen)).toBe(size);
  await checkStopped(size);
}
