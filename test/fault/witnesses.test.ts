/** A log and its witnesses as processes: some of them die, hang, come back; and a log that shows two histories. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { ed25519VerifierKey, formatVerifierKey, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { createKeyFile } from '../../merkle/runtime/keys/keyfile.ts';
import { bodyOf, tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { until } from '../support/until.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let witnesses: WitnessProcess[];
let servers: ServeProcess[];
let vkey: string;
const at = (name: string) => join(dir.path, name);
const NAMES = ['a', 'b', 'c'];

beforeEach(async () => {
  dir = await tempDir();
  servers = [];
  const { publicKey } = await createKeyFile(at('log.pem'), 'ed25519');
  vkey = formatVerifierKey(ed25519VerifierKey('localhost', publicKey.slice(-32)));
  witnesses = await Promise.all(NAMES.map((name) => startWitness(at(name), `${name}.test`, [vkey])));
  const lines = witnesses.map((witness, i) => witness.policyLine(NAMES[i]!)).join('');
  await writeFile(at('policy'), `${lines}group all-of-us 2 a b c\nquorum all-of-us\n`);
});

afterEach(async () => {
  await Promise.all(servers.map((server) => server.kill()));
  await Promise.all(witnesses.map((witness) => witness.kill()));
  await dir.remove();
});

async function serve(data: string): Promise<ServeProcess> {
  const limits = ['--limits-publish-timeout', '1s', '--publish-witness-timeout', '500ms'];
  const args = ['--key-file', at('log.pem'), '--policy', at('policy'), '--ingest-threads', '1', ...limits];
  const server = await startServer(at(data), { args });
  servers.push(server);
  return server;
}

async function restart(i: number): Promise<void> {
  const { port } = witnesses[i]!;
  witnesses[i] = await startWitness(at(NAMES[i]!), `${NAMES[i]}.test`, [vkey], port);
}

async function submit(
  server: ServeProcess,
  name: string,
): Promise<{ status: number; index: string | null; note: string }> {
  const reply = await fetch(`${server.url}/api/v2/log/entries`, { method: 'POST', body: Buffer.from(bodyOf(name)) });
  const json = (await reply.json()) as { inclusionProof?: { checkpoint: { envelope: string } }; logIndex?: string };
  const index = json.logIndex ?? reply.headers.get('x-log-index');
  return { status: reply.status, index, note: json.inclusionProof?.checkpoint.envelope ?? '' };
}

function cosigners(note: string): string[] {
  const keys = [vkey, ...witnesses.map(({ verifierKeys }) => verifierKeys[0]!)].map(parseVerifierKey);
  const { verified } = openNote(
    parseNote(note),
    keys.map((key) => checkpointVerifier(key, nodeNotePrimitives)),
  );
  return verified.map(({ name }) => name).slice(1);
}

const checkpoint = async ({ url }: ServeProcess) => await (await fetch(`${url}/checkpoint`)).text();
const sizeOf = (note: string) => Number(note.split('\n')[1]);
const readiness = async ({ adminUrl }: ServeProcess) =>
  (await (await fetch(`${adminUrl}/readyz`)).json()) as { ready: boolean; reasons: string[] };

/** Requests that the log has taken in and not answered yet. */
async function outstanding({ adminUrl }: ServeProcess): Promise<number> {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  return Number(/^stele_\w*outstanding\w* (\d+)$/m.exec(metrics)?.[1]);
}

const logs = () => [...servers, ...witnesses].map((one) => one.log()).join('');

describe('a log and three witnesses, two of which must cosign', () => {
  it('goes on without one; without two it publishes nothing and says why; what waited is published when they return', async () => {
    const server = await serve('data');
    expect(await submit(server, 'zero')).toMatchObject({ status: 201, index: '0' });

    await witnesses[0]!.kill();
    const one = await submit(server, 'one');
    expect(one).toMatchObject({ status: 201, index: '1' });
    expect(cosigners(one.note)).toEqual(['b.test', 'c.test']);

    await witnesses[1]!.kill();
    expect(await submit(server, 'two')).toMatchObject({ status: 503, index: '2' });
    expect(await submit(server, 'three')).toMatchObject({ status: 503, index: '3' });
    expect(sizeOf(await checkpoint(server))).toBe(2);
    const { ready, reasons } = await readiness(server);
    expect(ready).toBe(false);
    expect(reasons.join()).toContain('the quorum of the witnesses cannot be reached: a refuses connections; b refuses');

    await restart(1);
    await until(async () => sizeOf(await checkpoint(server)) === 4, logs);
    expect(cosigners(await checkpoint(server))).toEqual(['b.test', 'c.test']);
    expect(await submit(server, 'two')).toMatchObject({ status: 201, index: '2' });
    expect((await readiness(server)).ready).toBe(true);

    // The one that was away longest learns what it missed.
    await restart(0);
    await until(async () => cosigners(await checkpoint(server)).includes('a.test'), logs);
  });

  it('survives the death of the log at any time: what witnesses saw is published by the next start', async () => {
    let server = await serve('data');
    for (let round = 0; round < 4; round++) {
      let replies = 0;
      const under = Array.from({ length: 40 }, async (_, i) => {
        const reply = await submit(server, `${round}/${i}`).catch(() => undefined);
        if (reply !== undefined) replies++;
        return reply;
      });
      // Before any reply, within the replies, and after the last reply: a busy machine answers some with 503.
      await until(
        async () => (round === 0 ? (await outstanding(server)) > 0 || replies > 0 : replies >= [0, 1, 20, 40][round]!),
        logs,
      );
      await server.kill();
      const answered = (await Promise.all(under)).filter((reply) => reply?.status === 201);
      server = await serve('data');
      // A log that was killed before its first entry has no checkpoint until now.
      await until(async () => (await submit(server, `${round}`)).status === 201, logs);
      const note = await until(async () => {
        const reply = await fetch(`${server.url}/checkpoint`);
        const shown = await reply.text();
        return reply.ok && cosigners(shown).length >= 2 ? shown : undefined;
      }, logs);
      for (const reply of answered) expect(Number(reply!.index)).toBeLessThan(sizeOf(note));
      expect(server.log()).not.toMatch(/another|larger tree/);
    }
    const evidence = await Promise.all(NAMES.map((name) => readdir(join(at(name), 'evidence')).catch(() => [])));
    expect(evidence.flat()).toEqual([]);
  });

  it('cannot show two histories: the witnesses refuse the second one, and keep evidence that anyone can check', async () => {
    const first = await serve('data');
    for (const name of ['one', 'two', 'three']) expect((await submit(first, name)).status).toBe(201);
    await until(async () => cosigners(await checkpoint(first)).length === 3, logs);

    // A copy of the key with another directory: the start finds it out before anything is signed.
    await expect(serve('twin')).rejects.toThrow(/rollback/);

    // One that asks nobody signs a second history; then it is shown to the witnesses as the log would.
    const alone = await startServer(at('alone'), { args: ['--key-file', at('log.pem'), '--ingest-threads', '1'] });
    servers.push(alone);
    for (const name of ['x', 'y', 'z']) expect((await submit(alone, name)).status).toBe(201);
    const forked = await checkpoint(alone);
    expect(sizeOf(forked)).toBe(3);
    for (const { url } of witnesses) {
      const reply = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: `old 3\n\n${forked}` });
      expect(reply.status).toBe(422);
    }
    for (const name of NAMES) {
      const files = await until(async () => {
        const found = await readdir(join(at(name), 'evidence'));
        return found.length > 0 ? found : undefined;
      }, logs);
      const file = join(at(name), 'evidence', files[0]!);
      expect(await readFile(file, 'utf8')).toContain('localhost');
      expect(await steleJson(['witness', 'evidence', file])).toMatchObject({ kind: 'two-roots', origin: 'localhost' });
    }
    // The log that the witnesses know goes on.
    expect((await submit(first, 'four')).status).toBe(201);
  });
});
