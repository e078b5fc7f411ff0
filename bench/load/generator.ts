/**
 * The load generator: kept-alive connections with one request each under way. The requests are prepared before the run.
 *
 * It shares two cores with the server, so it must cost next to nothing. All raw sockets read into one buffer, and it reads
 * only the status, the length and the log indexes of a reply. A request takes 10 to 15 µs; undici takes 60.
 */
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

/** One request: its bytes with the head, and its number of entries. */
export interface Call {
  readonly bytes: Buffer;
  readonly entries: number;
}

export interface Outcomes {
  /** Time from the first request's write to the last reply. */
  readonly seconds: number;
  /** Number of sent calls: the first ones of the list. */
  readonly sent: number;
  /** Milliseconds of each call; NaN without a reply. */
  readonly latencies: Float64Array;
  /** Log index of each entry, in the order of the calls; NaN for a refused entry, and without a reply. */
  readonly indexes: Float64Array;
  /** Number of replies with a status other than 200 and 201, by status. */
  readonly refused: ReadonlyMap<number, number>;
  /** User and system time of this process, in seconds. */
  readonly cpu: number;
}

export function callOf(path: string, body: Buffer, entries = 1): Call {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  return { bytes: Buffer.concat([Buffer.from(head, 'latin1'), body]), entries };
}

export class Generator {
  readonly #connections: Connection[];

  private constructor(connections: Connection[]) {
    this.#connections = connections;
  }

  /** @param tls opens connections of TLS */
  static async open(port: number, connections: number, tls?: ConnectionOptions): Promise<Generator> {
    const open = () => (tls === undefined ? Connection.open(port) : Connection.openTls(port, tls));
    return new Generator(await Promise.all(Array.from({ length: connections }, open)));
  }

  /**
   * Sends all calls. Each connection sends its next call when it has a reply, or `pauseMs` later. After `limit` seconds, or
   * once `signal` aborts, the generator sends no further call: `sent` is the number of sent ones.
   */
  run(calls: readonly Call[], pauseMs = 0, limit = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<Outcomes> {
    const latencies = new Float64Array(calls.length).fill(Number.NaN);
    const firstEntry = new Uint32Array(calls.length);
    let entries = 0;
    calls.forEach((call, i) => {
      firstEntry[i] = entries;
      entries += call.entries;
    });
    const indexes = new Float64Array(entries).fill(Number.NaN);
    const refused = new Map<number, number>();
    let next = 0;
    let open = this.#connections.length;
    const cpu = process.cpuUsage();
    const started = performance.now();
    return new Promise((resolve) => {
      const finish = () => {
        if (--open > 0) return;
        const { user, system } = process.cpuUsage(cpu);
        const seconds = (performance.now() - started) / 1000;
        resolve({ seconds, sent: next, latencies, indexes, refused, cpu: (user + system) / 1e6 });
      };
      const send = (connection: Connection): void => {
        if (next === calls.length || performance.now() - started > limit * 1000 || signal?.aborted) {
          finish();
          return;
        }
        const at = next++;
        const call = calls[at]!;
        const sent = performance.now();
        connection.send(call.bytes, (status, body) => {
          if (status === 0) {
            finish();
            return;
          }
          latencies[at] = performance.now() - sent;
          if (status === 201 || call.entries === 1)
            indexes[firstEntry[at]!] = status < 300 ? singleIndex(body) : Number.NaN;
          else if (status === 200) bulkIndexes(body, indexes.subarray(firstEntry[at]!, firstEntry[at]! + call.entries));
          if (status >= 300) refused.set(status, (refused.get(status) ?? 0) + 1);
          if (pauseMs === 0) send(connection);
          else setTimeout(send, pauseMs, connection);
        });
      };
      for (const connection of this.#connections) send(connection);
    });
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/** Called with the whole body, which is valid until the call ends. Status 0 means that the connection broke. */
type OnReply = (status: number, body: Buffer) => void;

const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = /\r\ncontent-length: (\d+)\r\n/i;
const CHUNKED = /\r\ntransfer-encoding: chunked\r\n/i;
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');

class Connection {
  readonly #socket: Socket;
  #onReply: OnReply | undefined;
  /** The received pieces of a reply. */
  #pieces: Buffer[] = [];
  #length = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      let connection: Connection | undefined;
      const socket = connect({
        host: '127.0.0.1',
        port,
        noDelay: true,
        onread: {
          buffer: READ_BUFFER,
          callback: (length) => {
            connection!.#read(READ_BUFFER.subarray(0, length));
            return true;
          },
        },
      });
      socket.once('connect', () => {
        connection = new Connection(socket);
        resolve(connection);
      });
      socket.on('error', reject);
      socket.on('close', () => connection?.broken());
    });
  }

  static openTls(port: number, options: ConnectionOptions): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ ...options, host: '127.0.0.1', port }, () => {
        socket.setNoDelay(true);
        const connection = new Connection(socket);
        socket.on('data', (chunk: Buffer) => connection.#read(chunk));
        socket.on('close', () => connection.broken());
        resolve(connection);
      });
      socket.on('error', reject);
    });
  }

  send(bytes: Buffer, onReply: OnReply): void {
    this.#onReply = onReply;
    if (this.#socket.destroyed) this.broken();
    else this.#socket.write(bytes);
  }

  /** Handles a broken connection: no further reply comes. */
  broken(): void {
    this.#reply(0, READ_BUFFER.subarray(0, 0));
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#pieces.length > 0) {
      this.#pieces.push(Buffer.from(chunk));
      this.#length += chunk.length;
      // The reply of a bulk call comes in many pieces, so they are joined only when enough bytes are there.
      if (this.#length < replyLength(this.#pieces[0]!)) return;
      chunk = Buffer.concat(this.#pieces);
      this.#pieces = [];
    }
    const length = replyLength(chunk);
    if (chunk.length < length || (length === 0 && !chunk.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK))) {
      this.#pieces.push(Buffer.from(chunk));
      this.#length = chunk.length;
      return;
    }
    const status = Number(chunk.toString('latin1', 9, 12));
    this.#reply(status, chunk.subarray(chunk.indexOf(HEAD_END) + HEAD_END.length));
  }

  #reply(status: number, body: Buffer): void {
    const onReply = this.#onReply;
    this.#onReply = undefined;
    onReply?.(status, body);
  }
}

/**
 * Bytes of head and body; 0 if the body comes in chunks. If the head is not whole, more than any reply has, so that the reply
 * counts as lost.
 */
function replyLength(start: Buffer): number {
  const head = start.toString('latin1', 0, Math.min(start.length, 1024));
  const end = head.indexOf('\r\n\r\n');
  if (end === -1) return Number.POSITIVE_INFINITY;
  const length = LENGTH.exec(head)?.[1];
  if (length !== undefined) return end + 4 + Number.parseInt(length, 10);
  return CHUNKED.test(head) ? 0 : Number.POSITIVE_INFINITY;
}

const SINGLE = '{"logIndex":"';
/** The JSON of other logs may have spaces, and the length of a chunk before it. A raw log answers with the number alone. */
const ANY_SINGLE = /^(?:[0-9a-f]+\r\n)?(?:\{\s*"logIndex":\s*"(\d+)"|(\d+)\s*$)/;

function singleIndex(body: Buffer): number {
  const start = body.toString('latin1', 0, 40);
  if (start.startsWith(SINGLE)) return Number.parseInt(start.slice(SINGLE.length), 10);
  const match = ANY_SINGLE.exec(start);
  return Number(match?.[1] ?? match?.[2] ?? Number.NaN);
}

const RESULT = /\{"(?:entry":\{"logIndex":"(\d+)"|error":)/g;

/** The text of a proof cannot hold what `RESULT` looks for: base64, and JSON strings with escaped quotes. */
function bulkIndexes(body: Buffer, into: Float64Array): void {
  let at = 0;
  for (const match of body.toString('latin1').matchAll(RESULT)) into[at++] = Number(match[1] ?? Number.NaN);
}
