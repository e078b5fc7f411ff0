/**
 * The extensions of certificates that an authority makes: RFC 5280 section 4.2, in DER.
 *
 * The library has a class for each of them, with which a leaf takes 1.5 ms more of processor time (Node 20), as long as all
 * the rest. So their contents are written here, and each made certificate is read again by a parser of its own.
 */
import { decodeHex, encodeUtf8 } from '../../../merkle/bytes.ts';
import { EXTENSION } from '../../../merkle/x509/certificate.ts';
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { constructed, encodeDer, primitive, TAG } from '../../../merkle/x509/der.ts';
import { ClientError } from '../../errors.ts';
import { NOBODY } from './constraints.ts';
import type { NameSubtrees, NewExtension } from './types.ts';

/** Bits of the key usage: RFC 5280 section 4.2.1.3. */
const SIGN_CERTIFICATES = Uint8Array.of(1, 0x06); // keyCertSign and cRLSign
const SIGN_ARTIFACTS = Uint8Array.of(7, 0x80); // digitalSignature
/** DER of 1.3.6.1.5.5.7.3.3. */
const CODE_SIGNING = decodeHex('06082b06010505070303');

/** Kinds of names, with the number of their tag in a GeneralName. */
const NAME_TAGS = { email: 1, dns: 2, uri: 6 } as const;
/** Every IPv4 address, and every IPv6 address: address and mask. */
const ALL_ADDRESSES = [new Uint8Array(8), new Uint8Array(32)];

/** A root: an authority above authorities alone. */
export function rootProfile(): readonly NewExtension[] {
  return authority(1);
}

/**
 * An authority of a team: for leaves alone, for code signing alone, for names in `names` alone.
 *
 * A kind of name that the team has none of gets a subtree that no name is in. An excluded subtree for everything would not do: OpenSSL reads an empty URI or e-mail domain as nothing.
 */
export function intermediateProfile(names: NameSubtrees): readonly NewExtension[] {
  return [
    ...authority(0),
    { oid: EXTENSION.extKeyUsage, critical: false, value: encodeDer(TAG.sequence, CODE_SIGNING) },
    { oid: EXTENSION.nameConstraints, critical: true, value: nameConstraints(names) },
  ];
}

/** A signer's certificate of minutes, with one name. Its subject is empty, so that the name is critical. */
export function leafProfile(name: AlternativeName): readonly NewExtension[] {
  return [
    { oid: EXTENSION.keyUsage, critical: true, value: encodeDer(TAG.bitString, SIGN_ARTIFACTS) },
    { oid: EXTENSION.extKeyUsage, critical: false, value: encodeDer(TAG.sequence, CODE_SIGNING) },
    { oid: EXTENSION.subjectAltName, critical: true, value: encodeDer(TAG.sequence, generalName(name)) },
  ];
}

function authority(pathLen: number): NewExtension[] {
  const constraints = [encodeDer(TAG.boolean, Uint8Array.of(0xff)), encodeDer(TAG.integer, Uint8Array.of(pathLen))];
  return [
    { oid: EXTENSION.basicConstraints, critical: true, value: encodeDer(TAG.sequence, ...constraints) },
    { oid: EXTENSION.keyUsage, critical: true, value: encodeDer(TAG.bitString, SIGN_CERTIFICATES) },
  ];
}

function generalName({ type, value }: AlternativeName): Uint8Array {
  if (type === 'uri' || type === 'email' || type === 'dns') return encodeDer(primitive(NAME_TAGS[type]), ascii(value));
  throw new ClientError('usage', `a certificate names a URI, an e-mail address or a host, and no name of type ${type}`);
}

function nameConstraints(names: NameSubtrees): Uint8Array {
  const permitted = (['uri', 'dns', 'email'] as const).flatMap((kind) => {
    const subtrees = names[kind].length > 0 ? names[kind] : [NOBODY];
    return subtrees.map((name) => encodeDer(TAG.sequence, encodeDer(primitive(NAME_TAGS[kind]), ascii(name))));
  });
  const excluded = ALL_ADDRESSES.map((range) => encodeDer(TAG.sequence, encodeDer(primitive(7), range)));
  const lists = [encodeDer(constructed(0), ...permitted), encodeDer(constructed(1), ...excluded)];
  return encodeDer(TAG.sequence, ...lists);
}

/** Contents of an IA5String. */
function ascii(text: string): Uint8Array {
  if (/^[\x21-\x7e]+$/.test(text)) return encodeUtf8(text);
  throw new ClientError(
    'usage',
    'a name in a certificate is text of visible ASCII characters; an IDN is written xn--…',
  );
}

/** An identifier of a key: the leftmost 20 bytes of the SHA-256 over its bits (RFC 7093 section 2, method 1). */
export function subjectKeyId(keyId: Uint8Array): NewExtension {
  return { oid: EXTENSION.subjectKeyId, critical: false, value: encodeDer(TAG.octetString, keyId) };
}

export function authorityKeyId(keyId: Uint8Array): NewExtension {
  const value = encodeDer(TAG.sequence, encodeDer(primitive(0), keyId));
  return { oid: EXTENSION.authorityKeyId, critical: false, value };
}
