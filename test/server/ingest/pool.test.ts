import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createPool, type Pool } from '../../../merkle/runtime/threads/pool.ts';
import { Batches } from '../../../server/ingest/batches.ts';
import { createIngest, type Ingest, type IngestOptions } from '../../../server/ingest/ingest.ts';
import { packAnswers, packBatch, unpackAnswers, unpackBatch } from '../../../server/ingest/packed.ts';
import type { Encoding, IngestedBody } from '../../../server/types.ts';
import {
  ALL_KEY_KINDS,
  distinctBodies,
  dsseRequest,
  hashedRekordRequest,
  sharedSigner,
  toJson,
  toJsonBatch,
  toProtobuf,
  toProtobufBatch,
} from '../../support/requests.ts';
import { skips } from '../../support/skip.ts';
import { ingestHere } from './support.ts';

const closing: { close(): Promise<void> }[] = [];
const dir = mkdtempSync(join(tmpdir(), 'stele-ingest-'));
afterEach(async () => {
  await Promise.all(closing.splice(0).map((one) => one.close()));
});
afterAll(() => rmSync(dir, { recursive: true }));

function ingestPool(options: Partial<IngestOptions> = {}): Ingest {
  const ingest = createIngest({ threads: 2, ...options });
  closing.push(ingest);
  return ingest;
}

/** Bytes as hex, so that views of different buffers compare. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return Buffer.from(value).toString('hex');
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
    : value;
}

/** Of the threads of this process, how many have each niceness (proc_pid_stat(5), field 19). */
function niceness(): Map<number, number> {
  const counts = new Map<number, number>();
  for (const thread of readdirSync('/proc/self/task')) {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1');
    const nice = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    counts.set(nice, (counts.get(nice) ?? 0) + 1);
  }
  return counts;
}

describe('createIngest, with the built worker', () => {
  it.skipIf(skips('the priority of threads', process.platform === 'linux' ? undefined : 'not Linux'))(
    'lets the threads go first that commit and publish',
    async () => {
      const before = niceness();
      const own = Math.min(...before.keys());
      const low = own + 5;
      const ingest = ingestPool({ threads: 2 });
      await Promise.all(distinctBodies(64).map((body) => ingest.ingest(body, 'json')));
      await expect.poll(() => niceness().get(low)).toBe((before.get(low) ?? 0) + 2);
      // And no other thread: those that were there, and what Node starts for itself.
      expect(niceness().get(own)).toBeGreaterThanOrEqual(before.get(own)!);
    },
  );

  const bodies: [Buffer, Encoding][] = [
    ...ALL_KEY_KINDS.map((kind) => [toJson(hashedRekordRequest(sharedSigner(kind))), 'json'] as [Buffer, Encoding]),
    ...ALL_KEY_KINDS.map((kind) => [toProtobuf(dsseRequest(sharedSigner(kind))), 'protobuf'] as [Buffer, Encoding]),
    [toJsonBatch([hashedRekordRequest(), {}, dsseRequest()]), 'json-batch'],
    [toProtobufBatch([hashedRekordRequest(), {}]), 'protobuf-batch'],
    [Buffer.from('{"requests":[]}'), 'json-batch'],
    [Buffer.from('ünsinn'), 'json'],
    [Buffer.alloc(0), 'json'],
  ];

  it.each([
    ['OpenSSL', {}],
    ['noble', { force: 'noble' }],
  ] as const)('answers as the code here does, verifying with %s', async (name, options) => {
    const ingest = ingestPool(options);
    expect(ingest.fast.fast).toBe(name === 'OpenSSL');
    const answers = await Promise.all(bodies.map(([body, encoding]) => ingest.ingest(body, encoding)));
    expect(answers.map(plain)).toEqual(bodies.map(([body, encoding]) => plain(ingestHere(body, encoding))));
  });

  it('keeps to its limits', async () => {
    const ingest = ingestPool({ limits: { entryBytes: 100, bulkItems: 1 } });
    expect(await ingest.ingest(toJson(hashedRekordRequest()), 'json')).toMatchObject({
      items: [{ refusal: { reason: 'entry-size' } }],
    });
    expect(await ingest.ingest(Buffer.from('{"requests":[{},{}]}'), 'json-batch')).toMatchObject({
      refusal: { code: 'too-large' },
    });
  });

  it('takes many at once, large ones among them, and each gets its own answer', async () => {
    const ingest = ingestPool();
    const many = distinctBodies(500);
    many.splice(100, 0, Buffer.alloc(3 << 20, '['), Buffer.alloc(3 << 20, '['));
    const answers = many.map((body) => ingest.ingest(body, 'json'));
    expect(ingest.queue).toEqual({ waiting: 502, running: 0 });
    const hashes = new Set<string>();
    for (const [index, answer] of (await Promise.all(answers)).entries()) {
      expect(plain(answer)).toEqual(plain(ingestHere(many[index]!)));
      hashes.add(JSON.stringify(plain(answer)));
    }
    expect(hashes.size).toBe(501);
    expect(ingest.queue).toEqual({ waiting: 0, running: 0 });
  });

  it('answers everything that is under way when it is closed', async () => {
    const ingest = ingestPool({ threads: 1 });
    const answers = distinctBodies(300).map((body) => ingest.ingest(body, 'json'));
    await ingest.ingest(Buffer.alloc(0), 'json');
    const late = ingest.ingest(toJson(hashedRekordRequest()), 'json');
    await ingest.close();
    await ingest.close();
    expect(await late).toMatchObject({ refusal: { code: 'internal' } });
    for (const answer of await Promise.all(answers)) {
      expect(Object.keys(answer)).toHaveLength(1);
    }
    expect(await ingest.ingest(Buffer.alloc(0), 'json')).toMatchObject({ refusal: { code: 'internal' } });
  });

  it('reports no error for a batch that its close cuts off', async () => {
    const errors: unknown[] = [];
    const ingest = ingestPool({ threads: 1, onError: (error) => errors.push(error) });
    const answers = distinctBodies(300).map((body) => ingest.ingest(body, 'json'));
    while (ingest.queue.running === 0) await new Promise((resolve) => setImmediate(resolve));
    await ingest.close();
    expect(await Promise.all(answers)).toContainEqual({ refusal: expect.objectContaining({ code: 'internal' }) });
    expect(errors).toEqual([]);
  });
});

describe('a worker that dies', () => {
  /** Ends the thread where the batch holds the text "die"; otherwise each body has no items. */
  const WORKER = `
    export default function (batch) {
      if (Buffer.from(batch).includes('die')) process.exit(1);
      return new ArrayBuffer(4 * new DataView(batch).getUint32(0, true));
    }`;

  it('costs only the body that kills it, and hangs nobody', async () => {
    const file = join(dir, 'worker.mjs');
    writeFileSync(file, WORKER);
    const pool: Pool = createPool({ file: pathToFileURL(file), threads: 2 });
    closing.push(pool);
    const errors: unknown[] = [];
    const batches = new Batches({ run: pool.run, threads: 2, atOnce: 4, onError: (error) => errors.push(error) });
    const words = Array.from({ length: 40 }, (_, index) => (index === 5 || index === 30 ? 'die' : 'live'));
    const answers = await Promise.all(words.map((word) => batches.submit(Buffer.from(word), 'json')));
    expect(answers.map((answer) => ('refusal' in answer ? answer.refusal.code : 'live'))).toEqual(
      words.map((word) => (word === 'die' ? 'internal' : 'live')),
    );
    expect(errors.length).toBeGreaterThanOrEqual(4);
    expect(batches.queue).toEqual({ waiting: 0, running: 0 });
    expect(await batches.submit(Buffer.from('live'), 'json')).toEqual({ items: [] });
  });
});

describe('the packed buffers', () => {
  it('give back what went in', () => {
    const bodies = [
      { body: new Uint8Array([1, 2, 3]), encoding: 'protobuf-batch' as const },
      { body: new Uint8Array(0), encoding: 'json' as const },
    ];
    expect(unpackBatch(packBatch(bodies))).toEqual(bodies);
    const refusal = { code: 'malformed', reason: 'syntax', message: 'mälformed' } as const;
    const entry = (fill: number, length: number) => ({
      leafHash: new Uint8Array(32).fill(fill),
      body: new Uint8Array(length).fill(fill),
    });
    const answers: IngestedBody[] = [
      { refusal },
      { items: [] },
      { items: [{ refusal }, { entries: [entry(1, 5), entry(2, 0)] }, { entries: [] }, { refusal }] },
      { items: [{ entries: [entry(3, 65_535)] }] },
    ];
    expect(unpackAnswers(packAnswers(answers), answers.length)).toEqual(answers);
  });
});
