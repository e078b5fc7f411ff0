/** `stele index` in this process, over fake logs that are served by HTTP. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadIndexConfig } from '../../../client/search/index-config.ts';
import { serveIndex } from '../../../client/search/serve-index.ts';
import type { FakeLog } from '../../support/fake-log.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { until } from '../../support/until.ts';

// biome-ignore lint/suspicious/noExplicitAny: whatever the service answers
type Json = any;

export interface Service {
  readonly url: string;
  readonly adminUrl: string;
  readonly dir: string;
  get(
    path: string,
    init?: RequestInit,
  ): Promise<{ readonly status: number; readonly headers: Headers; readonly body: Json }>;
  /** Writes the configuration anew, and reloads it. */
  reload(more: object): Promise<void>;
  ready(): Promise<{
    readonly ready: boolean;
    readonly reasons: readonly string[];
    readonly alarms?: readonly string[];
  }>;
  /** Waits until the index answers about a tree of this size. */
  complete(log: FakeLog, size?: number): Promise<void>;
  close(): Promise<void>;
}

export async function service(logs: readonly FakeLog[], more: object = {}, dir = tempDir()): Promise<Service> {
  const file = join(dir, 'index.yaml');
  const places = await Promise.all(logs.map((log) => log.listen()));
  const write = (others: object) =>
    writeFileSync(
      file,
      JSON.stringify({
        listen: { port: 0 },
        admin: { port: 0 },
        poll: '100ms',
        retry: '10ms',
        threads: 0,
        // A test asks again and again.
        rateLimit: { max: 0 },
        log: { level: 'silent' },
        logs: logs.map((log, i) => ({ url: places[i], keys: [log.vkey] })),
        ...others,
      }),
    );
  write(more);
  const reread = () => loadIndexConfig(file);
  const running = await serveIndex({ config: reread(), reread });
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= running.close());
  later(close);
  const get: Service['get'] = async (path, init) => {
    const reply = await fetch(`${running.url}${path}`, init);
    const text = await reply.text();
    const json = reply.headers.get('content-type')?.startsWith('application/json');
    return { status: reply.status, headers: reply.headers, body: json ? JSON.parse(text) : text };
  };
  return {
    ...running,
    dir,
    get,
    close,
    reload: async (others) => {
      write({ ...more, ...others });
      await running.reload();
    },
    ready: async () =>
      (await (await fetch(`${running.adminUrl}/readyz`)).json()) as Awaited<ReturnType<Service['ready']>>,
    complete: async (log, size = log.size) => {
      await until(async () => {
        const { body } = await get('/stele/v1/index');
        return body.logs.find(({ origin }: { origin: string }) => origin === log.origin)?.size === size;
      });
    },
  };
}
