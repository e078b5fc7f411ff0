/**
 * SPIFFE IDs: SPIFFE-ID section 2.
 *
 *   spiffe://<trust domain>[/<segment>]…      spiffe://ci.example.com/build/main
 *
 * The text has exactly one spelling: no upper case in scheme or trust domain, no port, query, fragment or percent sign, no
 * empty or relative segment, no slash at the end. So two IDs are equal if their texts are equal.
 */
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';

export interface SpiffeId {
  /** The whole ID. */
  readonly text: string;
  readonly trustDomain: string;
  /** Empty, or a slash in front of each segment: `/build/main`. Only a workload's ID has a path. */
  readonly path: string;
}

const SCHEME = 'spiffe://';
/** SPIFFE-ID section 2.3, in characters, which are ASCII. */
const MAX_ID = 2048;
const MAX_TRUST_DOMAIN = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** @throws MerkleError `bad-spiffe-id` */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > MAX_ID) throw bad(text, `has ${text.length} characters; the limit is ${MAX_ID}`);
  if (!text.startsWith(SCHEME)) throw bad(text, `does not start with "${SCHEME}"`);
  const slash = text.indexOf('/', SCHEME.length);
  const end = slash < 0 ? text.length : slash;
  const trustDomain = text.slice(SCHEME.length, end);
  const why = whyNoTrustDomain(trustDomain);
  if (why !== undefined) throw bad(text, `has a trust domain that ${why}`);
  const path = text.slice(end);
  for (const segment of path === '' ? [] : path.slice(1).split('/')) {
    if (segment === '') throw bad(text, 'has an empty segment in its path, or a slash at its end');
    if (segment === '.' || segment === '..') throw bad(text, `has the relative segment "${segment}" in its path`);
    if (!SEGMENT.test(segment)) throw bad(text, 'has a path with a character other than a-z, A-Z, 0-9, ".", "-", "_"');
  }
  return { text, trustDomain, path };
}

/**
 * A name of a trust domain: `ci.example.com`. The ID of the domain, `spiffe://ci.example.com`, is the same name.
 * @throws MerkleError `bad-spiffe-id`
 */
export function parseTrustDomain(text: string): string {
  if (text.startsWith(SCHEME)) {
    const { trustDomain, path } = parseSpiffeId(text);
    if (path !== '') throw bad(text, 'is the ID of a workload, not of a trust domain');
    return trustDomain;
  }
  const why = whyNoTrustDomain(text);
  if (why !== undefined) throw new MerkleError('bad-spiffe-id', `the trust domain "${printable(text)}" ${why}`);
  return text;
}

function whyNoTrustDomain(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > MAX_TRUST_DOMAIN) return `has ${name.length} characters; the limit is ${MAX_TRUST_DOMAIN}`;
  return TRUST_DOMAIN.test(name) ? undefined : 'has a character other than a-z, 0-9, ".", "-", "_"';
}

function bad(text: string, why: string): MerkleError {
  return new MerkleError('bad-spiffe-id', `the SPIFFE ID "${printable(text)}" ${why}`);
}
