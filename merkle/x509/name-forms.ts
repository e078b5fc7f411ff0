/**
 * The forms of domain names, URIs and e-mail addresses in certificates, as Go's crypto/x509 and net/url read them (Go
 * 1.26). cosign, sigstore-go and Rekor judge certificates with Go, so that a name must mean the same to Stele as to them.
 * All texts are ASCII (IA5String).
 */

const VISIBLE = /^[!-~]*$/;

/**
 * Whether `text` can be a domain name: labels of visible characters, none of them empty. The empty text is a name too.
 * @param constraint whether a dot may stand in front, as in the constraint `.example.com`
 */
export function isDomainName(text: string, constraint = false): boolean {
  if (text === '') return true;
  const name = constraint && text.startsWith('.') ? text.slice(1) : text;
  return VISIBLE.test(name) && !`.${name}.`.includes('..');
}

const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what no URI may have
const CONTROL = /[\0-\x1f\x7f]/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*(?=:)/;
const USER_INFO = /^(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*$/;
/** A host with percent signs, which stand as `%25`. Other escapes give characters that no domain name has. */
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=:\]<>"-]|%25)*$/;
const PORT = /^(?::[0-9]*)?$/;

/**
 * The host of a URI with its port, as it is written: `example.com:8080`, `[2001:db8::1]`. Empty for a URI without host, such
 * as `urn:x`; undefined for what is no URI, or has a host that is no domain name.
 */
export function hostOfUri(uri: string): string | undefined {
  const [main, fragment] = cut(uri, '#');
  if (BAD_ESCAPE.test(fragment) || CONTROL.test(main)) return undefined;
  const scheme = SCHEME.exec(main)?.[0];
  if (scheme === undefined && main.startsWith(':')) return undefined;
  const [rest] = cut(scheme === undefined ? main : main.slice(scheme.length + 1), '?');
  if (!rest.startsWith('/')) {
    // `urn:example` with a scheme, and a relative path without one. The latter has no colon in its first part.
    if (scheme !== undefined) return '';
    return BAD_ESCAPE.test(rest) || cut(rest, '/')[0].includes(':') ? undefined : '';
  }
  const hasAuthority = rest.startsWith('//') && (scheme !== undefined || !rest.startsWith('///'));
  const [authority] = hasAuthority ? cut(rest.slice(2), '/') : [''];
  if (BAD_ESCAPE.test(rest.slice(hasAuthority ? 2 + authority.length : 0))) return undefined;
  const at = authority.lastIndexOf('@');
  if (at >= 0 && !USER_INFO.test(authority.slice(0, at))) return undefined;
  const host = authority.slice(at + 1);
  if (!isHost(host, scheme?.toLowerCase())) return undefined;
  const plain = host.replaceAll('%25', '%');
  return isDomainName(plain) ? plain : undefined;
}

function isHost(host: string, scheme: string | undefined): boolean {
  const literal = /^\[(.*)\](.*?)$/.exec(host);
  if (literal !== null) {
    const [, address, port] = literal as unknown as [string, string, string];
    const [numbers, zone] = cut(address, '%25');
    return PORT.test(port) && isIpv6(numbers) && (address === numbers || (zone !== '' && HOST.test(zone)));
  }
  if (!HOST.test(host)) return false;
  // The URIs of other schemes may list hosts, each with its port: the last port counts.
  const colon = scheme === 'http' || scheme === 'https' ? host.indexOf(':') : host.lastIndexOf(':');
  return colon < 0 || PORT.test(host.slice(colon));
}

const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const IPV4 = new RegExp(`^(?:${OCTET}\\.){3}${OCTET}$`);

/** Dotted decimal without leading zeros. */
export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

/** RFC 4291 section 2.2, without a zone. */
export function isIpv6(text: string): boolean {
  const last = text.slice(text.lastIndexOf(':') + 1);
  // The last two groups may stand as an IPv4 address.
  const groups = isIpv4(last) ? `${text.slice(0, -last.length)}0:0` : text;
  const halves = groups.split('::');
  const counts = halves.map((half) => (half === '' ? 0 : half.split(':').length));
  const count = counts.reduce((sum, one) => sum + one, 0);
  if (halves.length > 2 || (halves.length === 2 ? count > 7 : count !== 8)) return false;
  return halves.every((half) => half === '' || half.split(':').every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group)));
}

/** A mailbox of RFC 2821: `ann@example.com`. */
export interface Mailbox {
  /** Without quotation marks and backslashes. */
  readonly local: string;
  /** In lower case. */
  readonly domain: string;
}

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: quoted names may have control characters
const QUOTED = /^"((?:[\x01-\x08\x0b\x0c\x0e-!#-[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*)"@(.*)$/s;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: quoted names may have control characters
const PLAIN = /^((?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]|\\.)+)@(.*)$/s;

/** Undefined for a text that is no mailbox. */
export function mailboxOf(text: string): Mailbox | undefined {
  const quoted = QUOTED.exec(text);
  const [, written, domain] = quoted ?? PLAIN.exec(text) ?? [];
  if (written === undefined || domain === undefined || !isDomainName(domain)) return undefined;
  const local = written.replace(/\\(.)/gs, '$1');
  // No dot in front, at the end or beside another, unless the name is quoted.
  if (quoted === null && `.${local}.`.includes('..')) return undefined;
  return { local, domain: domain.toLowerCase() };
}

function cut(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + mark.length)];
}
