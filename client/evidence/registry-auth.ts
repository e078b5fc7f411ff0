/**
 * What a registry wants to know of a client (RFC 9110 section 11, and the token authentication of the distribution project): a name with a
 * password, or a token of a service that the registry names.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { parseJson } from '../formats/json.ts';

type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: URL; readonly service?: string };

export interface Token {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

const MAX_CHALLENGE = 4096;
const MAX_TOKEN = 16 * 1024;
export const MAX_TOKEN_REPLY = 64 * 1024;
/** What a service means that does not say how long its token lives. */
const TOKEN_SECONDS = 60;
const SCHEME = /(?:^|,)\s*(Basic|Bearer)\b/gi;
const PARAMETER = /\s*,?\s*([a-z]+)\s*=\s*(?:"([^"\\]*)"|([^\s",]+))/giy;

/** The challenge of a `WWW-Authenticate` header that this client can meet; a token is preferred. @throws ClientError `bad-reply` */
export function parseChallenge(header: string | null, from: string): Challenge {
  if (header === null || header.length > MAX_CHALLENGE) {
    throw new ClientError('bad-reply', `${from} asks for credentials (status 401) and does not say for which`);
  }
  const found = [...header.matchAll(SCHEME)].map((match) => ({
    scheme: match[1]!.toLowerCase(),
    parameters: parametersAt(header, match.index + match[0].length),
  }));
  const bearer = found.find(({ scheme }) => scheme === 'bearer')?.parameters;
  if (bearer !== undefined) {
    const realm = bearer.get('realm') ?? '';
    if (!URL.canParse(realm))
      throw new ClientError('bad-reply', `${from} asks for a token and names no service for it`);
    const service = bearer.get('service');
    return { scheme: 'bearer', realm: new URL(realm), ...(service === undefined ? {} : { service }) };
  }
  if (found.some(({ scheme }) => scheme === 'basic')) return { scheme: 'basic' };
  throw new ClientError('bad-reply', `${from} asks for credentials of an unknown kind: ${printable(header)}`);
}

function parametersAt(header: string, start: number): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  PARAMETER.lastIndex = start;
  for (let match = PARAMETER.exec(header); match !== null; match = PARAMETER.exec(header)) {
    const name = match[1]!.toLowerCase();
    if (!parameters.has(name)) parameters.set(name, match[2] ?? match[3] ?? '');
  }
  return parameters;
}

/** Reads the answer of a token service. @throws ClientError `bad-reply`, which shows nothing of the token */
export function parseToken(bytes: Uint8Array, from: string, now: number): Token {
  const malformed = () => new ClientError('bad-reply', `${from} answers with something else than a token`);
  let reply: { readonly token?: unknown; readonly access_token?: unknown; readonly expires_in?: unknown };
  try {
    reply = parseJson(bytes, 'the answer', MAX_TOKEN_REPLY) as typeof reply;
  } catch {
    throw malformed();
  }
  const token = reply?.token ?? reply?.access_token;
  // What does not fit into a header would be an error that shows the token.
  if (typeof token !== 'string' || token.length > MAX_TOKEN || !/^[\x21-\x7e]+$/.test(token)) throw malformed();
  const seconds = typeof reply.expires_in === 'number' && reply.expires_in > 0 ? reply.expires_in : TOKEN_SECONDS;
  return { token, until: now + Math.min(seconds, 3600) * 1000 };
}
