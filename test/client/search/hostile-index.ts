/** A small HTTP server in the place of an index: it answers whatever a test wants. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { searchPageJson } from '../../../client/search/search-json.ts';
import type { SearchPage } from '../../../client/search/types.ts';
import type { FakeLog } from '../../support/fake-log.ts';

export interface HostileIndex {
  readonly url: string;
  /** Addresses of queries that were asked. */
  readonly asked: URL[];
  close(): Promise<void>;
}

type Answer = SearchPage | ((request: IncomingMessage, response: ServerResponse) => void);

/** @param answer of the n-th query, from 0 */
export async function hostileIndex(
  logs: readonly FakeLog[],
  answer: (query: URL, n: number) => Answer,
): Promise<HostileIndex> {
  const asked: URL[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://index.test');
    const json = (value: unknown, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (url.pathname === '/stele/v1/index') {
      const described = logs.map((log) => ({
        origin: log.origin,
        size: log.size,
        root: Buffer.from(log.view.tree.roots[log.size]!).toString('base64'),
        checkpoint: log.sign(log.text()),
      }));
      return json({ extractor: 'v1', logs: described });
    }
    if (url.pathname !== '/stele/v1/search') return json({ code: 'not-found', message: 'no' }, 404);
    const page = answer(url, asked.length);
    asked.push(url);
    if (typeof page === 'function') page(request, response);
    else json(searchPageJson(page));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
