/** What `stele search` looks for: its options as terms of a query. */
import { createHash } from 'node:crypto';
import { encodeHex } from '../../../merkle/bytes.ts';
import { issuerIdentity } from '../../../merkle/index/keys.ts';
import { printable } from '../../../merkle/printable.ts';
import { FULCIO_EXTENSIONS } from '../../../merkle/x509/fulcio.ts';
import { usage } from '../../errors.ts';
import { isDigest, parseDigest } from '../../formats/checksums.ts';
import type { SearchMatch, SearchTerm } from '../../search/types.ts';
import { digestsOf } from '../digests.ts';
import { readPublicKey } from '../files.ts';

export interface TermOptions {
  readonly digest?: string;
  readonly identity?: string;
  readonly issuer?: string;
  readonly key?: string;
  readonly extension?: readonly string[];
  readonly kind?: string;
  readonly prefix?: boolean;
  readonly re2?: boolean;
}

/** All terms of one hold together. */
type Terms = readonly SearchTerm[];

const HASHES = ['sha256', 'sha384', 'sha512'] as const;
const OID = /^[0-9]+(?:\.[0-9]+)+$/;

/**
 * One list of terms for each query that is needed: a file has a digest by each hash that logs take, and one of them is enough.
 *
 * @throws ClientError `usage`, `file`, `key`, `cancelled`
 */
export async function searchTerms(options: TermOptions, signal: AbortSignal): Promise<readonly Terms[]> {
  const { digest, identity, issuer, key, extension = [], kind, prefix, re2 } = options;
  if (prefix === true && re2 === true) throw usage('--prefix and --re2 are two ways to compare: keep one');
  const match: SearchMatch = prefix === true ? 'prefix' : re2 === true ? 're2' : 'exact';
  if (match !== 'exact' && identity === undefined && issuer === undefined && extension.length === 0) {
    throw usage(`--${match} is about --identity, --issuer and --extension: give one of them`);
  }
  const shared: SearchTerm[] = [
    ...nameTerms(identity, issuer, match),
    ...extension.map((given) => extensionTerm(given, match)),
    ...(key === undefined ? [] : [{ kind: 'key', match: 'exact', value: await keyOf(key) } as const]),
    ...(kind === undefined ? [] : [{ kind: 'kind', match: 'exact', value: kind } as const]),
  ];
  if (digest === undefined) {
    if (shared.length > 0) return [shared];
    throw usage('say what to look for: --digest, --identity, --issuer, --key, --extension or --kind');
  }
  const digests = await digestsFor(digest, signal);
  return digests.map((value) => [{ kind: 'digest', match: 'exact', value }, ...shared]);
}

/** Of one certificate, where both are given as they stand in it: an entry may have several. */
function nameTerms(identity: string | undefined, issuer: string | undefined, match: SearchMatch): SearchTerm[] {
  if (identity !== undefined && issuer !== undefined && match === 'exact') {
    return [{ kind: 'issuer-identity', match, value: issuerIdentity(issuer, identity) }];
  }
  return [
    ...(identity === undefined ? [] : [{ kind: 'identity', match, value: identity } as const]),
    ...(issuer === undefined ? [] : [{ kind: 'issuer', match, value: issuer } as const]),
  ];
}

function extensionTerm(given: string, match: SearchMatch): SearchTerm {
  const at = given.indexOf('=');
  const name = given.slice(0, at);
  const oid = Object.hasOwn(FULCIO_EXTENSIONS, name) ? FULCIO_EXTENSIONS[name] : OID.test(name) ? name : undefined;
  if (at < 1 || oid === undefined) {
    throw usage(
      `--extension "${printable(given)}" is not NAME=VALUE, with the name or the OID of an extension of Fulcio`,
    );
  }
  const value = given.slice(at + 1);
  // The pattern is about the value, which stands behind the OID.
  if (match === 're2') return { kind: 'extension', match, value: `^${oid.replaceAll('.', '\\.')}=(?:${value})` };
  return { kind: 'extension', match, value: `${oid}=${value}` };
}

async function digestsFor(given: string, signal: AbortSignal): Promise<string[]> {
  if (isDigest(given)) {
    const { hash, value } = parseDigest(given);
    return [`${hash}:${encodeHex(value)}`];
  }
  const { digests } = await digestsOf(given, HASHES, signal);
  return HASHES.map((name) => `${name}:${encodeHex(digests[name]!)}`);
}

/** SHA-256 of the SubjectPublicKeyInfo, in hex. */
async function keyOf(given: string): Promise<string> {
  if (/^[0-9a-f]{64}$/i.test(given)) return given.toLowerCase();
  const { spki } = await readPublicKey(given);
  return createHash('sha256').update(spki).digest('hex');
}
