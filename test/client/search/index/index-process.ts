/** A plain index as a process of its own (`npm run build` first), which can be killed at any moment. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { SearchPage, SearchQuery } from '../../../../client/search/types.ts';
import type { FakeLog } from '../../../support/fake-log.ts';
import { later } from '../../../support/log-files.ts';

type Message =
  | { readonly ready: number }
  | { readonly trouble: string }
  | { readonly id: number; readonly page?: Sent; readonly error?: { readonly code: string; readonly message: string } };
interface Sent extends Omit<SearchPage, 'root' | 'hits'> {
  readonly root: string;
  readonly hits: readonly { readonly index: number; readonly body: string; readonly proof: readonly string[] }[];
}

export class SearchFailed extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface IndexProcess {
  readonly child: ChildProcess;
  /** Resolves with the size that it answers for when it is open. */
  readonly ready: Promise<number>;
  /** What it says about its store. */
  readonly troubles: string[];
  stderr(): string;
  /** Rejects with SearchFailed, or where the process ends first. */
  search(query: SearchQuery): Promise<SearchPage>;
  kill(): Promise<void>;
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

export function startIndex(dir: string, url: string, log: FakeLog): IndexProcess {
  const child = fork(join(import.meta.dirname, 'index-child.mjs'), [dir, url, log.vkey], { silent: true });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const troubles: string[] = [];
  const asked = new Map<number, { resolve: (page: SearchPage) => void; reject: (error: Error) => void }>();
  let next = 0;
  const exited = once(child, 'close').then(() => {
    for (const { reject } of asked.values()) reject(new SearchFailed('gone', 'the index was killed'));
  });
  const ready = new Promise<number>((resolve, reject) => {
    child.on('message', (message: Message) => {
      if ('ready' in message) resolve(message.ready);
      else if ('trouble' in message) troubles.push(message.trouble);
      else {
        const waiting = asked.get(message.id)!;
        asked.delete(message.id);
        if (message.error !== undefined) waiting.reject(new SearchFailed(message.error.code, message.error.message));
        else {
          const { root, hits, ...page } = message.page!;
          const read = hits.map(({ index, body, proof }) => ({ index, body: bytes(body), proof: proof.map(bytes) }));
          waiting.resolve({ ...page, root: bytes(root), hits: read });
        }
      }
    });
    void exited.then(() => reject(new SearchFailed('gone', `the index has ended: ${stderr}`)));
  });
  ready.catch(() => {});
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  later(kill);
  return {
    child,
    ready,
    troubles,
    stderr: () => stderr,
    kill,
    search: (query) =>
      new Promise((resolve, reject) => {
        if (!child.connected) {
          reject(new SearchFailed('gone', 'the index was killed'));
          return;
        }
        const id = next++;
        asked.set(id, { resolve, reject });
        child.send({ id, query }, (error) => error && reject(new SearchFailed('gone', error.message)));
      }),
  };
}

/** All hits of a query, each checked by `check`. */
export async function hitsOf(
  index: IndexProcess,
  query: SearchQuery,
  check: (page: SearchPage) => void,
): Promise<{ readonly size: number; readonly hits: readonly number[] }> {
  const hits: number[] = [];
  for (let page: string | undefined; ; ) {
    const found = await index.search({ ...query, ...(page !== undefined && { page }) });
    check(found);
    hits.push(...found.hits.map((hit) => hit.index));
    if (found.next === undefined) return { size: found.size, hits };
    page = found.next;
  }
}
