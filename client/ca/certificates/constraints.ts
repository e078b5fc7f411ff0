/**
 * Which names an authority may certify. OpenSSL and Go read name constraints differently, and Node reads none: a name is
 * certified only where both take it (merkle/x509/name-constraints.ts), and in a form that every reader reads the same way.
 */
import { printable } from '../../../merkle/printable.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { whyNotPermitted } from '../../../merkle/x509/name-constraints.ts';
import { withClientErrors } from '../../merkle-errors.ts';

/** A reserved domain, which no name is in: RFC 6761 section 6.4. */
export const NOBODY = 'invalid';
/** Longest name of a certificate: a SPIFFE ID has at most 2,048 bytes. */
const MAX_NAME = 2_048;
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
/** Not one that ends in a number: that is an IPv4 address to many readers, and Go takes no URI of one under constraints. */
const HOST = new RegExp(`^(?=.{1,253}$)(?!(?:.*\\.)?(?:${NOBODY}|[0-9]+|0x[0-9a-f]*)$)${LABEL}(?:\\.${LABEL})*$`);
/** Without `*`, which other software may take for a pattern. */
const MAILBOX = /^[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+)*$/;
/** Scheme, host, and the rest: a path of visible characters without colon, wildcard, query and fragment. */
const URI = /^[a-z][a-z0-9+.-]*:\/\/([^/:@?#[\]\\]+)((?:\/[!$&'()+,;=@A-Za-z0-9._~%-]+)*)$/;

/** A host name outside of `invalid`, no IP address, in lower case, an IDN as `xn--…`, without a dot at its end: what `NameSubtrees` and names hold. */
export function isPlainHost(text: string): boolean {
  return HOST.test(text);
}

/** An e-mail address without quotation marks, at a plain host. */
export function isPlainMailbox(text: string): boolean {
  const at = text.lastIndexOf('@');
  return at > 0 && MAILBOX.test(text.slice(0, at)) && isPlainHost(text.slice(at + 1));
}

/**
 * Why the authority may not certify a name, as the rest of a sentence that begins with "the certificate"; undefined if it may.
 * A kind of name that the authority has no constraint for is never certified.
 * @throws ClientError `malformed` where the authority's constraints are malformed
 */
export function notPermitted(authority: Certificate, name: AlternativeName): string | undefined {
  return badForm(name) ?? withClientErrors(() => whyNotPermitted(authority, name));
}

function badForm({ type, value }: AlternativeName): string | undefined {
  const what = `names "${printable(value).slice(0, 320)}"`;
  if (value.length > MAX_NAME) return `names something of more than ${MAX_NAME} characters`;
  switch (type) {
    case 'uri': {
      const [, host, path] = URI.exec(value) ?? [];
      if (host === undefined || path === undefined) {
        return `${what}, which is no URI of scheme, host and path alone`;
      }
      if (!isPlainHost(host)) return `${what}, whose host is no plain host name in lower case`;
      const parts = path.split('/').slice(1);
      const isTraversal = parts.some((part) => /^(?:\.|%2e){1,2}$/i.test(part));
      // %25 becomes a percent sign: a reader that decodes twice finds another path.
      return isTraversal || /%(?:25|2a|2f|5c|00)/i.test(path) ? `${what}, whose path steps aside` : undefined;
    }
    case 'email': {
      return isPlainMailbox(value)
        ? undefined
        : `${what}, which is no plain e-mail address with its domain in lower case`;
    }
    case 'dns':
      return isPlainHost(value) ? undefined : `${what}, which is no plain host name in lower case`;
    default:
      return `${what}, a kind of name that is not certified`;
  }
}
