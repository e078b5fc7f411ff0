/**
 * Patterns of SPIFFE IDs (spiffe/spiffe, standards/SPIFFE-ID.md), by whole segments of the path:
 *
 *   spiffe://example.org/build/linux    this ID alone
 *   spiffe://example.org/build/*        one segment below `/build`; `*` may stand in the place of any segment
 *   spiffe://example.org/build/**       every ID below `/build`, and not `/build` itself; `**` may stand at the end alone
 *   spiffe://example.org/**             every workload of the trust domain
 *
 * The trust domain has no pattern: each one is named in full.
 */
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';

/** Whether an ID, by its two parts, is one of the pattern. `path` is empty or begins with a slash. */
type SpiffeIdTest = (id: { readonly trustDomain: string; readonly path: string }) => boolean;

/** SPIFFE-ID section 2.1, of which Stele takes no port and no upper-case letter. */
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;
const SCHEME = 'spiffe://';
/** Bytes of a SPIFFE ID, section 2.3. */
const MAX_ID = 2048;

/** @throws MerkleError `bad-rule`; the message continues "the pattern …" */
export function compileSpiffePattern(pattern: string): SpiffeIdTest {
  const wrong = (why: string) => new MerkleError('bad-rule', `"${printable(pattern.slice(0, 200))}" ${why}`);
  if (pattern.length > MAX_ID) throw wrong(`has more than ${MAX_ID} characters`);
  if (!pattern.startsWith(SCHEME)) throw wrong('does not begin with spiffe://');
  const [trustDomain = '', ...segments] = pattern.slice(SCHEME.length).split('/');
  if (trustDomain.includes('*')) throw wrong('has a pattern for the trust domain, which must be named in full');
  if (!TRUST_DOMAIN.test(trustDomain)) {
    throw wrong('has no trust domain of 1 to 255 lower-case letters, digits, dots, hyphens and underscores');
  }
  if (segments.length === 0) {
    throw wrong(`is the ID of a trust domain, which no workload has: write ${SCHEME}${trustDomain}/** for all of them`);
  }
  const below = segments.at(-1) === '**';
  const fixed = below ? segments.slice(0, -1) : segments;
  for (const segment of fixed) {
    if (segment === '*') continue;
    if (segment === '**') throw wrong('has ** before its end');
    if (segment.includes('*')) throw wrong('has * within a segment: it stands for one whole segment');
    if (segment === '') throw wrong('has an empty segment');
    if (segment === '.' || segment === '..') throw wrong('has a segment . or ..');
    if (!SEGMENT.test(segment))
      throw wrong('has a segment of other characters than letters, digits, dots, hyphens and underscores');
  }
  return (id) => {
    if (id.trustDomain !== trustDomain || !id.path.startsWith('/')) return false;
    const own = id.path.slice(1).split('/');
    if (below ? own.length <= fixed.length : own.length !== fixed.length) return false;
    return own.every((part, i) => part !== '' && (i >= fixed.length || fixed[i] === '*' || fixed[i] === part));
  };
}
