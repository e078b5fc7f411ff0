/** A tlog-tiles reader that shares no line with Stele, over HTTP and over exported files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { hashedRekordRequest, sharedSigner, toJsonBatch } from '../support/requests.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { checkHeads, type Get, readCheckpoint, readTree } from '../support/tlog-reader.ts';

/** More than one tile, and a partial one at each level. */
const ENTRIES = 600;
const BULK = 200;

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess;
const at = (name: string) => join(dir.path, name);

beforeAll(async () => {
  dir = await tempDir();
  server = await startServer(at('data'));
  for (let sent = 0; sent < ENTRIES; sent += BULK) {
    const requests = Array.from({ length: BULK }, (_, i) =>
      hashedRekordRequest(sharedSigner(), Buffer.from(`entry ${sent + i}`)),
    );
    await postBulk(toJsonBatch(requests));
  }
});
afterAll(async () => {
  await server?.kill();
  await dir.remove();
});

async function postBulk(body: Uint8Array): Promise<void> {
  const reply = await fetch(`${server.url}/api/v2/log/entries:batch`, { method: 'POST', body: Buffer.from(body) });
  expect(reply.status).toBe(200);
}

const overHttp =
  (prefix = ''): Get =>
  async (path) => {
    const reply = await fetch(`${server.url}${prefix}/${path}`);
    if (reply.status !== 200) throw new Error(`GET ${path}: ${reply.status}`);
    return Buffer.from(await reply.arrayBuffer());
  };
const fromFiles =
  (root: string): Get =>
  (path) =>
    readFile(join(root, path));

async function readAll(get: Get) {
  return await readTree(get, readCheckpoint((await get('checkpoint')).toString(), server.verifierKeys));
}

describe('a tlog-tiles reader', () => {
  it.each(['', '/api/v2'])('recomputes the tree over HTTP below "%s"', async (prefix) => {
    const { head, entries } = await readAll(overHttp(prefix));
    expect(head).toMatchObject({ origin: 'localhost', size: ENTRIES });
    for (const [i, entry] of entries.entries()) {
      expect(JSON.parse(entry.toString())).toMatchObject({ apiVersion: '0.0.2', kind: 'hashedrekord' });
      if (i % 100 !== 0) continue;
      const { canonicalizedBody } = JSON.parse((await overHttp()(`stele/v1/entries/${i}`)).toString());
      expect(canonicalizedBody).toBe(entry.toString('base64'));
    }
  });

  it('recomputes the tree from a directory of `stele log export`, of a running log and of a stopped one', async () => {
    // The flags of this log's own start: the commands take them as `stele serve` does.
    const log = ['--data', at('data')];
    await steleJson(['log', 'export', at('export'), ...log]);
    const running = await readAll(fromFiles(at('export')));
    expect(running.head.size).toBe(ENTRIES);
    const known = server.verifierKeys[0]!;
    expect(await steleJson(['log', 'check', at('export'), '--log-key', known])).toMatchObject({ ok: true });

    await postBulk(toJsonBatch([hashedRekordRequest()]));
    expect(await server.stop()).toBe(0);
    await steleJson(['log', 'export', at('later'), ...log]);
    const stopped = await readAll(fromFiles(at('later')));
    expect(stopped.head.size).toBe(ENTRIES + 1);
    checkHeads([running.head], stopped.leafHashes);
    server = await startServer(at('data'));
  });
});
