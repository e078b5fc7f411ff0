/**
 * Whose names are whose. A team is a trust domain, and never a path of one; no team's domain lies below another's, since Go
 * would let the one above certify names of the other. Hosts (URIs and DNS names) and mail domains are compared each among
 * themselves.
 */
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { permittedSubtrees } from '../../../merkle/x509/name-constraints.ts';
import { ClientError } from '../../errors.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { isPlainHost, isPlainMailbox, NOBODY } from './constraints.ts';
import type { NameSubtrees } from './types.ts';

/** Most subtrees of one kind. */
const MAX_SUBTREES = 64;

/** @throws ClientError `usage` for names that no team may have, or none at all */
export function checkSubtrees(names: NameSubtrees): void {
  const { uri, dns, email } = names;
  if (uri.length + dns.length + email.length === 0) {
    throw new ClientError('usage', 'a team certifies names: give it a trust domain, a host or a mail domain');
  }
  for (const list of [uri, dns, email]) {
    if (list.length > MAX_SUBTREES)
      throw new ClientError('usage', `a team has at most ${MAX_SUBTREES} names of a kind`);
  }
  const wrong = [...uri, ...dns].find((name) => !isPlainHost(name));
  if (wrong !== undefined) {
    const what = wrong.includes('/') ? 'A team is a trust domain, and never a path or a URL' : 'Write it in lower case';
    throw new ClientError('usage', `"${wrong}" is no plain host name. ${what}, and an IDN as xn--…`);
  }
  const mail = email.find((name) => !(name.includes('@') ? isPlainMailbox(name) : isPlainHost(name)));
  if (mail !== undefined) {
    throw new ClientError('usage', `"${mail}" is neither a plain mail domain in lower case nor a plain e-mail address`);
  }
}

/**
 * The names that the authority of a team may certify.
 * @throws ClientError `bad-certificate` for an authority without constraints, or with others than a team has
 */
export function subtreesOf(authority: Certificate): NameSubtrees {
  const permitted = withClientErrors(() => permittedSubtrees(authority));
  const names = (kind: 'uri' | 'dns' | 'email') => (permitted?.[kind] ?? []).filter((name) => name !== NOBODY);
  const found = { uri: names('uri'), dns: names('dns'), email: names('email') };
  try {
    checkSubtrees(found);
  } catch (cause) {
    const why = `the authority "${authority.subject}" is not that of a team: ${(cause as Error).message}`;
    throw new ClientError('bad-certificate', why, { cause });
  }
  return found;
}

/** Two names of which one lies below the other, or both are one: of the first team, and of the second; undefined if none. */
export function overlapOf(one: NameSubtrees, other: NameSubtrees): readonly [string, string] | undefined {
  const hosts = ({ uri, dns }: NameSubtrees) => [...uri, ...dns];
  const pairs = [
    ...pairsOf(hosts(one), hosts(other)).filter(([a, b]) => isBelow(a, b) || isBelow(b, a)),
    ...pairsOf(one.email, other.email).filter(([a, b]) => isMailBelow(a, b) || isMailBelow(b, a)),
  ];
  return pairs[0];
}

function pairsOf(one: readonly string[], other: readonly string[]): (readonly [string, string])[] {
  return one.flatMap((a) => other.map((b) => [a, b] as const));
}

/** Whether a host is another one, or below it. */
function isBelow(host: string, above: string): boolean {
  return host === above || host.endsWith(`.${above}`);
}

/** Two addresses overlap where they are one; an address and a domain where the address may be in the domain. */
function isMailBelow(name: string, above: string): boolean {
  if (above.includes('@')) return name === above;
  return isBelow(name.slice(name.lastIndexOf('@') + 1), above);
}
