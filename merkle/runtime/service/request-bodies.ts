/**
 * Request bodies: as bytes, read whatever the Content-Type says, and bounded: each, those of one client, and all together.
 *
 * | a client that … | is refused with |
 * |---|---|
 * | sends more than the limit of one body | `too-large` |
 * | sends its body slower than the least rate | `too-slow` |
 * | sends its body in tiny pieces, each of which costs as much as a large one | `fragmented`, and is shut out |
 * | has more bytes under way than the share of one client | `client-room` |
 *
 * The bodies of one client are read at a bounded pace, refused ones too, so that a flood takes no more than a part of a core.
 *
 * Bytes count when they arrive: a client that only declares a length takes no room. When all of the room is taken, the client
 * with the most bytes in unfinished bodies loses one of these to a client with fewer bytes.
 *
 * A refused body is still read for a little while, and its bytes are thrown away. An answer in the middle of a body makes Node
 * close the connection. The bytes in flight then make the kernel reset the connection, and the client never sees the answer.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { ClientAddresses } from './client-address.ts';

/** A refused body is still read for so long, and up to so many times the limit. */
const LINGER_MS = 2000;
const LINGER_FACTOR = 2;

/** A body may come in so many pieces, and in one more for each so many bytes. */
const MAX_PIECES = 1024;
const LEAST_PIECE = 16;

/**
 * So many bytes of one client are read in so many milliseconds: 25 MiB/s. Where several send, they share twice as much, with a
 * least part for each. A piece costs like so many bytes at least.
 */
const PACE_BYTES = 512 * 1024;
const LEAST_PACE_BYTES = PACE_BYTES / 4;
const PACE_MS = 20;
const PIECE_COST = 1024;

/** What a body reads at a time, before it can wait again. */
const READ_BYTES = 64 * 1024;

/** The part of all the room that one client may take. */
const SHARE = 3 / 4;

interface BodyLimits {
  /** Bytes of bodies in memory, all together. */
  readonly bodiesBytes: number;
  /** Those of one client, which may always have one whole body. Default: three quarters of `bodiesBytes`. */
  readonly bodiesBytesPerAddress?: number | undefined;
  /** Bytes a second that a body has at least, over each `bodyGrace` milliseconds. */
  readonly bodyRate: number;
  readonly bodyGrace: number;
}

/** `stopped`: the client ended or left in the middle of the body. `room`: there is no room for any client. */
export type BodyRefusal = 'too-large' | 'too-slow' | 'fragmented' | 'client-room' | 'room' | 'stopped';

/** What a client is told where no setting of the service is the reason. */
export const BODY_PROBLEMS = {
  fragmented: 'the request body comes in too many small pieces',
  stopped: 'the request body stopped before its end',
} as const satisfies Partial<Record<BodyRefusal, string>>;

/** A whole body. Its bytes count until the caller is done with them. */
export interface Body {
  readonly bytes: Buffer;
  /** Gives the room back; may be called again. */
  release(): void;
}

const NOTHING: Buffer = Buffer.alloc(0);

interface BodiesOptions {
  /** Read at each use, so that a service may change them. */
  readonly limits: () => BodyLimits;
  readonly clients: ClientAddresses;
  /**
   * The error that `read` rejects with. `limit` is the one that `read` was given, and `head` the first bytes of the body, as far
   * as they came.
   */
  readonly refuse: (refusal: BodyRefusal, limit: number, head: Uint8Array) => Error;
  /** So many bytes of a refused body are kept for `refuse`. Default 0. */
  readonly headBytes?: number;
}

/** The bodies of one client: bytes in memory, and the bodies that are not whole yet. */
interface Client {
  held: number;
  readonly unfinished: Set<Reading>;
  /** How many bodies are read to be thrown away. */
  discarded: number;
  /** Bytes read that no turn of the pace has paid for. */
  read: number;
  /** Requests whose sockets wait for a turn, the first to wait first. */
  readonly waiting: Set<IncomingMessage>;
}

interface Reading {
  held: number;
  received: number;
  /** `received` at the begin of this stretch of time, and how many ticks have passed in it. */
  mark: number;
  ticks: number;
  readonly refuse: (refusal: BodyRefusal) => void;
}

/** The room for the bodies of one server. */
export class RequestBodies {
  readonly #options: BodiesOptions;
  readonly #clients = new Map<string, Client>();
  readonly #unfinished = new Set<Reading>();
  readonly #tickMs: number;
  #held = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Those that have read bytes for which a turn must come. */
  readonly #paced = new Set<Client>();

  constructor(options: BodiesOptions) {
    this.#options = options;
    this.#tickMs = Math.max(20, Math.min(1000, Math.floor(options.limits().bodyGrace / 4)));
  }

  /** Bytes of bodies in memory. */
  get held(): number {
    return this.#held;
  }

  /** Reads a whole body of at most `limit` bytes. Rejects with what `refuse` returns. */
  read(request: IncomingMessage, limit: number): Promise<Body> {
    const { refuse, clients, headBytes = 0 } = this.#options;
    const declared = Number(request.headers['content-length'] ?? 0);
    return new Promise((resolve, reject) => {
      // A client that waits for "100 Continue" has sent nothing yet, and will not send it, unless its first bytes are wanted.
      if (declared > limit && request.headers.expect !== undefined && headBytes === 0) {
        reject(refuse('too-large', limit, NOTHING));
        return;
      }
      const name = clients.of(request);
      const client = this.#client(name);
      const most = declared > 0 ? declared : limit;
      let store: Buffer | undefined;
      /** Bytes of `store` that are bytes of the body. */
      let filled = 0;
      let pieces = 0;
      let failure: BodyRefusal | undefined;
      let linger: NodeJS.Timeout | undefined;
      let head = NOTHING;

      letSocketWait(request, client);
      const fail = (refusal: BodyRefusal, chunk?: Buffer) => {
        if (failure !== undefined) return;
        failure = refusal;
        keepHead(chunk);
        this.#release(name, client, reading);
        if (refusal === 'too-slow' || refusal === 'fragmented') finish();
        else linger = setTimeout(finish, LINGER_MS);
      };
      const reading: Reading = { held: 0, received: 0, mark: 0, ticks: 0, refuse: fail };

      const onData = (chunk: Buffer) => {
        this.#pace(client, chunk.length, request);
        const at = reading.received;
        const length = at + chunk.length;
        reading.received = length;
        if (failure !== undefined) {
          keepHead(chunk);
          if (length > limit * LINGER_FACTOR) finish();
          return;
        }
        if (length > limit) return fail('too-large', chunk);
        if (inTinyPieces(++pieces, length)) {
          // Node parses all that it has read, some ten thousand pieces, before it can stop.
          clients.shutOut(request);
          return fail('fragmented', chunk);
        }
        const room = store?.length ?? 0;
        if (length > room) {
          const size = Math.min(most, Math.max(length, 2 * room));
          const refusal = this.#take(client, reading, size - room, limit);
          if (refusal !== undefined) return fail(refusal, chunk);
          // A copy: a chunk is a view of the socket's read buffer, which is many times larger.
          const larger = Buffer.allocUnsafe(size);
          store?.copy(larger, 0, 0, at);
          store = larger;
        }
        chunk.copy(store!, at);
        filled = length;
      };
      const onGone = () => {
        if (failure === undefined) {
          failure = 'stopped';
          keepHead();
        }
        finish();
      };
      const finish = () => {
        clearTimeout(linger);
        request.off('data', onData).off('end', finish).off('error', onGone).off('close', onGone);
        client.unfinished.delete(reading);
        this.#unfinished.delete(reading);
        if (failure === undefined) {
          const bytes = this.#fit(client, reading, store);
          resolve({ bytes, release: () => this.#release(name, client, reading) });
          return;
        }
        this.#release(name, client, reading);
        this.#throwAway(request, name, client);
        reject(refuse(failure, limit, head));
      };
      /** Gives up the body, but for its first bytes. `chunk` are those after the bytes in `store`. */
      const keepHead = (chunk: Buffer = NOTHING) => {
        const kept = store?.subarray(0, Math.min(headBytes, filled)) ?? head;
        if (store !== undefined || kept.length < headBytes) {
          head = Buffer.concat([kept, chunk.subarray(0, headBytes - kept.length)]);
        }
        store = undefined;
      };

      client.unfinished.add(reading);
      this.#unfinished.add(reading);
      this.#watch();
      request.on('data', onData).on('end', finish).on('error', onGone).on('close', onGone);
      if (declared > limit) fail('too-large');
    });
  }

  /** Reads the rest of a body that nobody wants, at the same pace, for as long as the server lets it come. */
  discard(request: IncomingMessage): void {
    const name = this.#options.clients.of(request);
    const client = this.#client(name);
    letSocketWait(request, client);
    this.#throwAway(request, name, client);
  }

  #throwAway(request: IncomingMessage, name: string, client: Client): void {
    let pieces = 0;
    let length = 0;
    client.discarded++;
    request.once('close', () => {
      client.discarded--;
      this.#forget(name, client);
    });
    // The rest of the body may still fail, and an error without a listener would end the process.
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => {
      this.#pace(client, chunk.length, request);
      length += chunk.length;
      if (!inTinyPieces(++pieces, length)) return;
      this.#options.clients.shutOut(request);
      request.destroy();
    });
  }

  #client(name: string): Client {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = { held: 0, unfinished: new Set(), discarded: 0, read: 0, waiting: new Set() };
      this.#clients.set(name, client);
    }
    return client;
  }

  /** Counts `bytes` more for a body; the reason where there is no room for them. */
  #take(client: Client, reading: Reading, bytes: number, limit: number): 'client-room' | 'room' | undefined {
    const { bodiesBytes, bodiesBytesPerAddress: share = bodiesBytes * SHARE } = this.#options.limits();
    const full = () => this.#held + bytes > bodiesBytes;
    if (client.held + bytes > Math.max(share, limit)) return full() ? 'room' : 'client-room';
    while (full()) {
      const loser = this.#loser(client.held + bytes);
      if (loser === undefined) return 'room';
      loser.refuse('room');
    }
    this.#count(client, reading, bytes);
    return undefined;
  }

  #count(client: Client, reading: Reading, bytes: number): void {
    this.#held += bytes;
    client.held += bytes;
    reading.held += bytes;
  }

  /** The largest unfinished body of the client that has the most bytes, and more than `held`. */
  #loser(held: number): Reading | undefined {
    let most = held;
    let heaviest: Client | undefined;
    for (const client of this.#clients.values()) {
      if (client.held <= most || client.unfinished.size === 0) continue;
      most = client.held;
      heaviest = client;
    }
    let largest: Reading | undefined;
    for (const reading of heaviest?.unfinished ?? []) {
      if (reading.held > (largest?.held ?? 0)) largest = reading;
    }
    return largest;
  }

  /** The bytes of a whole body, in no more memory than they need. */
  #fit(client: Client, reading: Reading, store: Buffer | undefined): Buffer {
    const { received, held } = reading;
    if (store === undefined || store.length === received) return store ?? Buffer.alloc(0);
    this.#count(client, reading, received - held);
    return Buffer.from(store.subarray(0, received));
  }

  #release(name: string, client: Client, reading: Reading): void {
    this.#count(client, reading, -reading.held);
    this.#forget(name, client);
  }

  /** Forgets a client that has nothing here any more. */
  #forget(name: string, client: Client): void {
    const idle = client.held === 0 && client.unfinished.size === 0 && client.discarded === 0;
    if (idle && this.#clients.get(name) === client) this.#clients.delete(name);
  }

  #pace(client: Client, bytes: number, request: IncomingMessage): void {
    client.read += Math.max(bytes, PIECE_COST);
    if (this.#paced.size === 0) setTimeout(() => this.#turn(), PACE_MS);
    this.#paced.add(client);
    if (client.read < this.#paceBytes() || client.waiting.has(request)) return;
    client.waiting.add(request);
    // Later, because the read that brought these bytes may have asked the socket to go on at the end of this turn of Node's.
    process.nextTick(() => {
      if (client.waiting.has(request)) sourceOf(request).pause();
    });
  }

  #turn(): void {
    const bytes = this.#paceBytes();
    for (const client of this.#paced) {
      client.read = Math.max(0, client.read - bytes);
      if (client.read < bytes) goOn(client, bytes / READ_BYTES);
      if (client.read === 0 && client.waiting.size === 0) this.#paced.delete(client);
    }
    if (this.#paced.size > 0) setTimeout(() => this.#turn(), PACE_MS);
  }

  /** Bytes of one client in one turn. */
  #paceBytes(): number {
    return Math.max(LEAST_PACE_BYTES, Math.min(1, 2 / this.#paced.size) * PACE_BYTES);
  }

  #watch(): void {
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  /**
   * Time is counted in ticks, of which an event loop that was held up has fewer: the bytes of a body may wait in the kernel
   * meanwhile.
   */
  #tick(): void {
    const { bodyRate, bodyGrace } = this.#options.limits();
    for (const reading of [...this.#unfinished]) {
      const ms = ++reading.ticks * this.#tickMs;
      if (ms < bodyGrace) continue;
      if (reading.received - reading.mark < (bodyRate * ms) / 1000) {
        reading.refuse('too-slow');
      } else {
        reading.mark = reading.received;
        reading.ticks = 0;
      }
    }
    if (this.#unfinished.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function inTinyPieces(pieces: number, length: number): boolean {
  return pieces > MAX_PIECES + length / LEAST_PIECE;
}

/**
 * Has the socket of a request wait for the pace, and not the stream: a stream that waits keeps each piece of what was read before in
 * an object of its own, many times larger than a tiny piece. The stream itself would have the socket go on.
 */
function letSocketWait(request: IncomingMessage, { waiting }: Client): void {
  const readMore = request._read.bind(request);
  request._read = (size) => {
    if (!waiting.has(request)) readMore(size);
  };
}

/** What is stopped to stop a body: with HTTP/2 its stream, since other requests share the socket. */
function sourceOf(request: IncomingMessage): { pause(): unknown; resume(): unknown } {
  return request.httpVersionMajor === 1 ? request.socket : (request as unknown as Http2ServerRequest).stream;
}

/** Lets at most `count` bodies of a client go on, those that wait longest. */
function goOn({ waiting }: Client, count: number): void {
  let left = count;
  for (const request of waiting) {
    if (left-- < 1) return;
    waiting.delete(request);
    sourceOf(request).resume();
  }
}
