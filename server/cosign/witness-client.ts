/**
 * Requests to witnesses, over connections that are kept open: bounded in time and in bytes, redirects not followed. On
 * `node:http` and not on `fetch`: a publication waits for these requests, and `fetch` costs more for each of them.
 */
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Outgoing } from '../../merkle/runtime/identity/outgoing.ts';
import { ConnectionRefused } from '../../merkle/runtime/service/connection-refused.ts';
import type { Endpoint } from './policy.ts';

/** Why a witness gave no usable answer: the label of a metric. */
export type FailureReason =
  | 'unreachable'
  | 'timeout'
  | 'identity'
  | 'bad-reply'
  | 'unknown-log'
  | 'unknown-key'
  | 'refused'
  | 'disagrees'
  | 'wrong-clock'
  | 'stuck'
  | 'internal';

export interface Failed {
  readonly reason: FailureReason;
  /** The rest of a sentence that begins with the witness: "did not answer in 5 s". */
  readonly text: string;
  /** The end of that sentence for the log's operator alone: the error of this machine. */
  readonly detail?: string;
  /** The HTTP status, where it says what is wrong. */
  readonly status?: number;
  /** For the log's operator alone. */
  readonly cause?: unknown;
}

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

interface WitnessRequest {
  readonly method: 'GET' | 'POST';
  readonly endpoint: Pick<Endpoint, 'url' | 'witnesses'>;
  /** Below the URL of the endpoint. */
  readonly path: string;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
}

/** A cosignature is 150 bytes, or 3,300 with ML-DSA-44; a checkpoint can have a hundred of them. */
const MAX_REPLY = 512 * 1024;

export function isFailed<T extends object>(value: T | Failed): value is Failed {
  return 'reason' in value;
}

/** How witnesses are reached, each by its names. */
export type WitnessConnections = Pick<Outgoing, 'poolOf'>;

export class WitnessClient {
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });
  #outgoing: WitnessConnections | undefined;

  /** @param outgoing shows an identity, or checks those of witnesses; witnesses by http are then not asked. The caller closes it */
  constructor(outgoing?: WitnessConnections) {
    this.#outgoing = outgoing;
  }

  /** For the requests from now on. */
  use(outgoing: WitnessConnections | undefined): void {
    this.#outgoing = outgoing;
  }

  /** Never rejects. */
  async call(call: WitnessRequest): Promise<Reply | Failed> {
    const first = await this.#once(call);
    // The other end may close a kept connection just as it is used again. Asking a witness twice does no harm.
    return first === 'stale' ? ((await this.#once(call, false)) as Reply | Failed) : first;
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #once({ method, endpoint, path, body, timeoutMs }: WitnessRequest, retry = true): Promise<Reply | Failed | 'stale'> {
    return new Promise((resolve) => {
      const url = `${endpoint.url}/${path}`;
      const secure = url.startsWith('https:');
      const headers = body === undefined ? {} : { 'content-type': 'text/plain', 'content-length': body.length };
      let request: ClientRequest;
      try {
        if (this.#outgoing !== undefined && !secure) throw new ConnectionRefused('its URL is not https');
        const agent = secure
          ? (this.#outgoing?.poolOf(endpoint.witnesses.map(({ name }) => name)).agent() ?? this.#https)
          : this.#http;
        const options = { method, headers, agent };
        request = (secure ? httpsRequest : httpRequest)(url, options);
      } catch (error) {
        if (error instanceof ConnectionRefused) return resolve(notAsked(error));
        resolve({ reason: 'unreachable', text: 'has a URL that no request can be sent to' });
        return;
      }
      const finish = (result: Reply | Failed | 'stale') => {
        clearTimeout(timer);
        resolve(result);
      };
      const timer = setTimeout(() => {
        finish({ reason: 'timeout', text: `did not answer in ${timeoutMs / 1000} s` });
        request.destroy();
      }, timeoutMs);
      request.on('error', (error: NodeJS.ErrnoException) => {
        const stale = retry && request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        if (error instanceof ConnectionRefused) finish(notAsked(error));
        else finish(stale ? 'stale' : unreachable(error));
      });
      request.on('response', (response) => collect(response, finish));
      request.end(body);
    });
  }
}

function collect(response: IncomingMessage, finish: (result: Reply | Failed) => void): void {
  const parts: Buffer[] = [];
  let length = 0;
  response.on('data', (part: Buffer) => {
    length += part.length;
    parts.push(part);
    if (length <= MAX_REPLY) return;
    finish({ reason: 'bad-reply', text: `answered with more than ${MAX_REPLY} bytes` });
    response.destroy();
  });
  response.on('error', (error) => finish(unreachable(error)));
  response.on('aborted', () => finish({ reason: 'unreachable', text: 'closed the connection within its answer' }));
  response.on('end', () => {
    const contentType = response.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
    finish({ status: response.statusCode ?? 0, contentType, body: Buffer.concat(parts) });
  });
}

function notAsked({ message }: ConnectionRefused): Failed {
  return { reason: 'identity', text: 'was not asked', detail: ` (${message})` };
}

function unreachable(error: NodeJS.ErrnoException): Failed {
  const reason = 'unreachable';
  if (error.code === 'ECONNREFUSED') return { reason, text: 'refuses connections' };
  if (error.code === 'ENOTFOUND') return { reason, text: 'has a host name that is not known' };
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return { reason, text: 'closed the connection' };
  return { reason, text: 'cannot be reached', detail: ` (${error.code ?? 'no code'})` };
}
