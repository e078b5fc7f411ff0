import { describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { noteVerifier, openNote, parseNote, parseVerifierKey } from '../../../merkle/note.ts';
import { verifyInclusion } from '../../../merkle/proof.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { BatchCreateEntriesResponse, TransparencyLogEntry } from '../../../server/http/reply-protobuf.ts';
import type { LogService } from '../../../server/types.ts';
import {
  dsseRequest,
  hashedRekordRequest,
  toJson,
  toJsonBatch,
  toProtobuf,
  toProtobufBatch,
} from '../../support/requests.ts';
import { BATCH, ENTRIES, fill, LOGS, makeAppOn } from './support.ts';

const PROTOBUF = { 'content-type': 'application/x-protobuf' };

// biome-ignore lint/suspicious/noExplicitAny: replies are looked at as they come.
type Json = Record<string, any>;

/** The entry of a JSON reply, after its proof has been checked as a client does. */
function checkedEntry(log: LogService, entry: Json): Json {
  const { inclusionProof: proof, canonicalizedBody } = entry;
  const key = parseVerifierKey(log.info.verifierKeys[0]!);
  const checkpoint = parseCheckpoint(
    openNote(parseNote(proof.checkpoint.envelope), [noteVerifier(key, nodeNotePrimitives)]).text,
  );
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
  expect(bytes(proof.rootHash)).toEqual(new Uint8Array(checkpoint.root));
  verifyInclusion({
    index: Number(entry.logIndex),
    size: checkpoint.size,
    leafHash: leafHash(bytes(canonicalizedBody)),
    root: checkpoint.root,
    hashes: proof.hashes.map(bytes),
  });
  return entry;
}

describe.each(Object.keys(LOGS))('POST /api/v2/log/entries on %s', (kind) => {
  it('answers 201 with every field of the entry and a proof that holds', async () => {
    const { app, log } = await makeAppOn(kind);
    await fill(log, 5);
    const reply = await app.inject({ method: 'POST', url: ENTRIES, payload: toJson(hashedRekordRequest()) });
    expect(reply.statusCode).toBe(201);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.headers['x-log-index']).toBeUndefined();
    const entry = checkedEntry(log, reply.json());
    expect(Object.keys(entry)).toEqual([
      'logIndex',
      'logId',
      'kindVersion',
      'integratedTime',
      'inclusionPromise',
      'inclusionProof',
      'canonicalizedBody',
    ]);
    expect(entry).toMatchObject({
      logIndex: '5',
      logId: { keyId: Buffer.from(log.info.logId).toString('base64') },
      kindVersion: { kind: 'hashedrekord', version: '0.0.2' },
      integratedTime: '0',
      inclusionPromise: null,
      inclusionProof: { logIndex: '5', treeSize: '6', checkpoint: { envelope: log.checkpoint } },
    });
    // Its text is plain JSON, byte for byte.
    expect(reply.body).toBe(JSON.stringify(entry));
  });

  it('gives each publication its own tree', async () => {
    const { app, log } = await makeAppOn(kind);
    for (let size = 1; size <= 4; size++) {
      const reply = await app.inject({ method: 'POST', url: ENTRIES, payload: toJson(dsseRequest()) });
      expect(checkedEntry(log, reply.json()).inclusionProof.treeSize).toBe(String(size));
    }
  });

  it.each([undefined, 'text/plain', 'application/json; charset=utf-8', ';;;', 'application/x-protobuf-not'])(
    'reads JSON whatever the Content-Type says: %s',
    async (type) => {
      const { app } = await makeAppOn(kind);
      const headers = type === undefined ? {} : { 'content-type': type };
      const reply = await app.inject({ method: 'POST', url: ENTRIES, headers, payload: toJson(hashedRekordRequest()) });
      expect(reply.statusCode).toBe(201);
      expect(reply.json().logIndex).toBe('0');
    },
  );

  it('answers protobuf in protobuf', async () => {
    const { app, log } = await makeAppOn(kind);
    await fill(log, 3);
    const payload = toProtobuf(hashedRekordRequest());
    const headers = { 'content-type': 'Application/X-Protobuf; messageType="x"' };
    const reply = await app.inject({ method: 'POST', url: ENTRIES, headers, payload });
    expect(reply.statusCode).toBe(201);
    expect(reply.headers['content-type']).toBe('application/x-protobuf');
    const binary = TransparencyLogEntry.toObject(TransparencyLogEntry.decode(reply.rawPayload), {
      longs: String,
      bytes: String,
    });
    const { integratedTime, inclusionPromise, ...json } = (await app.inject('/stele/v1/entries/3')).json();
    expect(binary).toEqual(json);
  });

  it('gives a duplicate the entry that is there', async () => {
    const { app, log } = await makeAppOn(kind);
    await fill(log, 2);
    const payload = toJson(hashedRekordRequest());
    await app.inject({ method: 'POST', url: ENTRIES, payload });
    const again = await app.inject({ method: 'POST', url: ENTRIES, payload });
    expect(again.statusCode).toBe(201);
    expect(again.headers['x-log-index']).toBe('2');
    expect(checkedEntry(log, again.json()).logIndex).toBe('2');
    expect(log.publishedSize).toBe(3);
  });
});

describe.each(Object.keys(LOGS))('POST /api/v2/log/entries:batch on %s', (kind) => {
  it('answers each request by itself', async () => {
    const { app, log } = await makeAppOn(kind);
    const good = hashedRekordRequest();
    const bad = hashedRekordRequest();
    bad.hashedRekordRequestV002.signature.content = Buffer.from('no signature');
    const reply = await app.inject({ method: 'POST', url: BATCH, payload: toJsonBatch([good, bad, good]) });
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.headers['retry-after']).toBeUndefined();
    const { results } = reply.json();
    expect(checkedEntry(log, results[0].entry).logIndex).toBe('0');
    expect(results[1]).toEqual({
      error: { code: 3, message: expect.stringContaining('invalid hashedrekord request: '), details: [] },
    });
    expect(results[2]).toEqual(results[0]);
  });

  it('answers protobuf in protobuf', async () => {
    const { app } = await makeAppOn(kind);
    const bad = hashedRekordRequest();
    bad.hashedRekordRequestV002.digest = Buffer.from('short');
    const payload = toProtobufBatch([hashedRekordRequest(), bad]);
    const reply = await app.inject({ method: 'POST', url: BATCH, headers: PROTOBUF, payload });
    const { results } = BatchCreateEntriesResponse.toObject(BatchCreateEntriesResponse.decode(reply.rawPayload), {
      longs: String,
      defaults: true,
    });
    expect(results[0].entry.logIndex).toBe('0');
    expect(results[1].error).toMatchObject({ code: 3, message: expect.stringContaining('digest') });
  });

  it('reports duplicates as conflicts where they are configured to be', async () => {
    const { app } = await makeAppOn(kind, { duplicates: 'conflict' });
    const request = hashedRekordRequest();
    const reply = await app.inject({ method: 'POST', url: BATCH, payload: toJsonBatch([request, request]) });
    expect(reply.json().results[1].error).toEqual({
      code: 6,
      message: 'an equivalent entry already exists in the transparency log with index 0',
      details: [],
    });
  });
});
