/** An index whose store is killed while it takes attestations: what it said is kept stays, and what is not leaves nothing behind. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { IndexProcess } from '../../../support/index-process.ts';
import { tempDir } from '../../../support/log.ts';
import { CLI, stele } from '../../../support/serve.ts';
import { attested, fresh, log, provenanceOf } from './store-parts.ts';

/** `npm run test:crash` kills it fifty times. */
const ROUNDS = Number(process.env.STELE_STORE_KILLS ?? 3);
const PIECES = 60;

interface Piece {
  readonly digest: string;
  readonly subject: string;
  readonly file: Uint8Array;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Some are large: their files take longer to write. */
function newPiece(at: number): Piece {
  const subject = fresh();
  const file = attested(provenanceOf(subject));
  const padded = at % 10 === 0 ? Buffer.concat([file, Buffer.alloc(512 * 1024, 0x20)]) : file;
  return { digest: sha256(padded), subject, file: padded };
}

let dir: Awaited<ReturnType<typeof tempDir>>;
let index: IndexProcess | undefined;
const path = (name: string) => join(dir.path, name);

beforeEach(async () => {
  dir = await tempDir();
  // Nobody serves the log: the store needs only its key.
  writeFileSync(
    path('index.yaml'),
    `data: ./data
listen: { port: 0 }
admin: { port: 0 }
rateLimit: { max: 0 }
logs: [{ url: 'http://127.0.0.1:9', keys: ['${log.vkey}'] }]
store: { enabled: true, submissions: true, perMinute: 1000000, underWay: 1000 }
`,
  );
});
afterEach(async () => {
  await index?.end('SIGKILL');
  await dir.remove();
});

/** The pieces' files, by their digest. Only a temporary file may be cut. */
function wholeFiles(): string[] {
  const files = readdirSync(path('data/store/pieces'), { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  );
  const whole = files.filter(({ name }) => !name.endsWith('.tmp'));
  for (const { parentPath, name } of whole) expect(sha256(readFileSync(join(parentPath, name)))).toBe(name);
  return whole.map(({ name }) => name).sort();
}

async function expectKept({ url }: IndexProcess, pieces: readonly Piece[]): Promise<void> {
  for (const { digest, subject, file } of pieces) {
    const reply = await fetch(`${url}/stele/v1/attestations/sha256:${digest}`);
    expect({ digest, status: reply.status }).toEqual({ digest, status: 200 });
    expect(sha256(new Uint8Array(await reply.arrayBuffer()))).toBe(sha256(file));
    const found = await fetch(`${url}/stele/v1/attestations?subject=sha256:${subject}`);
    expect(((await found.json()) as { attestations: { digest: string }[] }).attestations).toMatchObject([
      { digest: `sha256:${digest}` },
    ]);
  }
}

it('keeps what it said that it keeps, through SIGKILLs', { timeout: 60_000 * (ROUNDS + 1) }, async () => {
  const kept: Piece[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    index = await IndexProcess.start(dir.path);
    await expectKept(index, kept.slice(-PIECES));
    const { url } = index;
    const pieces = Array.from({ length: PIECES }, (_, at) => newPiece(at));
    const send = async (piece: Piece) => {
      const reply = await fetch(`${url}/stele/v1/attestations`, {
        method: 'POST',
        body: piece.file as Uint8Array<ArrayBuffer>,
      });
      if (reply.status === 201) kept.push(piece);
    };
    // The kill cuts some off.
    const sending = Promise.allSettled(pieces.map(send));
    await delay(20 + ((round * 97) % 400));
    await index.end('SIGKILL');
    await sending;
    wholeFiles();
  }
  index = await IndexProcess.start(dir.path);
  await expectKept(index, kept);
  const metrics = await (await fetch(`${index.adminUrl}/metrics`)).text();
  const count = Number(/^stele_index_store_pieces (\d+)$/m.exec(metrics)?.[1]);
  // Each piece has its file, and each file its piece.
  expect(wholeFiles()).toHaveLength(count);
  expect(count).toBeGreaterThanOrEqual(kept.length);
  expect(await index.end()).toBe(0);
});

it('goes on with an import that was killed', { timeout: 60_000 * (ROUNDS + 1) }, async () => {
  const pieces = Array.from({ length: PIECES }, (_, at) => newPiece(at));
  mkdirSync(path('bundles'));
  for (const { digest, file } of pieces) writeFileSync(path(`bundles/${digest}.json`), file);
  for (let round = 0; round < ROUNDS; round++) {
    const args = [CLI, 'index', 'import', 'bundles', '--config', 'index.yaml'];
    const child = spawn(process.execPath, args, { cwd: dir.path, stdio: 'ignore' });
    const exited = once(child, 'exit');
    await delay(600 + ((round * 131) % 800));
    child.kill('SIGKILL');
    await exited;
  }
  const run = (...args: string[]) => stele(['index', ...args, '--config', 'index.yaml', '--json'], { cwd: dir.path });
  const { code, stdout, stderr } = await run('import', 'bundles');
  const { kept, known, refused } = JSON.parse(stdout);
  expect({ code, stderr, refused, all: kept + known }).toEqual({ code: 0, stderr: '', refused: [], all: PIECES });
  const digests = pieces.map(({ digest }) => digest).sort();
  expect(wholeFiles()).toEqual(digests);
  expect((await run('forget', ...digests.map((digest) => `sha256:${digest}`))).code).toBe(0);
  expect(wholeFiles()).toEqual([]);
});
