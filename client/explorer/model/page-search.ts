/** A search as it stands in the address of the page, and in its form. Anybody may have made the address. */

import { encodeUtf8 } from '../../../merkle/bytes.ts';
import type { KeyKind } from '../../../merkle/index/keys.ts';
import { ClientError, usage } from '../../errors.ts';
import type { SearchMatch, SearchQuery } from '../../search/types.ts';

/** What a person can search for, in the order of the form. */
export const SEARCH_KINDS: readonly { readonly kind: KeyKind; readonly label: string; readonly example: string }[] = [
  { kind: 'digest', label: 'Digest of a file', example: 'sha256:…' },
  { kind: 'identity', label: 'Identity in a certificate', example: 'release@example.com' },
  { kind: 'issuer', label: 'Issuer of an identity', example: 'https://accounts.example.com' },
  { kind: 'key', label: 'Key (SHA-256 of its SubjectPublicKeyInfo)', example: '64 digits' },
  { kind: 'extension', label: 'Extension of a certificate', example: '1.3.6.1.4.1.57264.1.12=https://…' },
  { kind: 'kind', label: 'Kind of entry', example: 'hashedrekord' },
];
export const SEARCH_MATCHES: readonly { readonly match: SearchMatch; readonly label: string }[] = [
  { match: 'exact', label: 'is' },
  { match: 'prefix', label: 'begins with' },
  { match: 're2', label: 'matches the pattern (RE2)' },
];
export const SEARCH_LIMIT = 20;
const MAX_VALUE = 10_240;
const MAX_PATTERN = 512;

/**
 * The query in an address: `kind`, `match`, `value`, `from`, `to`, `order`; undefined where it has no value.
 *
 * @throws ClientError `usage`: it is no query that an index takes
 */
export function searchOf(log: string, params: URLSearchParams): SearchQuery | undefined {
  const given = (params.get('value') ?? '').trim();
  if (given === '') return undefined;
  const kind = SEARCH_KINDS.find((one) => one.kind === (params.get('kind') ?? 'digest'))?.kind;
  const match = SEARCH_MATCHES.find((one) => one.match === (params.get('match') ?? 'exact'))?.match;
  if (kind === undefined || match === undefined) throw usage('the address names no kind of search that there is');
  const value = searchValue(kind, match, given);
  if (match === 're2' && value.length > MAX_PATTERN) throw usage(`a pattern has at most ${MAX_PATTERN} characters`);
  if (!value.isWellFormed() || encodeUtf8(value).length > MAX_VALUE)
    throw usage(`the value is longer than ${MAX_VALUE} bytes`);
  const from = indexOf(params.get('from'), 'from');
  const to = indexOf(params.get('to'), 'to');
  const order = params.get('order') === 'descending' ? 'descending' : 'ascending';
  return {
    log,
    terms: [{ kind, match, value }],
    limit: SEARCH_LIMIT,
    order,
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  };
}

/** A digest and a key may be pasted in capital letters, and a digest without the name of its hash. */
function searchValue(kind: KeyKind, match: SearchMatch, given: string): string {
  if (match !== 'exact') return given;
  if (kind === 'key' && /^[0-9A-Fa-f]{64}$/.test(given)) return given.toLowerCase();
  if (kind !== 'digest') return given;
  const found = /^(?:(sha256|sha384|sha512):)?([0-9A-Fa-f]+)$/i.exec(given);
  const hex = found?.[2]?.toLowerCase();
  const hash = hex === undefined ? undefined : HASHES.get(hex.length);
  if (hex === undefined || hash === undefined || (found?.[1]?.toLowerCase() ?? hash) !== hash) {
    throw usage('a digest is sha256: with 64 digits, sha384: with 96 or sha512: with 128, in hex');
  }
  return `${hash}:${hex}`;
}

const HASHES = new Map([
  [64, 'sha256'],
  [96, 'sha384'],
  [128, 'sha512'],
]);

function indexOf(text: string | null, what: string): number | undefined {
  if (text === null || text.trim() === '') return undefined;
  const value = Number(text);
  if (!/^[0-9]{1,16}$/.test(text.trim()) || !Number.isSafeInteger(value)) {
    throw new ClientError('usage', `"${what}" is not the number of an entry`);
  }
  return value;
}
