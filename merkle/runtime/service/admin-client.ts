/**
 * An operator's command on a data directory, whether its service runs or not: where another process owns the directory,
 * the admin port of that process does the work.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { readOwner } from '../disk/lock.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { readAdminToken } from './admin-token.ts';
import { connectionRefused } from './connection-refused.ts';
import { networkReason } from './fetch.ts';

/** Calls the admin port with the token; resolves with the JSON of a 200. */
export type AdminCall = <T>(method: 'GET' | 'POST', path: string, body?: object) => Promise<T>;

/** How a command connects to an admin port that speaks TLS. */
export interface AdminConnection {
  /** Checks the port, and shows an identity where the command has one. */
  readonly fetch: typeof fetch;
  /** The caller is known by its identity: the token is not sent. */
  readonly showsIdentity: boolean;
}

let connection: AdminConnection | undefined;

/** For one command, whose calls all go to one service: calls of https admin ports go over this connection from now on. */
export function connectAdminPorts(by: AdminConnection): void {
  connection = by;
}

interface Owned {
  /** The data directory. */
  readonly dir: string;
  /** The file with the admin token. */
  readonly tokenFile: string;
  /** What runs there, for messages: `log`, `witness`. */
  readonly service: string;
  /** Milliseconds without any byte of the answer. Default: no bound, because a large backup takes long. */
  readonly timeoutMs?: number;
  /** The error for a call that is answered with `status`, or not answered at all (undefined). */
  readonly error: (message: string, status: number | undefined, options?: ErrorOptions) => Error;
}

/** Runs `offline`, or `online` where a process with an admin port has the lock. @throws as both, and `owned.error` */
export async function offlineOr<T>(
  owned: Owned,
  offline: () => Promise<T>,
  online: (admin: AdminCall) => Promise<T>,
): Promise<T> {
  try {
    return await offline();
  } catch (error) {
    if (!(error instanceof RuntimeError && error.code === 'locked')) throw error;
    const url = (await readOwner(owned.dir))?.admin;
    if (url === undefined) throw error;
    return await online((method, path, body) => callAdmin(owned, new URL(path, url), method, body));
  }
}

async function callAdmin<T>(owned: Owned, url: URL, method: string, body?: object): Promise<T> {
  const reply = await send(owned, url, method, body === undefined ? '' : JSON.stringify(body));
  const answer = parse(reply.text);
  if (reply.status === 200) return answer as T;
  throw owned.error(String(answer.message ?? `status ${reply.status}`), reply.status);
}

interface Sent {
  readonly status: number;
  readonly text: string;
}

async function send(owned: Owned, url: URL, method: string, body: string): Promise<Sent> {
  const { tokenFile, service, error } = owned;
  const token = connection?.showsIdentity === true ? '' : await readAdminToken(tokenFile);
  const authorization = token === '' ? {} : { authorization: `Bearer ${token}` };
  const json = body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const headers = { ...authorization, ...json };
  if (url.protocol === 'https:') return await sendSecure(owned, url, { method, headers: headers as never, body });
  try {
    const call = request(url, { method, headers, timeout: owned.timeoutMs ?? 0 });
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.end(body);
    const [reply] = (await once(call, 'response')) as [IncomingMessage];
    return { status: reply.statusCode ?? 0, text: await text(reply) };
  } catch (cause) {
    const what = `the running ${service}'s admin port at ${url.origin} does not answer`;
    throw error(`${what}. Run this on the machine where the ${service} runs.`, undefined, { cause });
  }
}

async function sendSecure({ service, error, timeoutMs }: Owned, url: URL, init: RequestInit): Promise<Sent> {
  const port = `the running ${service}'s admin port at ${url.origin}`;
  if (connection === undefined) {
    throw error(
      `${port} speaks TLS: say by --ca or --server-id which server it must be, and by --client-svid or --client-cert who you are.`,
      undefined,
    );
  }
  const signal = timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) };
  try {
    const reply = await connection.fetch(url, { ...init, ...signal });
    return { status: reply.status, text: await reply.text() };
  } catch (cause) {
    const refused = connectionRefused(cause);
    const why =
      refused === undefined ? `does not answer: ${networkReason(cause)}` : `was not asked: ${refused.message}`;
    throw error(`${port} ${why}.`, undefined, { cause });
  }
}

function parse(json: string): { message?: unknown } {
  try {
    return (JSON.parse(json) as { message?: unknown } | null) ?? {};
  } catch {
    return {};
  }
}
