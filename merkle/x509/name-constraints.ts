/**
 * Name constraints of authorities: RFC 5280 section 4.2.1.10, by the stricter of two readings: a name holds where Go's
 * crypto/x509 (Go 1.26), which cosign and sigstore-go use, and OpenSSL (openssl-constraints.ts) both take it.
 *
 * Go refuses e-mail addresses and URIs that it cannot read, and takes a host or mail domain below the constraint
 * `example.com`, as for DNS names. OpenSSL takes for URIs and e-mail addresses that domain itself alone. Beyond both, an authority
 * that is for some names only may not certify Fulcio's user names, which no constraint bounds.
 *
 *   NameConstraints: SEQUENCE { [0] permitted subtrees OPTIONAL, [1] excluded subtrees OPTIONAL }
 *   subtree: SEQUENCE { base GeneralName }       the minimum is always 0, and the maximum absent
 */
import { printable } from '../printable.ts';
import { type Certificate, EXTENSION, isSelfIssued } from './certificate.ts';
import type { AlternativeName } from './certificate-names.ts';
import { badDer, constructed, type Der, parseDer, primitive, TAG } from './der.ts';
import { asciiOf, expectTag, fieldsOf, oidOf, utf8Of } from './der-fields.ts';
import { hostOfUri, isDomainName, isIpv4, isIpv6, type Mailbox, mailboxOf } from './name-forms.ts';
import { dnsNameOf, opensslMatcher } from './openssl-constraints.ts';
import { isSignerName, kindOfName } from './signer-names.ts';

type Kind = 'dns' | 'email' | 'ip' | 'uri';

/** The subtrees of one side, by kind of name. */
interface Subtrees {
  readonly dns: readonly string[];
  /** Domains and whole addresses. */
  readonly email: readonly string[];
  readonly uri: readonly string[];
  /** Address and mask, each 4 or 16 bytes. */
  readonly ip: readonly Uint8Array[];
}

interface NameConstraints {
  readonly permitted: Subtrees;
  readonly excluded: Subtrees;
  /** Subtrees of other kinds: the tags of their names. */
  readonly unknown?: { readonly tags: ReadonlySet<number>; readonly critical: boolean };
}

const WHAT = "the certificate's list of name constraints";
/** Most subtrees of one certificate. The constrained authorities of the web have some hundreds at the most. */
const MAX_SUBTREES = 1_024;
/** Identifier octets of a GeneralName. */
const KINDS: ReadonlyMap<number, Kind> = new Map([
  [primitive(1), 'email'],
  [primitive(2), 'dns'],
  [primitive(6), 'uri'],
  [primitive(7), 'ip'],
]);
/** Bytes of `::ffff:0:0`: RFC 4291 section 2.5.5.2. */
const IPV4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const DIRECTORY_NAME = constructed(4);
const EMAIL_ATTRIBUTE = '1.2.840.113549.1.9.1';
const COMMON_NAME = '2.5.4.3';

/**
 * Why the names in a path do not meet its name constraints, with the certificate that bears the name; undefined if they do.
 * The constraints of a certificate hold for every certificate below it, except self-issued ones that are not the leaf.
 * @param path leaf, intermediates, root. The constraints of the root count too.
 * @throws MerkleError `bad-der` for malformed constraints
 */
export function brokenConstraint(
  path: readonly Certificate[],
): { readonly certificate: Certificate; readonly why: string } | undefined {
  for (let at = 1; at < path.length; at++) {
    const issuer = path[at]!;
    const constraints = constraintsOf(issuer);
    if (constraints === undefined) continue;
    for (const [below, certificate] of path.slice(0, at).entries()) {
      const isExempt = below > 0 && isSelfIssued(certificate);
      const why = isExempt ? undefined : brokenBy(certificate, constraints, below === 0);
      if (why !== undefined) {
        return { certificate, why: `${why} (name constraints of "${printable(issuer.subject).slice(0, 320)}")` };
      }
    }
  }
  return undefined;
}

/**
 * Why an authority may not certify a name by its own constraints; undefined if it may. Here a kind of name without a
 * permitted subtree may not be certified, where `brokenConstraint` takes it, as RFC 5280 does.
 * @throws MerkleError `bad-der` for malformed constraints
 */
export function whyNotPermitted(authority: Certificate, { type, value }: AlternativeName): string | undefined {
  const constraints = constraintsOf(authority);
  if (type === 'other' || constraints === undefined || constraints.permitted[type].length === 0) {
    return `names ${type === 'other' ? 'a name of another kind' : quoted(type, value)}, a kind of name that its authority is not for`;
  }
  return constraints.unknown === undefined ? brokenByName(type, value, constraints) : UNJUDGED;
}

/**
 * The subtrees that an authority permits, by kind of name; undefined without constraints.
 * @throws MerkleError `bad-der` for malformed constraints
 */
export function permittedSubtrees(authority: Certificate): Subtrees | undefined {
  return constraintsOf(authority)?.permitted;
}

const UNJUDGED = 'has an authority with name constraints of a kind that this version cannot judge';

/** The name of `certificate` that breaks the constraints, in words. @param isLeaf whether it is the first of its path */
function brokenBy(certificate: Certificate, constraints: NameConstraints, isLeaf: boolean): string | undefined {
  const { names, subject } = certificate;
  if (constraints.unknown !== undefined) {
    const { tags, critical } = constraints.unknown;
    const hasSuch = (tags.has(DIRECTORY_NAME) && subject !== '') || names.some(({ type }) => type === 'other');
    if (critical || hasSuch) return UNJUDGED;
  }
  for (const name of names) {
    const why =
      name.type === 'other' ? brokenByOther(name, constraints) : brokenByName(name.type, name.value, constraints);
    if (why !== undefined) return why;
  }
  // The constraints hold for the addresses in the subject too: by the RFC where there are no alternative names, by OpenSSL always.
  for (const email of subjectTexts(certificate, EMAIL_ATTRIBUTE)) {
    const why = brokenByName('email', email, constraints);
    if (why !== undefined) return why;
  }
  // OpenSSL reads a common name as a host where no alternative name is one.
  if (!isLeaf || names.some(({ type }) => type === 'dns')) return undefined;
  for (const host of subjectTexts(certificate, COMMON_NAME).flatMap(dnsNameOf)) {
    const why = brokenByName('dns', host, constraints);
    if (why !== undefined) return why;
  }
  return undefined;
}

/**
 * RFC 5280 takes every name of a kind without constraints, and no constraint of Fulcio's user names is one that both OpenSSL and Go
 * judge. Here an authority that is for some names only is not for those.
 */
function brokenByOther(name: AlternativeName, { permitted }: NameConstraints): string | undefined {
  const isLimited = Object.values(permitted).some((subtrees) => subtrees.length > 0);
  if (!isLimited || !isSignerName(name)) return undefined;
  return `names the ${kindOfName(name)} "${printable(name.value).slice(0, 320)}", a kind of name that its authority is not for`;
}

function brokenByName(kind: Kind, value: string, { permitted, excluded }: NameConstraints): string | undefined {
  const name = quoted(kind, value);
  const within = matcherOf(kind, value);
  if (typeof within === 'string') return `names ${name}, ${within}, which cannot be compared with name constraints`;
  const isConstrained = permitted[kind].length > 0 || excluded[kind].length > 0;
  const withinToo = kind === 'ip' || !isConstrained ? within : opensslMatcher(kind, value);
  if (withinToo === undefined) return `names ${name}, which OpenSSL cannot compare with name constraints`;
  const isPermitted = [within, withinToo].every((reading) =>
    permitted[kind].some((subtree) => reading(subtree, false)),
  );
  if (permitted[kind].length > 0 && !isPermitted) return `names ${name}, which its authority may not certify`;
  const isExcluded = excluded[kind].some((subtree) => within(subtree, true) || withinToo(subtree, true));
  return isExcluded ? `names ${name}, which its authority must not certify` : undefined;
}

function quoted(kind: Kind, value: string): string {
  return `the ${LABELS[kind]} "${printable(value).slice(0, 320)}"`;
}

const LABELS: Readonly<Record<Kind, string>> = { dns: 'host', email: 'e-mail address', ip: 'IP address', uri: 'URI' };

/** Whether a name is in a subtree. `excluding`: whether a part of what the name stands for is enough. */
type Matcher = (subtree: string | Uint8Array, excluding: boolean) => boolean;

/** A text is the reason why nothing can be compared with the name. */
function matcherOf(kind: Kind, value: string): Matcher | string {
  switch (kind) {
    case 'dns':
      return isDomainName(value) ? domainMatcher(value) : 'which is no host name';
    case 'email': {
      const mailbox = mailboxOf(value);
      return mailbox === undefined ? 'which is no e-mail address' : mailboxMatcher(mailbox);
    }
    case 'uri': {
      const host = constrainedHost(value);
      return host === undefined ? 'which has no host name' : domainMatcher(host);
    }
    case 'ip': {
      const address = addressOf(value);
      // An IPv4 address in the form of IPv6 is excluded by both kinds of range, and permitted by neither.
      const mapped = IPV4_MAPPED.every((byte, at) => address[at] === byte) ? address.slice(12) : undefined;
      return (range, excluding) =>
        mapped === undefined
          ? isInRange(address, range as Uint8Array)
          : excluding && [address, mapped].some((form) => isInRange(form, range as Uint8Array));
    }
  }
}

/** The host name of a URI without its port; undefined if there is none, or an IP address, or a malformed URI. */
function constrainedHost(uri: string): string | undefined {
  const withPort = hostOfUri(uri);
  if (withPort === undefined || withPort === '' || withPort.startsWith('[')) return undefined;
  const [host, ...ports] = withPort.split(':') as [string, ...string[]];
  return ports.length > 1 || isIpv4(host) || !isDomainName(host) ? undefined : host;
}

function mailboxMatcher({ local, domain }: Mailbox): Matcher {
  const inDomain = domainMatcher(domain);
  return (subtree, excluding) => {
    if (!(subtree as string).includes('@')) return inDomain(subtree, excluding);
    const only = mailboxOf(subtree as string);
    return only?.local === local && only.domain === domain;
  };
}

/**
 * A subtree `example.com` has that name and all names below it, and `.example.com` only those below. The name
 * `*.example.com` stands for the hosts below, one of which a subtree `www.example.com` excludes.
 */
function domainMatcher(name: string): Matcher {
  const lower = name.toLowerCase();
  const below = lower.startsWith('*') && lower.includes('.') ? lower.slice(lower.indexOf('.')) : undefined;
  return (subtree, excluding) => {
    const domain = (subtree as string).toLowerCase();
    if (domain === '' || lower === domain) return true;
    if (lower.endsWith(domain.startsWith('.') ? domain : `.${domain}`)) return true;
    return excluding && below !== undefined && domain.includes('.') && domain.slice(domain.indexOf('.')) === below;
  };
}

function isInRange(address: readonly number[], range: Uint8Array): boolean {
  const size = address.length;
  return range.length === 2 * size && address.every((byte, at) => ((byte ^ range[at]!) & range[size + at]!) === 0);
}

/** The bytes of an address, as `alternativeNames` writes it. */
function addressOf(text: string): number[] {
  if (isIpv4(text)) return text.split('.').map(Number);
  return text.split(':').flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** The texts of an attribute in the subject, in their order. */
function subjectTexts({ subjectDer }: Certificate, attribute: string): string[] {
  const attributes = parseDer(subjectDer, WHAT).children.flatMap(({ children }) => children);
  return attributes
    .filter(({ children }) => oidOf(children[0]!, WHAT) === attribute)
    .map(({ children }) => utf8Of(children[1]!.content, WHAT));
}

const read = new WeakMap<Certificate, NameConstraints>();

/** An authority certifies many names: its constraints are read once. @throws MerkleError `bad-der` */
function constraintsOf(authority: Certificate): NameConstraints | undefined {
  const known = read.get(authority);
  if (known !== undefined) return known;
  const extension = authority.extension(EXTENSION.nameConstraints);
  if (extension === undefined) return undefined;
  const constraints = readConstraints(extension);
  read.set(authority, constraints);
  return constraints;
}

/** @throws MerkleError `bad-der` */
function readConstraints({ value, critical }: { value: Uint8Array; critical: boolean }): NameConstraints {
  const fields = fieldsOf(expectTag(parseDer(value, WHAT), TAG.sequence, WHAT), WHAT);
  const lists = [fields.optional(constructed(0)), fields.optional(constructed(1))];
  fields.end();
  const [permitted, excluded] = lists.map((list) => list?.children ?? []) as [readonly Der[], readonly Der[]];
  const count = permitted.length + excluded.length;
  if (count === 0 || count > MAX_SUBTREES) throw badDer(WHAT, `has ${count} subtrees, not 1 to ${MAX_SUBTREES}`);
  const tags = new Set<number>();
  const constraints = { permitted: readSubtrees(permitted, tags), excluded: readSubtrees(excluded, tags) };
  return tags.size === 0 ? constraints : { ...constraints, unknown: { tags, critical } };
}

/** @param unknown receives the tags of names of other kinds */
function readSubtrees(list: readonly Der[], unknown: Set<number>): Subtrees {
  const subtrees = { dns: [] as string[], email: [] as string[], uri: [] as string[], ip: [] as Uint8Array[] };
  for (const subtree of list) {
    const fields = fieldsOf(expectTag(subtree, TAG.sequence, WHAT), WHAT);
    const base = fields.any();
    fields.end();
    const kind = KINDS.get(base.tag);
    if (kind === undefined) unknown.add(base.tag);
    else if (kind === 'ip') subtrees.ip.push(rangeOf(base.content));
    else subtrees[kind].push(textOf(kind, base.content));
  }
  return subtrees;
}

function textOf(kind: Exclude<Kind, 'ip'>, content: Uint8Array): string {
  const text = asciiOf(content, WHAT);
  const isGood = kind === 'email' && text.includes('@') ? mailboxOf(text) !== undefined : isDomainName(text, true);
  if (!isGood || (kind === 'uri' && (isIpv4(text) || isIpv6(text)))) {
    throw badDer(WHAT, `has the ${LABELS[kind]} "${printable(text).slice(0, 320)}", which is malformed`);
  }
  return text;
}

/** Address and mask. The mask has ones, then zeros. */
function rangeOf(content: Uint8Array): Uint8Array {
  const size = content.length / 2;
  const mask = [...content.subarray(size)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  if ((size !== 4 && size !== 16) || mask.includes('01')) throw badDer(WHAT, 'has a malformed range of IP addresses');
  return content;
}
