/**
 * Small witnesses in this process. They cosign as c2sp.org/tlog-witness says, or misbehave in a way that the log must
 * survive.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { equal } from '../../merkle/bytes.ts';
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { cosign } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import {
  formatVerifierKey,
  KEY_TYPE,
  makeVerifierKey,
  type NoteSignature,
  noteVerifier,
  openNote,
  parseNote,
  type VerifierKey,
} from '../../merkle/note.ts';
import { verifyConsistency } from '../../merkle/proof.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { formatCosignatures, originHash, parseAddCheckpoint, parseCosignatures } from '../../merkle/witness.ts';

export type Behaviour =
  | 'good'
  /** Reads the request and never responds. */
  | 'hang'
  | 'garbage'
  /** Responds with a genuine cosignature over a checkpoint other than that of the request. */
  | 'another-tree'
  /** Responds with a cosignature by a key that is not in the policy. */
  | 'another-key'
  /** Responds with 409, each time with another size. */
  | 'random-sizes'
  /** Responds with 409 and a size larger than the log. */
  | 'larger'
  | 'error-500'
  /** Each request, also for its checkpoint, gets 502, as from a proxy whose witness is away. */
  | 'error-502'
  /** Accepts connections and never responds, also to requests for its checkpoint. */
  | 'hang-always'
  | 'unknown-log'
  | 'unknown-key'
  /** Refuses each checkpoint with an extension line. */
  | 'strict'
  /** Cosigns the first three lines of each checkpoint, whatever follows. */
  | 'three-lines'
  /** Holds the empty tree, and refuses each tree after it, as Sunlight 0.8.1 does. */
  | 'stuck';

export class TestWitness {
  behaviour: Behaviour = 'good';
  /** Each response waits for this promise. */
  before: Promise<void> = Promise.resolve();
  /** Seconds by which its clock is wrong. */
  clock = 0;
  /** The received request bodies. */
  requests = 0;
  inconsistent = 0;
  /** The sizes of the checkpoints that the log offered. */
  readonly sizes: number[] = [];
  /** Checkpoints with an extension line that it refused. */
  refused = 0;
  /** The newest request body. */
  body = '';
  /** Whether clients can fetch its checkpoint. */
  shows = true;
  /** How often clients fetched the witness's checkpoint. */
  shown = 0;
  /** Witnesses that cosign at this URL too. */
  readonly sharedBy: TestWitness[] = [];
  held: { readonly checkpoint: Checkpoint; readonly note: Uint8Array } | undefined;
  readonly name: string;
  readonly #logKey: VerifierKey;
  readonly #pair = generateKeyPairSync('ed25519');
  #server: Server | undefined;
  #port = 0;

  /** The witness knows only the log of `logKey`. */
  constructor(name: string, logKey: VerifierKey) {
    this.name = name;
    this.#logKey = logKey;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get key(): VerifierKey {
    return makeVerifierKey(`${this.name}.test`, KEY_TYPE.cosignature, rawKey(this.#pair));
  }

  get policyLine(): string {
    return `witness ${this.name} ${formatVerifierKey(this.key)} ${this.url}\n`;
  }

  /** Listens. After a stop, it uses the same port again. */
  async start(): Promise<this> {
    const server = createServer((request, response) => {
      if (request.method === 'GET') return this.#get(request.url ?? '', response);
      this.requests++;
      buffer(request)
        .then(async (body) => {
          await this.before;
          await this.#add(body, response);
        })
        .catch(() => response.writeHead(400).end());
    });
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }

  #get(path: string, response: ServerResponse): void {
    this.shown++;
    if (this.behaviour === 'hang-always') return;
    if (this.behaviour === 'error-502') return void response.writeHead(502).end();
    const mine = path === `/${originHash(this.#logKey.name)}/checkpoint`;
    if (!mine || !this.shows || this.held === undefined) response.writeHead(404).end();
    else response.end(this.held.note);
  }

  async #add(body: Uint8Array, response: ServerResponse): Promise<void> {
    const conflict = (size: number) => response.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end(`${size}\n`);
    if (this.behaviour === 'hang' || this.behaviour === 'hang-always') return;
    if (this.behaviour === 'error-502') return void response.writeHead(502).end();
    if (this.behaviour === 'unknown-log') return void response.writeHead(404).end('unknown log');
    if (this.behaviour === 'unknown-key') return void response.writeHead(403).end('invalid signature');
    if (this.behaviour === 'stuck') return void response.writeHead(422).end('bad consistency proof');
    if (this.behaviour === 'garbage') return void response.end('— not a signature\u0000');
    if (this.behaviour === 'error-500') return void response.writeHead(500).end('out of order');
    if (this.behaviour === 'random-sizes') return void conflict(this.requests % 7 === 0 ? 0 : this.requests % 3);
    if (this.behaviour === 'larger') return void conflict(1_000_000);
    this.body = Buffer.from(body).toString();
    const { oldSize, proof, note } = parseAddCheckpoint(body);
    const { text, others } = openNote(parseNote(note), [noteVerifier(this.#logKey, nodeNotePrimitives)]);
    if (others.length > 0) throw new Error('a line that is not the log’s own was sent');
    const checkpoint = parseCheckpoint(text);
    this.sizes.push(checkpoint.size);
    const { extensions } = checkpoint;
    if (this.behaviour === 'strict' && extensions.length > 0) {
      this.refused++;
      return void response.writeHead(400).end('extension lines are not supported');
    }
    if (this.behaviour === 'another-tree' || this.behaviour === 'another-key') {
      return void response.end(await this.#cosign(this.behaviour === 'another-tree' ? `${text}extension\n` : text));
    }
    const { size, root } = this.held?.checkpoint ?? { size: 0, root: fastSha256(new Uint8Array(0)) };
    if (oldSize !== size) return void conflict(size);
    try {
      const second = checkpoint.size;
      if (oldSize > 0) {
        verifyConsistency({ first: oldSize, second, firstRoot: root, secondRoot: checkpoint.root, hashes: proof });
      }
      if (oldSize === second && !equal(root, checkpoint.root)) throw new MerkleError('bad-proof', 'another root');
    } catch {
      this.inconsistent++;
      return void response.writeHead(422).end();
    }
    const signed = this.behaviour === 'three-lines' ? formatCheckpoint({ ...checkpoint, extensions: [] }) : text;
    const each = await Promise.all([this, ...this.sharedBy].map((witness) => witness.#cosign(signed)));
    this.held = { checkpoint, note: Buffer.concat([note, Buffer.from(each.join(''))]) };
    response.end(each.join(''));
  }

  /** Its cosignatures over any text. */
  async cosignatures(text: string): Promise<NoteSignature[]> {
    return parseCosignatures(await this.#cosign(text));
  }

  async #cosign(text: string): Promise<string> {
    const pair = this.behaviour === 'another-key' ? generateKeyPairSync('ed25519') : this.#pair;
    const key = makeVerifierKey(`${this.name}.test`, KEY_TYPE.cosignature, rawKey(pair));
    const signer = { key, sign: async (message: Uint8Array) => sign(null, message, pair.privateKey) };
    return formatCosignatures([await cosign(signer, Math.floor(Date.now() / 1000) + this.clock, text)]);
  }
}

function rawKey({ publicKey }: { readonly publicKey: KeyObject }): Uint8Array {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** A policy that requires cosignatures of `k` of these witnesses. */
export function policyOf(witnesses: readonly TestWitness[], k: number | 'all' | 'any'): string {
  const names = witnesses.map(({ name }) => name).join(' ');
  return `${witnesses.map(({ policyLine }) => policyLine).join('')}group quorum ${k} ${names}\nquorum quorum\n`;
}
