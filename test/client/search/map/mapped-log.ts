/** A map of a fake log whose versions go to a real log in this process. */
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FollowedLog } from '../../../../client/follow/types.ts';
import type { MapEvent, MappedLogOptions } from '../../../../client/search/map/map-types.ts';
import { MappedLog } from '../../../../client/search/map/mapped-log.ts';
import { openSource } from '../../../../client/tiles/tiles.ts';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import type { IndexKey } from '../../../../merkle/index/keys.ts';
import { parseLookup } from '../../../../merkle/index/lookup.ts';
import { type VerifiedLookup, verifyLookup } from '../../../../merkle/index/verify-lookup.ts';
import { parseVerifierKey } from '../../../../merkle/note.ts';
import { parsePolicy } from '../../../../merkle/policy.ts';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';
import { loadConfig, serve } from '../../../../server/main.ts';
import type { FakeLog } from '../../../support/fake-log.ts';
import { later, tempDir } from '../../../support/log-files.ts';
import type { TestWitness } from '../../../support/witness.ts';

const PEM = generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' }) as string;

/** An entry of Rekor v1 with this digest, 64 hex characters. */
export function entryOf(digest: string): Uint8Array {
  const spec = {
    data: { hash: { algorithm: 'sha256', value: digest } },
    signature: { content: 'AA==', publicKey: { content: Buffer.from(PEM).toString('base64') } },
  };
  return encodeUtf8(JSON.stringify({ apiVersion: '0.0.1', kind: 'hashedrekord', spec }));
}

export const digestOf = (n: number): string => n.toString(16).padStart(64, '0');
export const keyOf = (n: number): IndexKey => ({ kind: 'digest', value: `sha256:${digestOf(n)}` });

export function grow(log: FakeLog, numbers: readonly number[]): void {
  log.view.grow(numbers.map((n) => entryOf(digestOf(n))));
  log.size = log.view.entries.length;
}

export interface OutputLog {
  readonly followed: FollowedLog;
  readonly dir: string;
  /** Leaves under its checkpoint. */
  size(): Promise<number>;
  add(body: Uint8Array | string): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A real log of opaque entries. */
export async function startOutput(): Promise<OutputLog> {
  const dir = tempDir();
  const file = join(dir, 'stele.yaml');
  const config = (port: number) =>
    `origin: output.test\ndata: data\nlisten: { port: ${port} }\nadmin: { port: 0 }\nlog: { level: silent }\nentries: raw\n`;
  await writeFile(file, config(0));
  const reread = () => loadConfig({ file });
  let server = await serve({ config: reread(), reread });
  const { url } = server;
  let up = true;
  later(async () => (up ? await server.close() : undefined));
  const info = (await (await fetch(`${url}/stele/v1/log`)).json()) as { verifierKeys: string[] };
  const keys = info.verifierKeys.map(parseVerifierKey);
  return {
    followed: { origin: 'output.test', keys, location: url },
    dir,
    size: async () => {
      const reply = await fetch(`${url}/checkpoint`);
      return reply.status === 404 ? 0 : Number((await reply.text()).split('\n')[1]);
    },
    add: async (body) => {
      const reply = await fetch(`${url}/add`, { method: 'POST', body: body as NonNullable<RequestInit['body']> });
      if (reply.status !== 200) throw new Error(await reply.text());
    },
    stop: async () => {
      up = false;
      await server.close();
    },
    start: async () => {
      await writeFile(file, config(Number(new URL(url).port)));
      server = await serve({ config: reread(), reread });
      up = true;
    },
  };
}

export interface MapWish {
  readonly dir?: string;
  readonly rebuilders?: readonly TestWitness[];
  readonly quorum?: number;
  readonly waitMs?: number;
  readonly options?: Partial<MappedLogOptions>;
}

export interface Mapped {
  readonly map: MappedLog;
  readonly events: MapEvent[];
  round(): Promise<boolean>;
  lookup(key: IndexKey, since?: number): Promise<VerifiedLookup>;
}

export async function openMapped(log: FakeLog, output: OutputLog, wish: MapWish = {}): Promise<Mapped> {
  const { rebuilders = [], quorum = rebuilders.length, waitMs = 3000 } = wish;
  const events: MapEvent[] = [];
  const names = rebuilders.map(({ name }) => name).join(' ');
  const policy = `${rebuilders.map(({ policyLine }) => policyLine).join('')}group all ${quorum} ${names}\nquorum all\n`;
  const map = await MappedLog.open({
    input: { origin: log.origin, keys: [log.key], location: 'fake' },
    output: output.followed,
    ...(rebuilders.length > 0 && { rebuilders: { policy: parsePolicy(policy), waitMs } }),
    dir: wish.dir ?? tempDir(),
    threads: 0,
    open: (location) => (location === 'fake' ? log.source() : openSource(location, { retries: 0 })),
    settings: { partialMs: 0, parallel: 2, chunkBytes: 1_000_000 },
    pollMs: 20,
    retryMs: 20,
    intervalMs: 0,
    onEvent: (event) => events.push(event),
    ...wish.options,
  });
  later(() => map.close());
  const { signal } = new AbortController();
  return {
    map,
    events,
    round: () => map.round(signal),
    lookup: async (key, since = 0) => {
      const bytes = await map.lookup({ key, since });
      const question = { key, inputOrigin: log.origin, outputOrigin: 'output.test' };
      return verifyLookup(parseLookup(bytes), question, fastSha256);
    },
  };
}
