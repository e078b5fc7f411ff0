/** A frozen log whose witnesses take no further line: who accepts its last checkpoint, and who does not. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLog } from '../../client/audit/audit.ts';
import { openHead, openSigned, quorumMissing, withPlain } from '../../client/follow/signed-head.ts';
import { LogClient } from '../../client/submit/log-client.ts';
import { openSource } from '../../client/tiles/tiles.ts';
import type { TileSource } from '../../client/tiles/types.ts';
import { cosign } from '../../merkle/cosignature.ts';
import {
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  KEY_TYPE,
  makeVerifierKey,
  parseNote,
} from '../../merkle/note.ts';
import { type Policy, parsePolicy } from '../../merkle/policy.ts';
import { createKeyFile } from '../../merkle/runtime/keys/keyfile.ts';
import { bodyOf, tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { policyOf, TestWitness } from '../support/witness.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess;
let witness: TestWitness;
let policy: Policy;
let last: string;
let plain: string;
const at = (name: string) => join(dir.path, name);
const get = async (path: string) => await fetch(`${server.url}${path}`);

beforeAll(async () => {
  dir = await tempDir();
  const { publicKey } = await createKeyFile(at('log.pem'), 'ed25519');
  const key = ed25519VerifierKey('localhost', publicKey.slice(-32));
  witness = await new TestWitness('w', key).start();
  witness.behaviour = 'strict';
  const text = `log ${formatVerifierKey(key)}\n${policyOf([witness], 'all')}`;
  await writeFile(at('policy'), text);
  policy = parsePolicy(text);
  server = await startServer(at('data'), { args: ['--key-file', at('log.pem'), '--policy', at('policy')] });
  const reply = await fetch(`${server.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf('one')) });
  expect(reply.status).toBe(201);
  expect((await get('/checkpoint.plain')).status).toBe(404);
  await steleJson(['log', 'freeze', '--yes', '--data', at('data')]);
  last = await (await get('/checkpoint')).text();
  plain = await (await get('/checkpoint.plain')).text();
});
afterAll(async () => {
  await server?.kill();
  await witness.stop();
  await dir.remove();
});

/** The log's source with another plain checkpoint. */
function sourceWith(served: string | undefined): TileSource {
  const source = openSource(server.url);
  return { ...source, plainCheckpoint: async () => (served === undefined ? undefined : Buffer.from(served)) };
}

/** A client that gets another plain checkpoint. */
function clientWith(served: string | undefined): LogClient {
  const fetched: typeof fetch = async (input, init) => {
    if (!String(input).endsWith('/checkpoint.plain')) return await fetch(input, init);
    return served === undefined ? new Response('', { status: 404 }) : new Response(served);
  };
  return new LogClient(server.url, { policy }, { fetch: fetched, deadline: 5000 });
}

const followed = () => ({ origin: 'localhost', keys: policy.logs.map(({ key }) => key), location: server.url, policy });
const missing = async (source: TileSource) =>
  quorumMissing(followed(), await withPlain(followed(), openHead(followed(), last), source));

describe('the last checkpoint of a frozen log', () => {
  it('has the signature of the log, and the plain one of the same tree has the quorum', async () => {
    expect(last).toContain('\nLog frozen — ');
    expect(parseNote(last).signatures).toHaveLength(1);
    expect(parseNote(plain).signatures).toHaveLength(2);
    expect(last.startsWith(plain.split('\n\n')[0]!)).toBe(true);
    expect(await (await get('/api/v2/checkpoint.plain')).text()).toBe(plain);
    // Proofs have the quorum too.
    const entry = (await (await get('/stele/v1/entries/0')).json()) as { inclusionProof: { checkpoint: object } };
    expect(entry.inclusionProof.checkpoint).toEqual({ envelope: plain });
    expect(await readFile(at('data/public/checkpoint.plain'), 'utf8')).toBe(plain);
  });

  it('is taken by client, monitor and audit with the plain one', async () => {
    expect(await missing(openSource(server.url))).toBeUndefined();
    expect(await clientWith(plain).checkpoint()).toMatchObject({ size: 1, note: last, cosigned: [{ witness: 'w' }] });
    expect((await auditLog(server.url, { policy, threads: 1 })).corruption).toBeUndefined();
    await steleJson(['log', 'export', at('static'), '--data', at('data')]);
    expect((await auditLog(at('static'), { policy, threads: 1 })).corruption).toBeUndefined();
  });

  it.each<[string, () => string | undefined]>([
    ['missing', () => undefined],
    ['without the quorum', () => formatNote(parseNote(plain).text, parseNote(plain).signatures.slice(0, 1))],
    ['the last one itself', () => last],
  ])('is refused where the plain one is %s', async (_, make) => {
    const served = make();
    expect(await missing(sourceWith(served))).toContain('quorum is not met');
    await expect(clientWith(served).checkpoint()).rejects.toMatchObject({ code: 'quorum' });
    const { corruption } = await auditLog(sourceWith(served), { policy, threads: 1 });
    expect(corruption).toMatchObject({ code: 'quorum' });
  });

  it('is refused where the plain one is of another tree', async () => {
    const other = await startServer(at('other'), { args: ['--key-file', at('log.pem')] });
    await fetch(`${other.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf('other')) });
    const note = parseNote(await (await fetch(`${other.url}/checkpoint`)).text());
    await other.kill();
    const served = formatNote(note.text, [...note.signatures, ...(await witness.cosignatures(note.text))]);
    expect(await missing(sourceWith(served))).toContain('quorum is not met');
    await expect(clientWith(served).checkpoint()).rejects.toMatchObject({ code: 'quorum' });
    const { corruption } = await auditLog(sourceWith(served), { policy, threads: 1 });
    expect(corruption).toMatchObject({ code: 'quorum' });
  });

  it('is not believed where only an ML-DSA key signed, whose signature does not cover the line', async () => {
    const { publicKey, secretKey } = ml_dsa44.keygen(new Uint8Array(32).fill(7));
    const key = makeVerifierKey('localhost', KEY_TYPE.mldsa44, publicKey);
    const sign = async (message: Uint8Array) => ml_dsa44.sign(message, secretKey);
    const { text } = parseNote(last);
    const signature = await cosign({ key, sign }, 1_800_000_000, text);
    const head = openSigned([key], formatNote(text, [signature]));
    expect([head.frozen, head.extensions.length]).toEqual([false, 1]);
    expect(openSigned(followed().keys, last).frozen).toBe(true);
  });
});
