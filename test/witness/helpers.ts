/** A log that signs what a test wants, and witnesses in temporary directories. */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { ed25519VerifierKey, formatNote, formatVerifierKey, type NoteSignature } from '../../merkle/note.ts';
import { consistencyProof } from '../../merkle/proof.ts';
import { formatAddCheckpoint } from '../../merkle/witness.ts';
import { loadConfig } from '../../witness/config.ts';
import { createApp } from '../../witness/http.ts';
import { Metrics } from '../../witness/metrics.ts';
import { type OpenOptions, type OpenWitness, openWitness } from '../../witness/open.ts';
import { GrownTree, nodeSha256 } from '../merkle/helpers.ts';
import { type Injectable, injectable } from '../support/inject.ts';
import { silent } from '../support/silent.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
export const later = (close: () => Promise<unknown>): void => void closers.push(close);

export async function tempDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'stele-witness-'));
  later(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A tree of `size` entries whose contents depend on `name`: two names give two histories. */
export function treeOf(name: string, size: number, fork = 0): GrownTree {
  return new GrownTree(Array.from({ length: size }, (_, i) => encodeUtf8(`${i < fork ? 'same' : name} ${i}`)));
}

export class TestLog {
  readonly origin: string;
  readonly tree: GrownTree;
  readonly #key = generateKeyPairSync('ed25519');
  readonly vkey: string;
  readonly #id: Pick<NoteSignature, 'name' | 'keyId'>;

  /** `keyName` is the origin too, unless it is given. */
  constructor(origin = 'log.test', tree: GrownTree = treeOf(origin, 64), keyName = origin) {
    this.origin = origin;
    this.tree = tree;
    const raw = createPublicKey(this.#key.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
    const key = ed25519VerifierKey(keyName, raw);
    this.vkey = formatVerifierKey(key);
    this.#id = { name: key.name, keyId: key.keyId };
  }

  text(size: number, root: Uint8Array = this.tree.roots[size]!, extensions: readonly string[] = []): string {
    return formatCheckpoint({ origin: this.origin, size, root, extensions });
  }

  signature(text: string): NoteSignature {
    return { ...this.#id, signature: sign(null, encodeUtf8(text), this.#key.privateKey) };
  }

  note(text: string, others: readonly NoteSignature[] = []): string {
    return formatNote(text, [this.signature(text), ...others]);
  }

  proof(first: number, second: number, tree: GrownTree = this.tree): Uint8Array[] {
    return consistencyProof(first, second, tree.read, nodeSha256);
  }

  /** The body of a request from one size to another, as an honest log makes it. */
  request(oldSize: number, size: number, tree: GrownTree = this.tree): Uint8Array {
    const note = encodeUtf8(this.note(this.text(size, tree.roots[size])));
    return formatAddCheckpoint({ oldSize, proof: this.proof(oldSize, size, tree), note });
  }
}

/** The body as it stands, with whatever note. */
export function body(oldSize: number | string, proof: readonly (Uint8Array | string)[], note: string): string {
  const lines = proof.map((hash) => `${typeof hash === 'string' ? hash : encodeBase64(hash)}\n`);
  return `old ${oldSize}\n${lines.join('')}\n${note}`;
}

export interface TestWitness extends OpenWitness {
  readonly dir: string;
  readonly app: Injectable;
  post(
    body: Uint8Array | string,
    path?: string,
  ): Promise<{ status: number; type: string; body: string; retry: unknown }>;
  get(path: string): Promise<{ status: number; body: string }>;
}

export async function makeWitness(
  logs: readonly TestLog[] = [],
  options: {
    readonly dir?: string;
    readonly flags?: Record<string, string>;
    readonly open?: Partial<OpenOptions>;
  } = {},
): Promise<TestWitness> {
  const dir = options.dir ?? (await tempDir());
  const config = loadConfig({ flags: { data: dir, name: 'witness.test/w', ...options.flags } });
  const metrics = new Metrics({ process: false });
  const opened = await openWitness({ config, logger: silent, onFatal: () => {}, metrics, ...options.open });
  for (const log of logs) if (opened.logs.get(log.origin) === undefined) await opened.logs.add(log.vkey);
  const app = injectable(createApp(opened.witness, opened.live, { ...config, tls: undefined }, metrics, silent));
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= (async () => {
      await app.close();
      await opened.close();
    })();
    return closed;
  };
  later(close);
  return {
    ...opened,
    dir,
    app,
    close,
    post: async (payload, path = '/add-checkpoint') => {
      const reply = await app.inject({ method: 'POST', url: path, payload: Buffer.from(payload) });
      const { statusCode: status, headers, body } = reply;
      return { status, type: String(headers['content-type']), body, retry: headers['retry-after'] };
    },
    get: async (url) => {
      const { statusCode: status, body } = await app.inject({ method: 'GET', url });
      return { status, body };
    },
  };
}
