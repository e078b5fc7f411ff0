/**
 * The configuration of an explorer, `explorer.json` beside its page: which logs it shows, and what it trusts about them.
 *
 *   {
 *     "version": 1,
 *     "logs": [{
 *       "origin": "log.example.com",            the first line of its checkpoints
 *       "url": "https://log.example.com",       absolute, or relative to the file: "/", "../"
 *       "keys": ["log.example.com+…"],          verifier keys, one or more
 *       "policy": "witness …\nquorum …\n",      tlog-policy, optional; without it no quorum is checked
 *       "index": "https://index.example.com",   of an index service, optional
 *       "map": {                                of a verifiable index, optional
 *         "outputLog": "https://out.example.com", "policy": "log …\n…", "rebuilders": "…" },
 *       "trustedRoot": { … }                    trusted_root.json, optional: for bundles and certificates
 *     }]
 *   }
 *
 * The page checks all that it shows against this file, so a mistake in it is an error, and so is a member that is not known.
 * The service of the page reads the same file: the page may connect to these addresses and to no others.
 */
import { encodeUtf8 } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { type Policy, parsePolicy } from './policy.ts';
import { printable } from './printable.ts';
import { parseStrictJson } from './rekor/strict-json.ts';
import { isKeyName, KEY_TYPE, parseVerifierKey, type VerifierKey } from './verifier-key.ts';

/** A log that an explorer shows. All of it is plain data, which threads can hand to each other. */
export interface ExplorerLog {
  readonly origin: string;
  /** An absolute http(s) URL without a slash at its end. */
  readonly url: string;
  readonly keys: readonly VerifierKey[];
  readonly policy?: Policy;
  readonly index?: string;
  readonly map?: ExplorerMap;
  /** As the file has it: an object that nobody has read yet. */
  readonly trustedRoot?: object;
}

/** The verifiable index of a log. */
interface ExplorerMap {
  /** URL of the output log. */
  readonly outputLog: string;
  /** Names the output log, and its witnesses. */
  readonly policy: Policy;
  /** Names the rebuilders, and their quorum. */
  readonly rebuilders?: Policy;
}

export interface ExplorerConfig {
  readonly logs: readonly ExplorerLog[];
}

/** Longest file, in bytes: a trusted root has some tens of kilobytes. */
export const MAX_EXPLORER_CONFIG = 4 * 1024 * 1024;
const MAX_LOGS = 64;
const MAX_KEYS = 16;
const MAX_URL = 2_048;
/** A host may hold characters that mean something in a Content-Security-Policy, such as `*`, `;` and `,`. */
const PLAIN_ORIGIN = /^https?:\/\/(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::[0-9]+)?$/;

/**
 * @param base the address of the file: an absolute http(s) URL, to which relative ones are relative
 * @throws MerkleError `bad-explorer`; the message names the member
 */
export function parseExplorerConfig(file: Uint8Array, base: string): ExplorerConfig {
  let value: unknown;
  try {
    value = parseStrictJson(file, 'the file', MAX_EXPLORER_CONFIG);
  } catch (cause) {
    throw wrong('the file', (cause as Error).message, cause);
  }
  const { version, logs } = members(value, 'the file', ['version', 'logs'], []);
  if (version !== 1) throw wrong('version', 'must be 1');
  if (!Array.isArray(logs) || logs.length === 0 || logs.length > MAX_LOGS) {
    throw wrong('logs', `must be a list of 1 to ${MAX_LOGS} logs`);
  }
  const read = logs.map((log, i) => readLog(log, `logs[${i}]`, base));
  for (const [i, { origin }] of read.entries()) {
    if (read.findIndex((other) => other.origin === origin) < i) {
      throw wrong(`logs[${i}].origin`, `"${printable(origin)}" is the origin of a log above`);
    }
  }
  return { logs: read };
}

/** The origins (scheme, host, port) of all addresses in the configuration, each once. */
export function explorerOrigins({ logs }: ExplorerConfig): string[] {
  const urls = logs.flatMap(({ url, index, map }) => [url, index, map?.outputLog]);
  return [...new Set(urls.filter((url) => url !== undefined).map((url) => new URL(url).origin))];
}

const REQUIRED = ['origin', 'url', 'keys'] as const;
const OPTIONAL = ['policy', 'index', 'map', 'trustedRoot'] as const;

function readLog(value: unknown, at: string, base: string): ExplorerLog {
  const log = members(value, at, REQUIRED, OPTIONAL);
  const origin = text(log.origin, `${at}.origin`);
  if (!isKeyName(origin)) throw wrong(`${at}.origin`, 'is no name of a log: it is empty, or has a space or a plus');
  const { policy, index, map, trustedRoot } = log;
  if (trustedRoot !== undefined && !isObject(trustedRoot)) throw wrong(`${at}.trustedRoot`, 'must be an object');
  return {
    origin,
    url: readUrl(log.url, `${at}.url`, base),
    keys: readKeys(log.keys, `${at}.keys`),
    ...(policy !== undefined && { policy: readPolicy(policy, `${at}.policy`) }),
    ...(index !== undefined && { index: readUrl(index, `${at}.index`, base) }),
    ...(map !== undefined && { map: readMap(map, `${at}.map`, base) }),
    ...(trustedRoot !== undefined && { trustedRoot }),
  };
}

function readMap(value: unknown, at: string, base: string): ExplorerMap {
  const { outputLog, policy, rebuilders } = members(value, at, ['outputLog', 'policy'], ['rebuilders']);
  const own = readPolicy(policy, `${at}.policy`);
  if (own.logs.length === 0) throw wrong(`${at}.policy`, 'names no log: it needs the line of the output log');
  return {
    outputLog: readUrl(outputLog, `${at}.outputLog`, base),
    policy: own,
    ...(rebuilders !== undefined && { rebuilders: readPolicy(rebuilders, `${at}.rebuilders`) }),
  };
}

function readKeys(value: unknown, at: string): VerifierKey[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_KEYS) {
    throw wrong(at, `must be a list of 1 to ${MAX_KEYS} verifier keys`);
  }
  return value.map((vkey, i) => {
    const where = `${at}[${i}]`;
    const key = reading(where, () => parseVerifierKey(text(vkey, where)));
    if (key.type === KEY_TYPE.cosignature) throw wrong(where, 'is the key of a witness, not of a log');
    return key;
  });
}

function readPolicy(value: unknown, at: string): Policy {
  return reading(at, () => parsePolicy(encodeUtf8(text(value, at))));
}

function readUrl(value: unknown, at: string, base: string): string {
  const given = text(value, at);
  if (given.length > MAX_URL) throw wrong(at, `is longer than ${MAX_URL} characters`);
  if (!/^(?:https?:\/\/|\.{0,2}\/(?!\/))/.test(given)) {
    throw wrong(at, 'is neither an http or https URL nor a path that begins with /, ./ or ../');
  }
  if (!URL.canParse(given, base)) throw wrong(at, 'is no URL');
  const url = new URL(given, base);
  if (!PLAIN_ORIGIN.test(url.origin)) throw wrong(at, 'has a host that is no plain name and no address');
  if (url.username !== '' || url.password !== '') throw wrong(at, 'has a user name or a password');
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(given)) throw wrong(at, 'has a query or a fragment');
  return url.href.replace(/\/+$/, '');
}

type Members<Name extends string> = Partial<Record<Name, unknown>>;

function members<Required extends string, Optional extends string>(
  value: unknown,
  at: string,
  required: readonly Required[],
  optional: readonly Optional[],
): Members<Required | Optional> {
  if (!isObject(value)) throw wrong(at, 'must be an object');
  const known: readonly string[] = [...required, ...optional];
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw wrong(at, `has the unknown member "${printable(unknown)}"`);
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw wrong(at, `has no member "${missing}"`);
  return value as Members<Required | Optional>;
}

function text(value: unknown, at: string): string {
  if (typeof value !== 'string') throw wrong(at, 'must be a text');
  return value;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function reading<T>(at: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw cause.code === 'bad-explorer' ? cause : wrong(at, cause.message, cause);
  }
}

function wrong(at: string, why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-explorer', `explorer.json: ${at}: ${why}`, { cause });
}
