/** A plain index of fake logs, and entries whose keys a test knows. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { FollowedLog } from '../../../../client/follow/types.ts';
import {
  openPlainIndex,
  type PlainIndex,
  type PlainIndexOptions,
} from '../../../../client/search/index/open-plain-index.ts';
import type { SearchHit, SearchPage, SearchQuery } from '../../../../client/search/types.ts';
import { equal } from '../../../../merkle/bytes.ts';
import { parseCheckpoint } from '../../../../merkle/checkpoint.ts';
import { parseNote } from '../../../../merkle/note.ts';
import { verifyInclusion } from '../../../../merkle/proof.ts';
import { leafHash } from '../../../../merkle/rfc6962.ts';
import { type FakeLog, FakeLog as Log, View } from '../../../support/fake-log.ts';
import { later, tempDir } from '../../../support/log-files.ts';

export const SETTINGS = { partialMs: 0, parallel: 4, chunkBytes: 16 * 1024 * 1024, pollMs: 20, retryMs: 5 };
export const NEVER = new AbortController().signal;

export const digestOf = (name: string) => `sha256:${createHash('sha256').update(name).digest('hex')}`;
export const keyOf = (name: string) => createHash('sha256').update(spkiOf(name)).digest('hex');

/** A SubjectPublicKeyInfo of Ed25519; no key, but one form. */
function spkiOf(name: string): Buffer {
  const raw = createHash('sha256').update(`key ${name}`).digest();
  return Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
}

/** An entry as a log of Rekor's API v2 has it: the digest of `name`, signed by the key `signer`. */
export function entryOf(name: string, signer: string): Buffer {
  const hashedRekordV002 = {
    data: { algorithm: 'SHA2_256', digest: createHash('sha256').update(name).digest('base64') },
    signature: {
      content: Buffer.from(`signature of ${name}`).toString('base64'),
      verifier: { keyDetails: 'PKIX_ED25519', publicKey: { rawBytes: spkiOf(signer).toString('base64') } },
    },
  };
  return Buffer.from(JSON.stringify({ apiVersion: '0.0.2', kind: 'hashedrekord', spec: { hashedRekordV002 } }));
}

export function followed(log: FakeLog, more: Partial<FollowedLog> = {}): FollowedLog {
  return { origin: log.origin, keys: [log.key], location: log.origin, ...more };
}

export function emptyLog(origin = 'log.test'): FakeLog {
  return new Log(new View([]), origin);
}

export function grow(log: FakeLog, entries: readonly Uint8Array[]): void {
  log.view.grow(entries);
  log.size = log.view.entries.length;
}

/** An index of these logs in `dir`, which nobody follows yet. */
export async function indexOf(
  logs: readonly FakeLog[],
  options: Partial<PlainIndexOptions> = {},
): Promise<{ readonly index: PlainIndex; readonly dir: string }> {
  const dir = options.dir ?? join(await tempDir(), 'index');
  const index = await openPlainIndex({
    dir,
    logs: logs.map((log) => followed(log)),
    settings: SETTINGS,
    open: (location) => logs.find(({ origin }) => origin === location)!.source(),
    read: () => Promise.reject(new Error('no configuration of shards')),
    threads: 0,
    ...options,
  });
  later(() => index.close());
  return { index, dir };
}

/** All pages of a query; each is checked against the tree of the log. */
export async function allHits(
  index: PlainIndex,
  log: FakeLog,
  query: SearchQuery,
  between?: () => Promise<void>,
): Promise<SearchHit[]> {
  const hits: SearchHit[] = [];
  let first: SearchPage | undefined;
  for (let page: string | undefined; ; ) {
    const found: SearchPage = await index.search({ ...query, ...(page !== undefined && { page }) }, NEVER);
    first ??= found;
    if (found.size !== first.size || found.checkpoint.split('\n\n')[0] !== first.checkpoint.split('\n\n')[0]) {
      throw new Error(`a page is about size ${found.size}, and the first one about ${first.size}`);
    }
    checkHits(found, log);
    hits.push(...found.hits);
    if (found.next === undefined) return hits;
    page = found.next;
    await between?.();
  }
}

/** Checks the checkpoint of a page, and each hit, by the tree of the log. */
export function checkHits({ checkpoint, size, root, hits }: SearchPage, log: FakeLog): void {
  const head = parseCheckpoint(parseNote(checkpoint).text);
  if (head.size !== size || !equal(head.root, root) || !equal(root, log.view.tree.roots[size]!)) {
    throw new Error('the checkpoint of the page is about another tree');
  }
  for (const { index, body, proof } of hits) {
    verifyInclusion({ index, size, leafHash: leafHash(body), root, hashes: [...proof] });
    if (!equal(body, log.view.entries[index]!)) throw new Error(`entry ${index} has another body`);
  }
}

export function term(
  kind: SearchQuery['terms'][number]['kind'],
  value: string,
  match: 'exact' | 'prefix' | 're2' = 'exact',
) {
  return { kind, match, value } as const;
}
