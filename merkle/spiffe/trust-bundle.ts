/**
 * Trust bundles: the keys that are authoritative for the SVIDs of one trust domain (SPIFFE Trust Domain and Bundle, sections
 * 4 and 5; X509-SVID section 6; JWT-SVID section 6).
 *
 *   { "spiffe_sequence": 7, "spiffe_refresh_hint": 300, "keys": [JWK, …] }
 *
 * A reader passes over a key of an unknown type, curve or use, and lists it in `passedOver`: the bundle may be written for
 * newer readers. What is malformed refuses the whole bundle.
 */
import { decodeBase64, encodeHex, equal } from '../bytes.ts';
import { parsePem, pemBytes } from '../pem.ts';
import { printable } from '../printable.ts';
import { isJsonRecord, type JsonRecord, type JsonValue, parseJsonValue } from '../rekor/json-value.ts';
import { textOf } from '../rekor/strict-json.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { badBundle, keyOfJwk, plainJwk } from './bundle-key.ts';
import { parseTrustDomain } from './spiffe-id.ts';

export interface SpiffeBundle {
  readonly trustDomain: string;
  /** `spiffe_sequence`, 0 to 2^64 - 1. A later bundle has a larger one. */
  readonly sequence?: bigint;
  /** `spiffe_refresh_hint` in seconds. Untrusted: bound it before use. */
  readonly refreshHint?: number;
  /** Roots of X.509-SVIDs. Empty: the domain has none, or has revoked them all. */
  readonly x509Authorities: readonly Certificate[];
  readonly jwtAuthorities: readonly JwtAuthority[];
  /** Keys that this version does not use, in words for people. */
  readonly passedOver: readonly string[];
}

interface JwtAuthority {
  readonly keyId: string;
  /** Public, without `use`; Ed25519 without `alg`, which may be `EdDSA` or `Ed25519`. */
  readonly jwk: Readonly<Record<string, string>>;
}

/** Most bytes of one bundle, of several together, and of an answer of an endpoint. */
export const MAX_BUNDLE = 4 * 1_048_576;
const MAX_KEYS = 256;
/** As many roots as a chain check takes: x509/certificate-chain.ts. */
const MAX_AUTHORITIES = 64;
const MAX_DOMAINS = 256;
const MAX_SEQUENCE = 2n ** 64n - 1n;
const MAX_KEY_ID = 1024;
const WHAT = 'the SPIFFE trust bundle';

/**
 * Reads the bundle of one trust domain: a JWK set, or certificates in PEM, which agents write to files.
 * @param trustDomain a bundle does not name its own domain
 * @throws MerkleError `bad-spiffe-id` for the trust domain; `bad-json`, `bad-pem`, `bad-der` or `bad-spiffe-bundle`
 */
export function parseTrustBundle(bytes: Uint8Array, trustDomain: string): SpiffeBundle {
  const name = parseTrustDomain(trustDomain);
  const text = textOf(bytes, WHAT, MAX_BUNDLE);
  if (/^[\s\ufeff]*-----BEGIN /.test(text)) return bundleOfCertificates(certificatesOfPem(text), name);
  return bundleOf(parseJsonValue(bytes, WHAT, MAX_BUNDLE), name);
}

/**
 * Reads the bundles of several trust domains: a SPIFFE bundle map, `{ "trust_domains": { "example.org": JWK set } }`.
 * @returns bundles by trust domain
 * @throws MerkleError as `parseTrustBundle`
 */
export function parseTrustBundles(bytes: Uint8Array): ReadonlyMap<string, SpiffeBundle> {
  const map = parseJsonValue(bytes, WHAT, MAX_BUNDLE);
  const domains = isJsonRecord(map) ? map.trust_domains : undefined;
  if (!isJsonRecord(domains)) throw badBundle('is not an object with "trust_domains"');
  const names = Object.keys(domains);
  if (names.length > MAX_DOMAINS) throw badBundle(`has more than ${MAX_DOMAINS} trust domains`);
  const bundles = new Map<string, SpiffeBundle>();
  for (const name of names) {
    const trustDomain = parseTrustDomain(name);
    if (bundles.has(trustDomain)) throw badBundle(`has the trust domain ${trustDomain} twice`);
    bundles.set(trustDomain, bundleOf(domains[name], trustDomain));
  }
  return bundles;
}

/** The bundle of the Workload API, which has X.509 authorities alone. @throws MerkleError `bad-spiffe-bundle` */
export function bundleOfCertificates(certificates: readonly Certificate[], trustDomain: string): SpiffeBundle {
  const x509Authorities: Certificate[] = [];
  for (const certificate of certificates) addAuthority(certificate, x509Authorities);
  return { trustDomain, x509Authorities, jwtAuthorities: [], passedOver: [] };
}

/**
 * The keys of a JWK set that has keys for JWT-SVIDs alone, as the Workload API gives them (section 6.2.2): a key may be
 * without `use`. A key with the use of another SVID is passed over.
 * @throws MerkleError as `parseTrustBundle`
 */
export function parseJwtBundle(bytes: Uint8Array, trustDomain: string): SpiffeBundle {
  return bundleOf(parseJsonValue(bytes, WHAT, MAX_BUNDLE), trustDomain, 'jwt-svid');
}

/** Whether both have the same keys, whatever their order. */
export function haveSameKeys(one: SpiffeBundle, other: SpiffeBundle): boolean {
  const keys = ({ x509Authorities, jwtAuthorities }: SpiffeBundle) =>
    [
      ...x509Authorities.map(({ der }) => encodeHex(der)),
      ...jwtAuthorities.map(({ jwk }) => JSON.stringify(Object.entries(jwk).sort())),
    ]
      .sort()
      .join('\n');
  return keys(one) === keys(other);
}

/** @param only the use of all keys, of those without `use` too */
function bundleOf(set: JsonValue | undefined, trustDomain: string, only?: 'jwt-svid'): SpiffeBundle {
  if (!isJsonRecord(set) || !Array.isArray(set.keys)) throw badBundle(`of ${trustDomain} has no list "keys"`);
  const keys: readonly JsonValue[] = set.keys;
  if (keys.length > MAX_KEYS) throw badBundle(`of ${trustDomain} has more than ${MAX_KEYS} keys`);
  const x509Authorities: Certificate[] = [];
  const jwtAuthorities: JwtAuthority[] = [];
  const passedOver: string[] = [];
  for (const [at, jwk] of keys.entries()) {
    if (!isJsonRecord(jwk)) throw badBundle(`of ${trustDomain} has a key that is not an object`);
    const use = jwk.use === undefined || (only !== undefined && jwk.use === 'sig') ? only : jwk.use;
    let why: string | undefined;
    if (use === 'x509-svid' && only === undefined) why = takeX509(jwk, x509Authorities);
    else if (use === 'jwt-svid') why = takeJwt(jwk, jwtAuthorities);
    else why = use === undefined ? 'has no "use"' : `has the use "${printable(String(use)).slice(0, 60)}"`;
    if (why !== undefined) passedOver.push(`key ${at + 1} of ${keys.length} of ${trustDomain} ${why}`);
  }
  const sequence = integerOf(set, 'spiffe_sequence', MAX_SEQUENCE);
  const hint = integerOf(set, 'spiffe_refresh_hint', BigInt(Number.MAX_SAFE_INTEGER));
  return {
    trustDomain,
    ...(sequence !== undefined && { sequence }),
    ...(hint !== undefined && { refreshHint: Number(hint) }),
    x509Authorities,
    jwtAuthorities,
    passedOver,
  };
}

/** X509-SVID section 6.2. A text is the reason why the key is passed over. */
function takeX509(jwk: JsonRecord, found: Certificate[]): string | undefined {
  const key = keyOfJwk(jwk);
  if (typeof key === 'string') return key;
  const { x5c } = jwk;
  if (x5c === undefined) return 'is for X509-SVIDs and has no certificate';
  if (!Array.isArray(x5c)) throw badBundle('has a key whose "x5c" is not a list');
  const [first] = x5c;
  if (first === undefined) return 'is for X509-SVIDs and has no certificate';
  if (typeof first !== 'string') throw badBundle('has a key whose "x5c" is not a list of base64');
  const certificate = parseCertificate(decodeBase64(first));
  // RFC 7517 section 4.7
  if (!equal(certificate.spki, key.spki))
    throw badBundle('has a certificate ("x5c") whose key is not the key beside it');
  addAuthority(certificate, found);
  return undefined;
}

function addAuthority(certificate: Certificate, found: Certificate[]): void {
  if (!certificate.isCa) {
    throw badBundle(`has the certificate "${printable(certificate.subject)}", which is not an authority's`);
  }
  if (found.some(({ der }) => equal(der, certificate.der))) return;
  if (found.push(certificate) > MAX_AUTHORITIES) throw badBundle(`has more than ${MAX_AUTHORITIES} X.509 authorities`);
}

function takeJwt(jwk: JsonRecord, found: JwtAuthority[]): string | undefined {
  const key = keyOfJwk(jwk);
  if (typeof key === 'string') return key;
  const { kid } = jwk;
  // JWT-SVID section 6.1: the key ID is required. No token could name this key.
  if (kid === undefined || kid === '') return 'is for JWT-SVIDs and has no key ID';
  if (typeof kid !== 'string' || kid.length > MAX_KEY_ID) throw badBundle('has a key whose "kid" is not a short text');
  const plain = plainJwk(jwk, kid);
  const same = found.find(({ keyId }) => keyId === kid);
  if (same === undefined) found.push({ keyId: kid, jwk: plain });
  else if (JSON.stringify(same.jwk) !== JSON.stringify(plain)) throw badBundle('has two keys with one key ID');
  return undefined;
}

function integerOf(set: JsonRecord, name: string, most: bigint): bigint | undefined {
  const value = set[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'bigint' || value < 0n || value > most) {
    throw badBundle(`has a "${name}" that is not an integer of 0 to ${most}`);
  }
  return value;
}

function certificatesOfPem(text: string): Certificate[] {
  return parsePem(text).map((block) => {
    if (block.label !== 'CERTIFICATE') {
      throw badBundle(`has a block "${printable(block.label).slice(0, 60)}" beside its certificates`);
    }
    return parseCertificate(pemBytes(block));
  });
}
