/**
 * How OpenSSL (1.0 to 3.5) compares names with name constraints, where that differs from Go's crypto/x509:
 * name-constraints.ts takes what both take.
 *
 * - A URI needs `://`. Its host ends at the first colon of all that follows, or else at the first slash, so that a user name,
 *   a query without a path and a colon in the path all become parts of the host.
 * - A host or mail domain is equal to a constraint without a leading dot, and never below it.
 * - A leading dot stands for the end of the whole name: a URI's host, or an address with its mailbox.
 */

/** Whether OpenSSL finds the name in a subtree. */
type OpensslMatcher = (subtree: string | Uint8Array) => boolean;

/** Undefined for a name that OpenSSL cannot compare, and refuses where a subtree of its kind is there. */
export function opensslMatcher(kind: 'dns' | 'email' | 'uri', value: string): OpensslMatcher | undefined {
  switch (kind) {
    case 'uri':
      return uriMatcher(value);
    case 'email':
      return emailMatcher(value);
    case 'dns':
      return dnsMatcher(value);
  }
}

function uriMatcher(uri: string): OpensslMatcher | undefined {
  const colon = uri.indexOf(':');
  if (colon < 0 || uri.slice(colon, colon + 3) !== '://') return undefined;
  const rest = uri.slice(colon + 3);
  const [end] = [rest.indexOf(':'), rest.indexOf('/'), rest.length].filter((at) => at >= 0);
  const host = rest.slice(0, end).toLowerCase();
  if (host === '') return undefined;
  return (subtree) => {
    const base = (subtree as string).toLowerCase();
    return base.startsWith('.') ? host.length > base.length && host.endsWith(base) : host === base;
  };
}

function emailMatcher(address: string): OpensslMatcher | undefined {
  const at = address.lastIndexOf('@');
  if (at < 0) return undefined;
  const [local, domain] = [address.slice(0, at), address.slice(at + 1).toLowerCase()];
  return (subtree) => {
    const base = subtree as string;
    const mark = base.lastIndexOf('@');
    if (mark < 0 && base.startsWith('.')) {
      return address.length > base.length && address.toLowerCase().endsWith(base.toLowerCase());
    }
    if (mark > 0 && base.slice(0, mark) !== local) return false;
    return base.slice(mark + 1).toLowerCase() === domain;
  };
}

function dnsMatcher(name: string): OpensslMatcher {
  const host = name.toLowerCase();
  return (subtree) => {
    const base = (subtree as string).toLowerCase();
    if (base === '' || host === base) return true;
    return host.endsWith(base.startsWith('.') ? base : `.${base}`);
  };
}

/**
 * The host that OpenSSL sees in a common name: two or more labels of letters, digits, `-` and `_`, without a hyphen beside a
 * dot. Empty for other text.
 */
export function dnsNameOf(commonName: string): string[] {
  const isHost = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?![.-]))*$/.test(commonName) && !/-\.|[.-]$/.test(commonName);
  return isHost && commonName.includes('.') ? [commonName] : [];
}
