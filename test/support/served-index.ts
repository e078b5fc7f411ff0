/** A verifiable index over HTTP with both of its logs, all in this process, that can lie as a test wants. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LookupTrust } from '../../client/search/lookup-trust.ts';
import { searchPageJson } from '../../client/search/search-json.ts';
import { encodeBase64 } from '../../merkle/bytes.ts';
import type { IndexKey, KeyKind } from '../../merkle/index/keys.ts';
import { formatLookup } from '../../merkle/index/lookup.ts';
import { inclusionProof } from '../../merkle/proof.ts';
import { nodeSha256 } from '../merkle/helpers.ts';
import { FakeLog, View } from './fake-log.ts';
import { later } from './log-files.ts';
import { INPUT_ORIGIN, MemoryIndex, OUTPUT_ORIGIN } from './memory-index.ts';
import { CheckpointKey, quorumPolicy } from './signed-index.ts';

export class ServedIndex {
  readonly input = new FakeLog(new View([]), INPUT_ORIGIN);
  readonly output = new FakeLog(new View([]), OUTPUT_ORIGIN);
  readonly rebuilders = [1, 2].map((i) => new CheckpointKey(`rebuilder-${i}.example.com`, 'cosigner'));
  cosigners: readonly CheckpointKey[] = this.rebuilders;
  readonly map = new MemoryIndex((origin, leaves) => this.#note(origin, leaves.length));
  /** Changes an answer before it leaves; undefined: 503. */
  lie: (bytes: Uint8Array, key: IndexKey) => Uint8Array | undefined = (bytes) => bytes;
  /** The hits of the plain index: by default what the map has. */
  hits: (all: readonly number[]) => readonly number[] = (all) => all;
  /** Postings of one answer. */
  most: number | undefined;
  /** What the plain index answers about: by default the tree of the input log, whole. */
  plain: View | undefined;
  plainSize: number | undefined;
  readonly asked: string[] = [];

  add(bodies: readonly Uint8Array[]): void {
    this.input.view.grow(bodies);
    this.input.size = this.input.view.entries.length;
    for (const body of bodies) this.map.add(body);
  }

  publish(): void {
    this.map.publish();
    this.output.view.grow([this.map.outputLeaf]);
    this.output.size = this.output.view.entries.length;
  }

  get trust(): LookupTrust {
    return {
      input: { origin: INPUT_ORIGIN, keys: [this.input.key] },
      output: { origin: OUTPUT_ORIGIN, keys: [this.output.key] },
      rebuilders: quorumPolicy(this.rebuilders, 'all'),
    };
  }

  /** Resolves with the URL of the index. */
  async listen(): Promise<string> {
    const server = createServer((request, response) => {
      const url = new URL(request.url!, 'http://localhost');
      this.asked.push(url.pathname);
      const answer = this.#answer(url);
      if (answer === undefined) response.writeHead(503).end('{}');
      else response.end(answer);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    later(async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  #answer({ pathname, searchParams }: URL): Uint8Array | string | undefined {
    const { input } = this;
    const view = this.plain ?? input.view;
    const size = this.plainSize ?? input.size;
    const root = view.tree.roots[size]!;
    const checkpoint = input.sign(input.text(size, view));
    if (pathname === '/stele/v1/index') {
      const log = { origin: INPUT_ORIGIN, size, root: encodeBase64(root), checkpoint };
      return JSON.stringify({ extractor: 'v1', logs: [log] });
    }
    if (pathname === '/stele/v1/lookup') {
      const key = { kind: searchParams.get('kind') as KeyKind, value: searchParams.get('value')! };
      const since = Number(searchParams.get('since') ?? 0);
      return this.lie(formatLookup(this.map.lookup(key, since, this.most)), key);
    }
    const [kind, value] = [...searchParams].find(([name]) => !['log', 'limit', 'from', 'to'].includes(name))!;
    const { place } = this.map.lookup({ kind: kind as KeyKind, value });
    const { tree, entries } = view;
    const all = this.hits(place.kind === 'key' ? place.postings : []).filter((index) => index < size);
    const most = Number(searchParams.get('limit') ?? all.length);
    const hits = all.slice(0, most).map((index) => ({
      index,
      body: entries[index]!,
      proof: inclusionProof(index, size, tree.read, nodeSha256),
    }));
    const next = all.length > most ? { next: 'more' } : {};
    return JSON.stringify(searchPageJson({ log: INPUT_ORIGIN, size, root, checkpoint, hits, ...next }));
  }

  #note(origin: string, size: number): string {
    if (origin === INPUT_ORIGIN) return this.input.sign(this.input.text(size));
    const text = this.output.text(size);
    return this.output.sign(
      text,
      this.cosigners.map((key) => key.cosignature(text)),
    );
  }
}
