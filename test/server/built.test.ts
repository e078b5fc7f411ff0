/** What only shows once the packages are joined with the rest (bundle.js): those that look for each other at run time. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TransparencyLogEntry } from '../../server/http/reply-protobuf.ts';
import { tempDir } from '../support/log.ts';
import { hashedRekordRequest, toProtobuf } from '../support/requests.ts';
import { type ServeProcess, startServer } from '../support/serve.ts';

const REQUESTS = 4;

describe('the built log', () => {
  let server: ServeProcess;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const dir = await tempDir();
    remove = dir.remove;
    server = await startServer(dir.path, { args: ['--rate-limit-max', String(REQUESTS)] });
  });
  afterAll(async () => {
    expect(await server.stop()).toBe(0);
    await remove();
  });

  it('writes 64-bit numbers in protobuf, describes itself, checks parameters, and counts requests', async () => {
    const created = await fetch(`${server.url}/api/v2/log/entries`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
      body: new Uint8Array(toProtobuf(hashedRekordRequest())),
    });
    expect(created.status).toBe(201);
    const reply = TransparencyLogEntry.decode(new Uint8Array(await created.arrayBuffer()));
    expect(TransparencyLogEntry.toObject(reply, { longs: String, defaults: true })).toMatchObject({
      logIndex: '0',
      inclusionProof: { treeSize: '1' },
    });
    expect(await (await fetch(`${server.url}/openapi.json`)).json()).toMatchObject({ openapi: '3.1.0' });
    const refused = await fetch(`${server.url}/stele/v1/proofs/consistency?first=1`);
    expect(await refused.json()).toMatchObject({ code: 3, message: 'the query parameter second is missing' });
    expect((await fetch(`${server.url}/checkpoint`)).status).toBe(200);
    expect((await fetch(`${server.url}/checkpoint`)).status).toBe(429);
  });
});
