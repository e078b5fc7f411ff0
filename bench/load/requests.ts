/**
 * Distinct signed requests. Worker threads make them before a run, and a file in the system's temporary directory keeps them
 * for the next run. The file is a sequence of u32 (little-endian) length and body.
 */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

/** `fresh`: a new P-256 key for each request; `shared`: one key for all. */
export type Keys = 'fresh' | 'shared';

export interface MakeRequests {
  readonly count: number;
  /** PKCS#8 PEM of the shared key; undefined for fresh keys. */
  readonly key: string | undefined;
}

/** The bodies of `count` requests in JSON. */
export async function requestBodies(keys: Keys, count: number): Promise<Buffer[]> {
  const dir = join(tmpdir(), 'stele-bench');
  const file = join(dir, `p256-${keys}-${count}.bin`);
  if (!existsSync(file)) {
    mkdirSync(dir, { recursive: true });
    console.error(`making ${count} requests with ${keys} keys (once)`);
    const threads = availableParallelism();
    const share = Math.ceil(count / threads);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = keys === 'shared' ? (privateKey.export({ type: 'pkcs8', format: 'pem' }) as string) : undefined;
    const parts = await Promise.all(
      Array.from({ length: threads }, (_, i) => makeInWorker({ count: Math.min(share, count - i * share), key })),
    );
    writeFileSync(`${file}.tmp`, Buffer.concat(parts));
    renameSync(`${file}.tmp`, file);
  }
  return split(readFileSync(file));
}

function makeInWorker(workerData: MakeRequests): Promise<Uint8Array> {
  const worker = new Worker(new URL('./make-requests.js', import.meta.url), { workerData });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function split(bytes: Buffer): Buffer[] {
  const bodies: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32LE(at);
    bodies.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return bodies;
}
