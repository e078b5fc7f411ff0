/**
 * Credentials for registries from a file in the form of Docker's `config.json`, which is also that of a pull secret in Kubernetes
 * (`kubernetes.io/dockerconfigjson`):
 *
 *     { "auths": { "registry.example.com": { "auth": base64 of "user:password" } } }
 *
 * In place of `auth` there may be `username` and `password`. A key of `auths` may have `https://` before the host and a path behind it; the
 * longest path that the image lies in is used. Credential helpers (`credsStore`, `credHelpers`) are programs, and are never run.
 */
import { decodeBase64 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { readBounded, tooOpen } from '../../merkle/runtime/disk/bounded.ts';
import { errnoOf } from '../../merkle/runtime/disk/errno.ts';
import { ClientError } from '../errors.ts';
import { knownMembers, parseJson } from '../formats/json.ts';
import type { ImageName } from './image-name.ts';

const MAX_CONFIG = 1024 * 1024;
const HUB_KEYS = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/**
 * The credentials for an image's registry; undefined where the file has none.
 *
 * @throws ClientError `file`: the file cannot be read, is open to others, or is malformed. No error shows any of its content.
 */
export async function readCredentials(path: string, image: ImageName): Promise<Credentials | undefined> {
  const wrong = (why: string) => new ClientError('file', `the file of credentials ${printable(path)} ${why}`);
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(path, MAX_CONFIG, (stats) => {
      const open = tooOpen(path, stats);
      if (open !== undefined) throw wrong(open);
    });
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw wrong(`cannot be read: ${errnoOf(cause) ?? (cause as Error).message}`);
  }
  try {
    return credentialsFor(knownMembers(parseJson(bytes, 'the file', MAX_CONFIG), 'the file', ['auths']).auths, image);
  } catch {
    // Without the cause: a parser may show a piece of the secret.
    throw wrong('is malformed: {"auths": {"HOST": {"auth": "base64 of user:password"}}} is expected');
  }
}

function credentialsFor(auths: unknown, image: ImageName): Credentials | undefined {
  if (auths === undefined) return undefined;
  if (typeof auths !== 'object' || auths === null || Array.isArray(auths)) throw new Error('auths is no object');
  const fitting = Object.entries(auths)
    .map(([key, entry]) => ({ length: fit(key, image), entry: entry as unknown }))
    .filter(({ length }) => length >= 0)
    .sort((a, b) => b.length - a.length)[0];
  if (fitting === undefined) return undefined;
  const { auth, username, password } = knownMembers(fitting.entry, 'auths', ['auth', 'username', 'password']);
  if (auth !== undefined && auth !== '') {
    const text = Buffer.from(decodeBase64(String(auth))).toString();
    const colon = text.indexOf(':');
    if (colon < 1) throw new Error('auth holds no user');
    return { username: text.slice(0, colon), password: text.slice(colon + 1) };
  }
  if (typeof username !== 'string' || typeof password !== 'string' || username === '') return undefined;
  return { username, password };
}

/** The length of the path of a key of `auths` that names the image's registry; -1 for another registry. */
function fit(key: string, { domain, path }: ImageName): number {
  const [host = '', ...rest] = key.replace(/^https?:\/\//, '').split('/');
  const below = rest
    .join('/')
    .replace(/^v[12](?:\/|$)/, '')
    .replace(/\/+$/, '');
  const sameHost = host.toLowerCase() === domain.toLowerCase() || (domain === 'docker.io' && HUB_KEYS.includes(host));
  return sameHost && (below === '' || `${path}/`.startsWith(`${below}/`)) ? below.length : -1;
}
