/** A log that Sunlight's witness cosigns; and one whose empty tree that witness holds, with the remedy of docs/operation.md. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { openSigner } from '../../merkle/runtime/keys/open-signer.ts';
import { formatAddCheckpoint } from '../../merkle/witness.ts';
import { CheckpointSigner } from '../../server/log/sign.ts';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { until } from '../support/until.ts';
import { ok } from './tools.ts';

const noSunlight = skips("a log and Sunlight's witness", lacking('sunlight', 'sqlite3', 'openssl'));
const NAME = 'localhost/w';

interface Sunlight {
  readonly vkey: string;
  readonly url: string;
  readonly database: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  close(): Promise<void>;
}

describe.skipIf(noSunlight)("a log and Sunlight's witness", () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let signer: CheckpointSigner;
  let sunlight: Sunlight;
  let server: ServeProcess | undefined;
  const at = (name: string) => join(dir.path, name);

  beforeEach(async () => {
    dir = await tempDir();
    await steleJson(['keygen', '--out', at('log.pem'), '--origin', 'localhost']);
    signer = new CheckpointSigner('localhost', [await openSigner({ file: at('log.pem') })]);
    sunlight = await startSunlight(at('sunlight'), signer.verifierKeys[0]!);
    await writeFile(at('policy'), `witness sun ${sunlight.vkey} ${sunlight.url}\nquorum sun\n`);
  });

  afterEach(async () => {
    await server?.stop();
    server = undefined;
    await sunlight?.close();
    await dir.remove();
  });

  const serve = async () => startServer(at('data'), { args: ['--key-file', at('log.pem'), '--policy', at('policy')] });

  async function sign(name: string): Promise<{ code: number; out: string }> {
    const file = at(name);
    await writeFile(file, name);
    const out = `${file}.sigstore.json`;
    const how = ['--log', server!.url, '--log-key', signer.verifierKeys[0]!, '--out', out];
    return { code: (await stele(['sign', file, ...how])).code, out };
  }

  async function cosigners(bundle: string): Promise<string[]> {
    const entry = JSON.parse(await readFile(bundle, 'utf8')).verificationMaterial.tlogEntries[0];
    const keys = [signer.verifierKeys[0]!, sunlight.vkey].map(parseVerifierKey);
    const verifiers = keys.map((key) => checkpointVerifier(key, nodeNotePrimitives));
    const { verified } = openNote(parseNote(entry.inclusionProof.checkpoint.envelope as string), verifiers);
    return verified.map(({ name }) => name);
  }

  const readyz = async () => (await fetch(`${server!.adminUrl}/readyz`)).text();

  /** What the witness answers to the log's empty tree. */
  async function offerEmptyTree(): Promise<Response> {
    const note = Buffer.from(await signer.sign({ size: 0, root: fastSha256(new Uint8Array(0)) }));
    const body = formatAddCheckpoint({ oldSize: 0, proof: [], note });
    return fetch(`${sunlight.url}/add-checkpoint`, { method: 'POST', body: Buffer.from(body) });
  }

  it('publishes its first and later entries with the cosignature, also after a restart of either', async () => {
    server = await serve();
    for (const name of ['one', 'two']) {
      const { code, out } = await sign(name);
      expect(code).toBe(0);
      expect(await cosigners(out)).toEqual(['localhost', NAME]);
    }
    await server.stop();
    await sunlight.stop();
    await sunlight.start();
    server = await serve();
    await until(
      async () => (await fetch(`${server!.adminUrl}/readyz`)).status === 200,
      () => server!.log(),
    );
    const { code, out } = await sign('three');
    expect(code).toBe(0);
    expect(await cosigners(out)).toEqual(['localhost', NAME]);
  });

  it('names the witness that holds its empty tree, and goes on after the remedy of docs/operation.md', async () => {
    expect((await offerEmptyTree()).status).toBe(200);
    server = await serve();
    // The client tries again until the witness is well.
    const first = sign('one');
    await until(
      async () => (await readyz()).includes('the witness sun refuses each tree that follows the empty tree'),
      () => server!.log(),
    );
    expect(await readyz()).toContain('docs/operation.md');

    await sunlight.stop();
    const page = await readFile(new URL('../../docs/operation.md', import.meta.url), 'utf8');
    const [remedy] = /^UPDATE checkpoints .*;$/m.exec(page)!;
    const empty = () => ok('sqlite3', [sunlight.database, 'SELECT sum(length(body) = 0) FROM checkpoints']);
    expect(await empty()).toBe('0\n');
    // Another log's checkpoints are left as they are.
    await ok('sqlite3', [sunlight.database, remedy.replace('ORIGIN', 'localhos_')]);
    expect(await empty()).toBe('0\n');
    await ok('sqlite3', [sunlight.database, remedy.replace('ORIGIN', 'localhost')]);
    expect(await empty()).toBe('1\n');
    await sunlight.start();

    await until(
      async () => (await fetch(`${server!.adminUrl}/readyz`)).status === 200,
      () => server!.log(),
    );
    for (const signed of [() => first, () => sign('two')]) {
      const { code, out } = await signed();
      expect(code).toBe(0);
      expect(await cosigners(out)).toEqual(['localhost', NAME]);
    }
  });

  it('must not have its row removed: Sunlight finds no state for a log that it knows', async () => {
    expect((await offerEmptyTree()).status).toBe(200);
    await sunlight.stop();
    await ok('sqlite3', [
      sunlight.database,
      "DELETE FROM checkpoints WHERE instr(CAST(body AS TEXT), 'localhost') = 1",
    ]);
    await sunlight.start();
    const answer = await offerEmptyTree();
    expect([answer.status, await answer.text()]).toEqual([
      500,
      "internal error: couldn't fetch checkpoint for known log\n",
    ]);
  });
});

/** Sunlight's witness for the log with the key `logKey`, which it reads from a log list over HTTP. */
async function startSunlight(dir: string, logKey: string): Promise<Sunlight> {
  await mkdir(dir);
  const list = createServer((_, response) => response.end(`logs/v0\n\nvkey ${logKey}\n`)).listen(0, '127.0.0.1');
  await once(list, 'listening');
  const port = await freePort();
  const database = join(dir, 'checkpoints.db');
  await ok('sqlite3', [database, 'CREATE TABLE checkpoints (logID BLOB PRIMARY KEY, body TEXT)']);
  await writeFile(join(dir, 'seed.bin'), randomBytes(32));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(dir, 'root.key')];
  await ok('openssl', ['req', '-x509', ...key, '-subj', '/CN=root', '-out', join(dir, 'roots.pem')]);
  const witness = {
    name: NAME,
    submissionprefix: `https://${NAME}`,
    secret: 'seed.bin',
    loglists: [`http://127.0.0.1:${(list.address() as AddressInfo).port}/logs`],
  };
  const home = `http://localhost:${port}/`;
  let starts = 0;
  let stop = async () => {};
  const start = async () => {
    // Without a log of its own, Sunlight ends at once. A new one each time needs nobody who serves its tiles.
    const own = `own-${++starts}`;
    await writeFile(join(dir, `${own}.bin`), randomBytes(32));
    const log = {
      shortname: own,
      inception: new Date().toLocaleDateString('sv'),
      submissionprefix: `https://localhost/${own}`,
      monitoringprefix: `https://localhost/${own}`,
      roots: 'roots.pem',
      secret: `${own}.bin`,
      cache: `${own}.db`,
      localdirectory: own,
      notafterstart: '2026-01-01T00:00:00Z',
      notafterlimit: '2027-01-01T00:00:00Z',
    };
    // JSON is YAML.
    const config = { listen: [`127.0.0.1:${port}`], checkpoints: 'checkpoints.db', witness, logs: [log] };
    await writeFile(join(dir, 'sunlight.yaml'), JSON.stringify(config));
    // Debian's build has the routes of Go 1.21, and with them 404 for each request to the witness.
    const env = { ...process.env, GODEBUG: 'httpmuxgo121=0' };
    const child = spawn('sunlight', { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'close');
    const reap = () => child.kill('SIGKILL');
    process.once('exit', reap);
    ended.finally(() => process.off('exit', reap));
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    stop = async () => {
      child.kill();
      await ended;
    };
    // The home page lists the log as soon as the witness knows it.
    await until(
      async () => (await page(home)).includes('<li><code>localhost</code>'),
      () => said,
    );
  };
  await start();
  const vkey = /localhost\/w\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+/.exec(await page(home))![0];
  const close = async () => {
    await stop();
    list.close();
    list.closeAllConnections();
  };
  return { vkey, url: `http://${NAME.replace('/', `:${port}/`)}`, database, start, stop: () => stop(), close };
}

async function page(url: string): Promise<string> {
  const text = await fetch(url).then(
    (response) => response.text(),
    () => '',
  );
  return text.replaceAll('&#43;', '+');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
