/** Clients of a log that is killed under them: what they sent, what was acknowledged to them, which checkpoints they saw. */
import { Agent, request } from 'undici';
import {
  dsseRequest,
  type EntryRequest,
  hashedRekordRequest,
  jsonValue,
  sharedSigner,
  toJson,
} from '../support/requests.ts';
import type { ServeProcess } from '../support/serve.ts';
import { checkInclusion, type Head, readCheckpoint } from '../support/tlog-reader.ts';

/** A request, and what the log has promised for it. */
export interface Item {
  readonly request: EntryRequest;
  readonly body: Buffer;
  /** Set by the first acknowledgement; every later one must say the same. */
  index: number | undefined;
  entry: Buffer | undefined;
}

interface Reply {
  readonly logIndex: string;
  readonly canonicalizedBody: string;
  readonly inclusionProof: {
    readonly rootHash: string;
    readonly treeSize: string;
    readonly hashes: string[];
    readonly checkpoint: { readonly envelope: string };
  };
}

export class History {
  readonly items: Item[] = [];
  /** Every checkpoint that any reader ever saw, by its whole text. */
  readonly checkpoints = new Map<string, Head>();
  acknowledged = 0;
  duplicates = 0;
  /** Set at the first start; it must stay for ever. */
  verifierKeys: readonly string[] = [];

  /** Takes a checkpoint that somebody was shown. Throws unless it is signed by the log's first key. */
  saw(note: string): Head {
    let head = this.checkpoints.get(note);
    if (head === undefined) {
      head = readCheckpoint(note, this.verifierKeys);
      this.checkpoints.set(note, head);
    }
    return head;
  }

  /** Takes a 201. Throws unless its proof holds and it says what was said before. */
  acknowledge(item: Item, reply: Reply): void {
    const index = Number(reply.logIndex);
    const entry = Buffer.from(reply.canonicalizedBody, 'base64');
    const { hashes, checkpoint } = reply.inclusionProof;
    const head = this.saw(checkpoint.envelope);
    checkInclusion(
      index,
      entry,
      hashes.map((hash) => Buffer.from(hash, 'base64')),
      head,
    );
    if (item.index === undefined) this.acknowledged++;
    else this.duplicates++;
    if (item.index !== undefined && item.index !== index) {
      throw new Error(`entry ${item.index} was acknowledged again as ${index}`);
    }
    item.index = index;
    item.entry = entry;
  }
}

/** New requests of several kinds and keys, ready to be sent. */
export function prepare(count: number): Item[] {
  return Array.from({ length: count }, (_, i) => {
    const request = makeRequest(i);
    return { request, body: toJson(request), index: undefined, entry: undefined };
  });
}

function makeRequest(i: number): EntryRequest {
  if (i % 50 === 0) return hashedRekordRequest(sharedSigner('rsa2048'));
  if (i % 20 === 1) return hashedRekordRequest(sharedSigner('p384'));
  if (i % 20 === 2) return dsseRequest(sharedSigner('p256'));
  if (i % 50 === 3) return hashedRekordRequest(sharedSigner('ed25519ph'));
  return hashedRekordRequest(sharedSigner('p256'), undefined, i % 4 === 0 ? 'x509Certificate' : 'publicKey');
}

/** Connections to one run of the server. */
export class Client {
  readonly #agent = new Agent({ connections: 32, pipelining: 1 });
  readonly #server: ServeProcess;
  readonly #history: History;

  constructor(server: ServeProcess, history: History) {
    this.#server = server;
    this.#history = history;
  }

  async get(path: string): Promise<Buffer> {
    const { statusCode, body } = await request(`${this.#server.url}/${path}`, { dispatcher: this.#agent });
    const bytes = Buffer.from(await body.arrayBuffer());
    if (statusCode !== 200) throw new Error(`GET ${path}: ${statusCode} ${bytes}`);
    return bytes;
  }

  async checkpoint(): Promise<Head> {
    return this.#history.saw((await this.get('checkpoint')).toString());
  }

  /** Sends one request; whether the log called it a duplicate. */
  async submit(item: Item): Promise<boolean> {
    const { statusCode, headers, text } = await this.#post('entries', item.body);
    if (statusCode !== 201) throw new Error(`POST: ${statusCode} ${text}`);
    this.#history.acknowledge(item, JSON.parse(text) as Reply);
    return headers['x-log-index'] === String(item.index);
  }

  /** Sends many in one bulk call. */
  async submitAll(items: readonly Item[]): Promise<void> {
    const body = Buffer.from(JSON.stringify({ requests: jsonValue(items.map(({ request }) => request)) }));
    const { statusCode, text } = await this.#post('entries:batch', body);
    if (statusCode !== 200) throw new Error(`POST batch: ${statusCode} ${text}`);
    const { results } = JSON.parse(text) as { results: { entry?: Reply; error?: unknown }[] };
    for (const [i, { entry, error }] of results.entries()) {
      if (entry === undefined) throw new Error(`item ${i} of a batch: ${JSON.stringify(error)}`);
      this.#history.acknowledge(items[i]!, entry);
    }
  }

  async #post(path: string, body: Buffer) {
    const url = `${this.#server.url}/api/v2/log/${path}`;
    const reply = await request(url, { method: 'POST', body, dispatcher: this.#agent });
    return { statusCode: reply.statusCode, headers: reply.headers, text: await reply.body.text() };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** Runs `work` on each of `items`, `width` at a time. */
export async function each<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items].values();
  const workers = Array.from({ length: width }, async () => {
    for (const item of left) await work(item);
  });
  await Promise.all(workers);
}
