/** The extensions of a certificate, as Go's crypto/x509 reads them. Extensions that it does not know are ignored. */
import { equal } from '../bytes.ts';
import { constructed, primitive, TAG } from './der.ts';
import {
  ASCII,
  charactersOf,
  type Elements,
  notDer,
  readBits,
  readInt64,
  readInteger,
  readOid,
  unreadable,
} from './go-elements.ts';
import { hostOfUri, isDomainName, isIpv4, isIpv6, mailboxOf } from './name-forms.ts';

/** `isCritical`: what the extension says of itself. */
type ExtensionReader = (value: Elements, isCritical: boolean) => void;

/** By the last number of 2.5.29. */
const READERS: Readonly<Record<number, ExtensionReader>> = {
  14: (value, isCritical) => {
    forbidCritical(isCritical, 'subject key identifier');
    value.next(TAG.octetString, 'the subject key identifier');
  },
  15: (value) => readBits(value, 'the key usage'),
  17: (value) => readAlternativeNames(value.next(TAG.sequence, 'the list of alternative names')),
  19: (value) => readBasicConstraints(value.next(TAG.sequence, 'the basic constraints')),
  30: (value) => readNameConstraints(value),
  31: (value) => readDistributionPoints(value.next(TAG.sequence, 'the list of distribution points')),
  32: (value) => readPolicies(value.next(TAG.sequence, 'the list of policies')),
  33: (value) => {
    const list = value.next(TAG.sequence, 'the list of policy mappings');
    while (list.more()) {
      const pair = list.next(TAG.sequence, 'a policy mapping');
      for (let i = 0; i < 2; i++) pair.next(TAG.oid, 'a policy of a mapping');
    }
  },
  35: (value, isCritical) => {
    forbidCritical(isCritical, 'authority key identifier');
    value.next(TAG.sequence, 'the authority key identifier').optional(primitive(0));
  },
  36: (value) => {
    const constraints = value.next(TAG.sequence, 'the list of policy constraints');
    for (const tag of [primitive(0), primitive(1)]) {
      const number = constraints.optional(tag);
      if (number !== undefined) readInt64(number, 'number of a policy constraint');
    }
  },
  37: (value) => {
    const list = value.next(TAG.sequence, 'the extended key usage');
    while (list.more()) readOid(list, 'the object identifier of an extended key usage');
  },
  54: (value) => readInt64(value.next(TAG.integer, 'the number of inhibitAnyPolicy'), 'number of inhibitAnyPolicy'),
};

/** DER of 2.5.29, without the last number. */
const ID_CE = Uint8Array.of(0x55, 0x1d);
/** DER of 1.3.6.1.5.5.7.1.1, authority information access. */
const AUTHORITY_INFO = Uint8Array.of(0x2b, 6, 1, 5, 5, 7, 1, 1);

/** @throws MerkleError `bad-certificate` */
export function readExtensions(list: Elements): void {
  const seen = new Set<string>();
  while (list.more()) {
    const extension = list.next(TAG.sequence, 'an extension');
    const oid = readOid(extension, 'the object identifier of an extension');
    const flag = extension.optional(TAG.boolean);
    const isCritical = flag !== undefined && readBoolean(flag, 'the critical flag of an extension');
    const value = extension.next(TAG.octetString, 'the value of an extension');
    const key = charactersOf(oid);
    if (seen.has(key)) throw unreadable('the certificate has an extension twice');
    seen.add(key);
    if (oid.length === 3 && equal(oid.subarray(0, 2), ID_CE)) READERS[oid[2]!]?.(value, isCritical);
    else if (equal(oid, AUTHORITY_INFO)) readAuthorityInfo(value, isCritical);
  }
}

function readBoolean({ bytes }: Elements, what: string): boolean {
  if (bytes.length !== 1 || (bytes[0] !== 0 && bytes[0] !== 0xff)) throw notDer(what);
  return bytes[0] === 0xff;
}

function forbidCritical(isCritical: boolean, what: string): void {
  if (isCritical) throw unreadable(`the ${what} is marked critical`);
}

function readBasicConstraints(constraints: Elements): void {
  const flag = constraints.optional(TAG.boolean);
  if (flag !== undefined) readBoolean(flag, 'the flag of an authority');
  const length = constraints.optional(TAG.integer);
  if (length === undefined) return;
  readInteger(length, 'path length');
  readInt64(length, 'path length');
}

function readAlternativeNames(list: Elements): void {
  while (list.more()) {
    const { bytes } = list.any('an alternative name');
    switch (list.tag) {
      case primitive(1):
        asciiOf(bytes, 'an e-mail address');
        break;
      case primitive(2):
        asciiOf(bytes, 'a DNS name');
        break;
      case primitive(6):
        if (hostOfUri(asciiOf(bytes, 'a URI')) === undefined)
          throw unreadable('a URI is malformed, or has a malformed host');
        break;
      case primitive(7):
        if (bytes.length !== 4 && bytes.length !== 16) throw unreadable('an IP address has not 4 or 16 bytes');
    }
  }
}

function asciiOf(bytes: Uint8Array, what: string): string {
  const text = charactersOf(bytes);
  if (!ASCII.test(text)) throw unreadable(`${what} is not ASCII`);
  return text;
}

function readNameConstraints(value: Elements): void {
  const constraints = value.next(TAG.sequence, 'the list of name constraints');
  const lists = [constraints.optional(constructed(0)), constraints.optional(constructed(1))];
  if (value.more() || constraints.more()) throw unreadable('the list of name constraints has bytes after its end');
  if (!lists.some((list) => list?.more())) throw unreadable('the list of name constraints is empty');
  for (const list of lists) {
    while (list?.more()) {
      const subtree = list.next(TAG.sequence, 'a name constraint');
      const { bytes } = subtree.any('a name constraint');
      if (!isConstraint(subtree.tag, bytes)) throw unreadable('a name constraint is malformed');
    }
  }
}

function isConstraint(tag: number, bytes: Uint8Array): boolean {
  const text = charactersOf(bytes);
  switch (tag) {
    case primitive(1):
      return ASCII.test(text) && (text.includes('@') ? mailboxOf(text) !== undefined : isDomainName(text, true));
    case primitive(2):
      return isDomainName(text, true);
    case primitive(6):
      return isDomainName(text, true) && !isIpv4(text) && !isIpv6(text);
    case primitive(7): {
      const mask = [...bytes.subarray(bytes.length / 2)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
      return (bytes.length === 8 || bytes.length === 32) && !mask.includes('01');
    }
    default:
      return true;
  }
}

function readDistributionPoints(list: Elements): void {
  while (list.more()) {
    const name = list.next(TAG.sequence, 'a distribution point').optional(constructed(0));
    const full = name?.next(constructed(0), 'the name of a distribution point');
    while (full?.isNext(primitive(6))) full.any('the name of a distribution point');
  }
}

function readPolicies(list: Elements): void {
  const seen = new Set<string>();
  while (list.more()) {
    const { bytes } = list.next(TAG.sequence, 'a policy').next(TAG.oid, 'the object identifier of a policy');
    const key = charactersOf(bytes);
    // Only here Go takes numbers of any length.
    const isGood = bytes.length > 0 && bytes.at(-1)! < 0x80 && !/^\x80|[\0-\x7f]\x80/.test(key);
    if (!isGood) throw notDer('the object identifier of a policy');
    if (seen.has(key)) throw unreadable('the certificate has a policy twice');
    seen.add(key);
  }
}

function readAuthorityInfo(value: Elements, isCritical: boolean): void {
  forbidCritical(isCritical, 'authority information access');
  const list = value.next(TAG.sequence, 'the list of authority information');
  while (list.more()) {
    const access = list.next(TAG.sequence, 'an authority information');
    readOid(access, 'the object identifier of an authority information');
    access.optional(primitive(6));
  }
}
