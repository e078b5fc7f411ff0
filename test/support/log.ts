/** Real logs in temporary directories, or on the stores of a test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatVerifierKey } from '../../merkle/note.ts';
import { createKeyFile } from '../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../merkle/runtime/keys/open-signer.ts';
import { openDirStores } from '../../server/dir/layout.ts';
import { createIngest, type Ingest } from '../../server/ingest/ingest.ts';
import { Log } from '../../server/log/log.ts';
import { CheckpointSigner } from '../../server/log/sign.ts';
import type { LogLimits, LogOptions } from '../../server/log/types.ts';
import { Metrics } from '../../server/metrics.ts';
import { hashedRekordRequest, sharedSigner, toJson } from './requests.ts';
import { silent } from './silent.ts';

export const ORIGIN = 'log.test';

export async function tempDir(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'stele-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

let shared: Ingest | undefined;
/** One pool for all tests of a file, because threads take 100 ms to start. */
export function sharedIngest(): Ingest {
  shared ??= createIngest({ threads: 1 });
  return shared;
}

export const LIMITS: LogLimits = {
  outstanding: 1000,
  unpublished: 10_000,
  publishTimeout: 5000,
  maxCheckpointDelay: 10_000,
};

export async function makeSigner(dir: string, name = 'key.pem'): Promise<CheckpointSigner> {
  const file = join(dir, name);
  await createKeyFile(file, 'ed25519').catch((error: { code?: string }) => {
    if (error.code !== 'key-exists') throw error;
  });
  return new CheckpointSigner(ORIGIN, [await openSigner({ file })]);
}

/** Options of a log below `dir`. Makes a key there. */
export async function logOptions(dir: string, changes: Partial<LogOptions> = {}): Promise<LogOptions> {
  const signer = changes.signer ?? (await makeSigner(dir));
  const identity = { format: 1, origin: ORIGIN, verifierKeys: signer.keys.map(formatVerifierKey) };
  return {
    openStores: () => openDirStores(dir),
    signer,
    signerHealthy: () => true,
    ingest: sharedIngest(),
    batch: { maxSize: 1024, maxAge: 1 },
    filter: { maxBytes: 1024 * 1024 },
    limits: LIMITS,
    metrics: new Metrics({ process: false }),
    logger: silent,
    onFatal: () => {},
    identity,
    ...changes,
  };
}

export async function openTestLog(dir: string, changes: Partial<LogOptions> = {}): Promise<Log> {
  return await Log.open(await logOptions(dir, changes));
}

/** A JSON request body for an artifact of this name. One name always gives the same entry. */
export function bodyOf(name: string): Uint8Array {
  let body = bodies.get(name);
  if (body === undefined) {
    body = toJson(hashedRekordRequest(sharedSigner(), Buffer.from(name)));
    bodies.set(name, body);
  }
  return body;
}
// The requests are kept, because each new ECDSA signature differs and gives another entry.
const bodies = new Map<string, Uint8Array>();
