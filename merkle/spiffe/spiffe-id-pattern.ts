/**
 * Patterns of SPIFFE IDs, such as `spiffe://example.org/build/**`.
 *
 * The trust domain stands for itself: nobody vouches for the names of two trust domains at once. In the path, `*` stands for
 * any characters within one segment, also for none, and `**` as the last segment stands for one or more segments. A segment
 * that is `*` alone stands for one segment. Without a star, a pattern is one SPIFFE ID.
 */
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';

/** Longest SPIFFE ID in bytes: SPIFFE-ID section 2.3. */
const MAX_PATTERN = 2_048;
const PATTERN = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._*-]+)*)$/;

/** A SPIFFE ID that a reader of SPIFFE IDs has accepted. */
interface ReadSpiffeId {
  readonly trustDomain: string;
  /** '' or `/a/b`. */
  readonly path: string;
}

/** Whether a SPIFFE ID matches a pattern. */
type SpiffeIdTest = (id: ReadSpiffeId) => boolean;

/** @throws MerkleError `bad-rule`: the text is no pattern of SPIFFE IDs */
export function compileSpiffeIdPattern(text: string): SpiffeIdTest {
  const [, trustDomain, path] = (text.length <= MAX_PATTERN && PATTERN.exec(text)) || [];
  if (trustDomain === undefined || path === undefined) {
    throw bad(
      text,
      'such as spiffe://example.org/build/**: a trust domain in lower case, then segments of A-Z a-z 0-9 . _ - *',
    );
  }
  const segments = path.split('/').slice(1);
  const below = segments.at(-1) === '**';
  if (below) segments.pop();
  for (const segment of segments) {
    if (segment === '.' || segment === '..') throw bad(text, 'without the segments . and ..');
    if (segment.includes('**')) throw bad(text, 'where ** is the last segment, alone');
  }
  const matchers = segments.map(segmentMatcher);
  return (id) => {
    if (id.trustDomain !== trustDomain) return false;
    const given = id.path.split('/').slice(1);
    const fits = below ? given.length > matchers.length : given.length === matchers.length;
    return fits && matchers.every((matches, at) => matches(given[at]!));
  };
}

/** Takes time linear in the segment, times the pieces between stars. */
function segmentMatcher(pattern: string): (segment: string) => boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (segment) => segment === first;
  return (segment) => {
    if (segment.length < first.length + last.length) return false;
    if (!segment.startsWith(first) || !segment.endsWith(last)) return false;
    const end = segment.length - last.length;
    let at = first.length;
    for (const piece of rest) {
      const found = segment.indexOf(piece, at);
      if (found < 0 || found + piece.length > end) return false;
      at = found + piece.length;
    }
    return true;
  };
}

function bad(text: string, form: string): MerkleError {
  return new MerkleError(
    'bad-rule',
    `"${printable(text.slice(0, 200))}" is no pattern of SPIFFE IDs: give one ${form}`,
  );
}
