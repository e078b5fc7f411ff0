/** The index of a log as `stele index` runs it, in this process, for tests of what a page makes of its answers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadIndexConfig } from '../../client/search/index-config.ts';
import { parseIndexDescription } from '../../client/search/search-json.ts';
import { serveIndex } from '../../client/search/serve-index.ts';

export interface RunningIndex {
  readonly url: string;
  /** Resolves once the index answers about this many entries. */
  has(size: number): Promise<void>;
  stop(): Promise<void>;
}

interface IndexedLog {
  readonly url: string;
  readonly keys: readonly string[];
  readonly policy: string;
}

export async function startIndex(dir: string, { url, keys, policy }: IndexedLog): Promise<RunningIndex> {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'policy.txt'), policy);
  const file = join(dir, 'index.yaml');
  const logs = [{ url, keys, policy: 'policy.txt' }];
  const local = { host: '127.0.0.1', port: 0 };
  const settings = {
    listen: local,
    admin: local,
    data: './data',
    logs,
    poll: '100ms',
    threads: 0,
    log: { level: 'error' },
  };
  // JSON is YAML too.
  writeFileSync(file, JSON.stringify(settings));
  const config = loadIndexConfig(file);
  const server = await serveIndex({ config, reread: () => config });
  const base = server.url.replace(/\/$/, '');
  return {
    url: base,
    stop: () => server.close(),
    async has(size) {
      for (;;) {
        const reply = await fetch(`${base}/stele/v1/index`);
        const { logs: described } = parseIndexDescription(new Uint8Array(await reply.arrayBuffer()));
        if (described.some(({ tree }) => tree !== undefined && tree.size >= size)) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}
