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
import type { ClientAddresses } from './client-address.ts';

/** A refused body is still read for so long, and up to so many times the limit. */
const LINGER_MS = 2000;
const LINGER_FACTOR = 2;

/** A body may come in so many pieces, and in one more for each so many bytes. */
const MAX_PIECES = 1024;
const LEAST_PIECE = 16;

/** So many bytes of one client are read in so many milliseconds: 50 MiB/s. A piece costs like so many bytes at least. */
const PACE_BYTES = 1024 * 1024;
const PACE_MS = 20;
const PIECE_COST = 1024;

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

/** A whole body. Its bytes count until the caller is done with them. */
export interface Body {
  readonly bytes: Buffer;
  /** Gives the room back; may be called again. */
  release(): void;
}

interface BodiesOptions {
  /** Read at each use, so that a service may change them. */
  readonly limits: () => BodyLimits;
  readonly clients: ClientAddresses;
  /** The error that `read` rejects with. `limit` is the one that `read` was given. */
  readonly refuse: (refusal: BodyRefusal, limit: number) => Error;
}

/** The bodies of one client: bytes in memory, and the bodies that are not whole yet. */
interface Client {
  held: number;
  readonly unfinished: Set<Reading>;
  /** Bytes read since the last turn of the pace. */
  read: number;
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
  /** Those that have read their bytes of this turn, and the requests that wait for the next. */
  readonly #paced = new Set<Client>();
  readonly #waiting = new Set<IncomingMessage>();

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
    const { refuse, clients } = this.#options;
    const declared = Number(request.headers['content-length'] ?? 0);
    return new Promise((resolve, reject) => {
      // A client that waits for "100 Continue" has sent nothing yet, and will not send it.
      if (declared > limit && request.headers.expect !== undefined) {
        reject(refuse('too-large', limit));
        return;
      }
      const name = clients.of(request);
      const client = this.#client(name);
      const most = declared > 0 ? declared : limit;
      let store: Buffer | undefined;
      let pieces = 0;
      let failure: BodyRefusal | undefined;
      let linger: NodeJS.Timeout | undefined;

      // The socket waits for the pace, and not the stream: a stream that waits keeps each piece of what was read before in an object
      // of its own, many times larger than a tiny piece. The stream itself would have the socket go on.
      const readMore = request._read.bind(request);
      request._read = (size) => {
        if (!this.#waiting.has(request)) readMore(size);
      };

      const fail = (refusal: BodyRefusal) => {
        if (failure !== undefined) return;
        failure = refusal;
        store = undefined;
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
          if (length > limit * LINGER_FACTOR) finish();
          return;
        }
        if (length > limit) return fail('too-large');
        if (++pieces > MAX_PIECES + length / LEAST_PIECE) {
          // Node parses all that it has read, some ten thousand pieces, before it can stop.
          clients.shutOut(request);
          return fail('fragmented');
        }
        const room = store?.length ?? 0;
        if (length > room) {
          const size = Math.min(most, Math.max(length, 2 * room));
          const refusal = this.#take(client, reading, size - room, limit);
          if (refusal !== undefined) return fail(refusal);
          // A copy: a chunk is a view of the socket's read buffer, which is many times larger.
          const larger = Buffer.allocUnsafe(size);
          store?.copy(larger, 0, 0, at);
          store = larger;
        }
        chunk.copy(store!, at);
      };
      const onGone = () => {
        if (failure === undefined) {
          failure = 'stopped';
          store = undefined;
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
        // The rest of the body may still fail, and an error without a listener would end the process. Without a listener for its
        // data the rest would be kept.
        request.on('error', () => {}).on('data', () => {});
        reject(refuse(failure, limit));
      };

      client.unfinished.add(reading);
      this.#unfinished.add(reading);
      this.#watch();
      request.on('data', onData).on('end', finish).on('error', onGone).on('close', onGone);
      if (declared > limit) fail('too-large');
    });
  }

  #client(name: string): Client {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = { held: 0, unfinished: new Set(), read: 0 };
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
    const idle = client.held === 0 && client.unfinished.size === 0;
    if (idle && this.#clients.get(name) === client) this.#clients.delete(name);
  }

  #pace(client: Client, bytes: number, request: IncomingMessage): void {
    client.read += Math.max(bytes, PIECE_COST);
    if (this.#paced.size === 0) setTimeout(() => this.#turn(), PACE_MS);
    this.#paced.add(client);
    if (client.read < PACE_BYTES || this.#waiting.has(request)) return;
    this.#waiting.add(request);
    request.socket.pause();
  }

  #turn(): void {
    for (const client of this.#paced) client.read = 0;
    this.#paced.clear();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { socket } of waiting) socket.resume();
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
