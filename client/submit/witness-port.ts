/**
 * Addresses of other services in the place of a log's, whose 404 does not say what they are:
 *
 * - a witness (c2sp.org/tlog-witness) knows `add-checkpoint`, and an empty request there is malformed, which is status 400;
 * - a log of opaque entries alone says so at `/stele/v1/log`;
 * - a certificate-transparency log (RFC 6962 section 4.3) has `/ct/v1/get-sth`.
 */
import { ClientError } from '../errors.ts';
import { parseJson } from '../formats/json.ts';
import { attempt, DEFAULTS, type HttpReply, MAX_REPLY, refusal } from './log-request.ts';
import type { LogRequestOptions } from './types.ts';

/**
 * The error for an answer that no retry changes; it says where the address is that of another service.
 *
 * @param log as `parseLogUrl` gives it
 */
export async function refusalOf(log: string, reply: HttpReply, options: LogRequestOptions): Promise<ClientError> {
  if (reply.status !== 404) return refusal(reply);
  return (await witnessAt(log, options)) ?? (await rawLogAt(log, options)) ?? refusal(reply);
}

/** The error where the address is a witness's; undefined where it is not. @throws ClientError `cancelled` */
export async function witnessAt(log: string, options: LogRequestOptions): Promise<ClientError | undefined> {
  if (!(await isWitness(log, options))) return undefined;
  return new ClientError('refused', `${log} is the address of a witness, not of a log: give the log's own address`);
}

async function isWitness(log: string, options: LogRequestOptions): Promise<boolean> {
  try {
    const made = await attempt(`${log}/add-checkpoint`, '', DEFAULTS.reach, MAX_REPLY, options);
    return 'reply' in made && made.reply.status === 400;
  } catch (error) {
    if (error instanceof ClientError && error.code !== 'cancelled') return false;
    throw error;
  }
}

/** Whether what a log says about itself (docs/wire.md) is that it takes opaque entries alone. */
export function takesRawOnly(info: unknown): boolean {
  const { kinds } = (info ?? {}) as { readonly kinds?: unknown };
  if (!Array.isArray(kinds) || kinds.length === 0) return false;
  return kinds.every((one) => (one as { readonly kind?: unknown } | null)?.kind === 'raw');
}

async function rawLogAt(log: string, options: LogRequestOptions): Promise<ClientError | undefined> {
  if (!takesRawOnly(await jsonAt(`${log}/stele/v1/log`, options))) return undefined;
  const what = `${log} is a log of opaque entries (\`entries: raw\`), which takes no signed ones`;
  return new ClientError('refused', `${what}: send bytes to its POST /add, or sign for another log`);
}

/** The error where the address is that of a certificate-transparency log. @throws ClientError `cancelled` */
export async function ctLogAt(log: string, options: LogRequestOptions): Promise<ClientError | undefined> {
  const head = await jsonAt(`${log}/ct/v1/get-sth`, options);
  if (typeof (head as { readonly sha256_root_hash?: unknown } | null)?.sha256_root_hash !== 'string') return undefined;
  const what = `${log} is a certificate-transparency log (RFC 6962), another kind of log`;
  return new ClientError('unsupported', `${what}: what is read here has the files of c2sp.org/tlog-tiles`);
}

/** Undefined where there is no JSON. */
async function jsonAt(url: string, options: LogRequestOptions): Promise<unknown> {
  try {
    const made = await attempt(url, undefined, DEFAULTS.reach, MAX_REPLY, options);
    return 'reply' in made && made.reply.status === 200
      ? parseJson(made.reply.body, 'the answer', MAX_REPLY)
      : undefined;
  } catch (error) {
    if (error instanceof ClientError && error.code !== 'cancelled') return undefined;
    throw error;
  }
}
