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

/** Calls the admin port with the token; resolves with the JSON of a 200. */
export type AdminCall = <T>(method: 'GET' | 'POST', path: string, body?: object) => Promise<T>;

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

/** Not `fetch`: it gives up when no answer comes within five minutes. */
async function send({ tokenFile, service, timeoutMs = 0, error }: Owned, url: URL, method: string, body: string) {
  const authorization = `Bearer ${await readAdminToken(tokenFile)}`;
  const json = body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  try {
    const call = request(url, { method, headers: { authorization, ...json }, timeout: timeoutMs });
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.end(body);
    const [reply] = (await once(call, 'response')) as [IncomingMessage];
    return { status: reply.statusCode ?? 0, text: await text(reply) };
  } catch (cause) {
    const what = `the running ${service}'s admin port at ${url.origin} does not answer`;
    throw error(`${what}. Run this on the machine where the ${service} runs.`, undefined, { cause });
  }
}

function parse(json: string): { message?: unknown } {
  try {
    return (JSON.parse(json) as { message?: unknown } | null) ?? {};
  } catch {
    return {};
  }
}
