/** A log in memory that shows what a test wants, and a monitor's follower of it with real state on disk. */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import type { FeedEntry, FollowedLog } from '../../../client/follow/types.ts';
import { FOLLOW_DEFAULTS, type FollowSettings } from '../../../client/monitor/follow-settings.ts';
import { type FollowEvent, Follower, type FollowOptions } from '../../../client/monitor/follower.ts';
import { EvidenceFiles } from '../../../client/monitor/store/evidence-files.ts';
import { StateStore } from '../../../client/monitor/store/state-store.ts';
import type { Alert, Matcher } from '../../../client/monitor/types.ts';
import { sourceOf } from '../../../client/tiles/tiles.ts';
import type { TileSource } from '../../../client/tiles/types.ts';
import { encodeBundle } from '../../../merkle/bundle.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatCheckpoint } from '../../../merkle/checkpoint.ts';
import {
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  type NoteSignature,
  type VerifierKey,
} from '../../../merkle/note.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { parseEntryBundlePath, parseTilePath } from '../../../merkle/tile.ts';
import { GrownTree, nodeSha256 } from '../../merkle/helpers.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
export const later = (close: () => Promise<unknown>): void => void closers.push(close);

export async function tempDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'stele-monitor-'));
  later(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Entries whose contents depend on `name`: two names give two histories from index `same` on. */
export function entriesOf(size: number, name = 'entry', same = 0): Uint8Array[] {
  return Array.from({ length: size }, (_, i) => encodeUtf8(`${i < same ? 'entry' : name} ${i}`));
}

/** One history of a log. */
export class View {
  readonly entries: Uint8Array[];
  readonly tree: GrownTree;

  constructor(entries: Uint8Array[]) {
    this.entries = entries;
    this.tree = new GrownTree(entries);
  }

  /** Appends. */
  grow(entries: readonly Uint8Array[]): void {
    for (const entry of entries) {
      this.entries.push(entry);
      this.tree.range.append(leafHash(entry, nodeSha256), (level, index, node) => {
        this.tree.levels[level] ??= [];
        this.tree.levels[level][index] = node;
      });
      this.tree.roots.push(this.tree.range.root());
    }
  }

  file(path: string): Uint8Array | undefined {
    if (path.startsWith('tile/entries/')) {
      const { index, width } = parseEntryBundlePath(path);
      const entries = this.entries.slice(index * 256, index * 256 + width);
      return entries.length < width ? undefined : encodeBundle(entries);
    }
    const { level, index, width } = parseTilePath(path);
    const hashes = this.tree.levels[8 * level]?.slice(index * 256, index * 256 + width) ?? [];
    return hashes.length < width ? undefined : Buffer.concat(hashes);
  }
}

export class FakeLog {
  readonly origin: string;
  readonly key: VerifierKey;
  readonly vkey: string;
  readonly #private: KeyObject;
  view: View;
  /** What the checkpoint says: a size of the view, unless a note is given. */
  size: number;
  note: string | undefined;
  extensions: string[] = [];
  cosignatures: NoteSignature[] = [];
  /** Changes what is served, or throws. */
  serve: (path: string, bytes: Uint8Array | undefined) => Uint8Array | undefined = (_path, bytes) => bytes;
  readonly asked: string[] = [];

  constructor(view = new View(entriesOf(600)), origin = 'log.test') {
    this.origin = origin;
    this.view = view;
    this.size = view.entries.length;
    const pair = generateKeyPairSync('ed25519');
    this.#private = pair.privateKey;
    const raw = createPublicKey(pair.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
    this.key = ed25519VerifierKey(origin, raw);
    this.vkey = formatVerifierKey(this.key);
  }

  show(entries: Uint8Array[]): void {
    this.view = new View(entries);
    this.size = entries.length;
  }

  text(size = this.size, view = this.view): string {
    return formatCheckpoint({ origin: this.origin, size, root: view.tree.roots[size]!, extensions: this.extensions });
  }

  sign(text: string, others: readonly NoteSignature[] = []): string {
    const { name, keyId } = this.key;
    return formatNote(text, [{ name, keyId, signature: sign(null, encodeUtf8(text), this.#private) }, ...others]);
  }

  source(name = 'fake'): TileSource {
    return sourceOf({
      name,
      close: async () => {},
      get: async (path, limit) => {
        this.asked.push(path);
        const bytes = this.serve(path, this.#bytes(path));
        if (bytes !== undefined && bytes.length > limit) throw new ClientError('corrupt', 'too long');
        return bytes;
      },
    });
  }

  /** The same over HTTP. Resolves with its URL; `later` closes it. */
  async listen(): Promise<string> {
    const server = createServer((request, reply) => {
      const path = request.url!.slice(1);
      const bytes = this.serve(path, this.#bytes(path));
      if (bytes === undefined) reply.writeHead(404).end();
      else reply.end(bytes);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    later(async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  #bytes(path: string): Uint8Array | undefined {
    if (!/^(checkpoint$|tile\/)/.test(path)) return undefined;
    if (path !== 'checkpoint') return this.view.file(path);
    return encodeUtf8(this.note ?? this.sign(this.text(), this.cosignatures));
  }
}

/** A second view of `log`, under the same key. */
export function mirror(log: FakeLog, view: View, size = view.entries.length): TileSource {
  return sourceOf({
    name: 'mirror',
    close: async () => {},
    get: async (path) => (path === 'checkpoint' ? encodeUtf8(log.sign(log.text(size, view))) : view.file(path)),
  });
}

/** Alerts about every entry that holds `word`, and keeps what it was shown. */
export class WordMatcher implements Matcher {
  readonly rules = [{ name: 'word' }];
  readonly seen: FeedEntry[] = [];
  readonly word: string;

  constructor(word = 'evil') {
    this.word = word;
  }

  async match(entries: readonly FeedEntry[]): Promise<Alert[]> {
    this.seen.push(...entries);
    return entries.flatMap(({ log, index, leafHash, body }) => {
      if (!Buffer.from(body).includes(this.word)) return [];
      const entry = { index, leafHash: Buffer.from(leafHash).toString('base64'), names: [] };
      const [time, rule] = ['2026-01-01T00:00:00.000Z', 'word'];
      return [
        {
          id: `match ${log} ${index}`,
          kind: 'match',
          severity: 'alert',
          log,
          time,
          summary: 'x',
          rule,
          entry,
          completeThrough: 0,
        },
      ];
    });
  }
}

export const QUICK: FollowSettings = { ...FOLLOW_DEFAULTS, pollMs: 5, partialMs: 0, retryMs: 1, parallel: 4 };

export interface Harness {
  readonly follower: Follower;
  readonly alerts: Alert[];
  readonly events: FollowEvent[];
  readonly matcher: WordMatcher;
  readonly store: StateStore;
  readonly dir: string;
  clock: number;
  round(): ReturnType<Follower['round']>;
  close(): Promise<void>;
}

/** A follower of `log` with its state in `dir`. */
export async function follow(
  log: FakeLog,
  options: {
    readonly dir?: string;
    readonly start?: 'now' | 'start';
    readonly log?: Partial<FollowedLog>;
    readonly settings?: Partial<FollowSettings>;
    readonly open?: FollowOptions['open'];
    readonly queue?: FollowOptions['queue'];
    readonly matcher?: WordMatcher;
  } = {},
): Promise<Harness> {
  const dir = options.dir ?? (await tempDir());
  const { store } = await StateStore.open(join(dir, 'follow'), options.start !== undefined);
  const alerts: Alert[] = [];
  const events: FollowEvent[] = [];
  const matcher = options.matcher ?? new WordMatcher();
  const harness = { clock: Date.parse('2026-01-01T00:00:00Z') };
  const follower = new Follower(
    { origin: log.origin, keys: [log.key], location: 'fake', ...options.log },
    {
      settings: { ...QUICK, ...options.settings },
      store,
      evidence: new EvidenceFiles(join(dir, 'evidence')),
      matcher,
      queue: options.queue ?? { enqueue: async (more) => void alerts.push(...more) },
      open: options.open ?? (() => log.source()),
      ...(options.start !== undefined && { start: options.start }),
      onEvent: (event) => void events.push(event),
      now: () => harness.clock,
    },
  );
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await follower.close();
    await store.close();
  };
  later(close);
  const round = () => follower.round(new AbortController().signal);
  return Object.assign(harness, { follower, alerts, events, matcher, store, dir, round, close });
}
