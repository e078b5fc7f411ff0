/**
 * Verifies bearer tokens: OpenID Connect ID tokens (OpenID Connect Core section 3.1.3.7) and JWT-SVIDs (JWT-SVID sections 2 to 4).
 *
 * `iss`, or the trust domain in `sub`, are read before the signature is checked, and choose the keys that it is checked with. A token
 * that names another issuer than its own only chooses keys that do not verify it.
 */
import type { KeyObject } from 'node:crypto';
import { compactVerify } from 'jose';
import { parseSpiffeId, type SpiffeId } from '../../../spiffe/spiffe-id.ts';
import { type Caller, IdentityError } from '../types.ts';
import { type CompactToken, malformed, parseCompactToken } from './compact-token.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import type { TokenAlgorithm } from './token-algorithms.ts';
import { checkClaims } from './token-claims.ts';
import type { TrustDomainKeys } from './trust-domain-keys.ts';

interface VerifyWish {
  /** What the token must be for, where its issuer's settings name nothing else. */
  readonly audience: string;
  /** The longest time from `iat` to `exp`, in milliseconds. */
  readonly maxLifetimeMs: number;
}

/** An issuer of ID tokens that the service knows. */
export interface KnownIssuer {
  /** `iss`, compared as it is. */
  readonly issuer: string;
  readonly audience: string | undefined;
  readonly algorithms: readonly TokenAlgorithm[];
  readonly keys: IssuerKeys;
}

export class TokenVerifier {
  readonly #issuers: ReadonlyMap<string, KnownIssuer>;
  readonly #trustDomains: TrustDomainKeys | undefined;
  readonly #now: () => number;

  constructor(issuers: readonly KnownIssuer[], trustDomains: TrustDomainKeys | undefined, now: () => number) {
    this.#issuers = new Map(issuers.map((known) => [known.issuer, known]));
    this.#trustDomains = trustDomains;
    this.#now = now;
  }

  /** A sentence for each issuer whose newest keys could not be fetched. */
  get problems(): readonly string[] {
    return [...this.#issuers.values()].flatMap(({ issuer, keys }) =>
      keys.problem === undefined ? [] : [`the keys of the issuer ${issuer} could not be fetched: ${keys.problem}`],
    );
  }

  /**
   * Who calls, by this token. `tokenDigest` then names the token.
   * @throws IdentityError with a `token-…` code, `trust-domain`, `spiffe-id` or `identity-unavailable`. Neither the message nor a
   * cause holds any part of the token
   */
  async verify(text: string, wish: VerifyWish): Promise<Caller> {
    const token = parseCompactToken(text);
    const { iss, sub } = token.claims;
    const known = typeof iss === 'string' ? this.#issuers.get(iss) : undefined;
    if (known !== undefined) return await this.#verifyIdToken(token, known, wish);
    if (this.#trustDomains !== undefined && typeof sub === 'string' && sub.startsWith('spiffe://')) {
      return await this.#verifySvid(token, idOf(sub), this.#trustDomains, wish);
    }
    throw new IdentityError('token-issuer', 'the token is by an issuer that this service does not know');
  }

  async close(): Promise<void> {
    await Promise.all([...this.#issuers.values()].map(({ keys }) => keys.close()));
  }

  async #verifyIdToken(token: CompactToken, known: KnownIssuer, wish: VerifyWish): Promise<Caller> {
    const { algorithm, keyId, claims, header } = token;
    const { issuer, algorithms, keys } = known;
    // RFC 8725 section 3.11: a token of another purpose, such as an access token (`at+jwt`), is not an ID token.
    if (header.typ !== undefined && !isJwt(header.typ)) throw malformed('has a type ("typ") other than JWT');
    if (!algorithms.includes(algorithm)) {
      throw new IdentityError('token-algorithm', `the token's algorithm is not one that its issuer may use here`);
    }
    const key = await keys.find(algorithm, keyId);
    if (!(await isSigned(token, key))) {
      const newer = await keys.findAfter(key, algorithm, keyId);
      if (newer === undefined || !(await isSigned(token, newer))) throw notSigned();
    }
    const checked = checkClaims(claims, { ...wish, audience: known.audience ?? wish.audience, now: this.#now() });
    return { kind: 'id-token', id: `${issuer} ${checked.subject}`, issuer, names: [], claims, ...checked };
  }

  async #verifySvid(
    token: CompactToken,
    spiffeId: SpiffeId,
    trustDomains: TrustDomainKeys,
    wish: VerifyWish,
  ): Promise<Caller> {
    const { algorithm, keyId, claims, header } = token;
    const other = Object.keys(header).find((name) => !SVID_HEADER.has(name));
    if (other !== undefined) throw malformed('is a JWT-SVID, whose header has "alg", "kid" and "typ" alone');
    if (header.typ !== undefined && header.typ !== 'JWT' && header.typ !== 'JOSE') {
      throw malformed('is a JWT-SVID with a type ("typ") other than JWT and JOSE');
    }
    if (keyId === undefined) throw new IdentityError('token-key', 'the JWT-SVID does not name its key ("kid")');
    if (!(await isSigned(token, trustDomains.find(spiffeId.trustDomain, algorithm, keyId)))) throw notSigned();
    const { subject, expires } = checkClaims(claims, { ...wish, now: this.#now() });
    return { kind: 'jwt-svid', id: spiffeId.text, spiffeId, subject, names: [], claims, expires };
  }
}

/** JWT-SVID section 2: any other member must not be there. */
const SVID_HEADER: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/** RFC 7515 section 4.1.9: a media type, without `application/` where it has no other slash. */
function isJwt(typ: unknown): boolean {
  return typeof typ === 'string' && /^(?:application\/)?jwt$/i.test(typ);
}

function idOf(sub: string): SpiffeId {
  let id: SpiffeId;
  try {
    id = parseSpiffeId(sub);
  } catch {
    // The cause repeats the subject.
    throw new IdentityError('spiffe-id', 'the subject ("sub") of the token is not a SPIFFE ID');
  }
  if (id.path === '')
    throw new IdentityError('spiffe-id', 'the token is of a trust domain, and not of a workload in it');
  return id;
}

async function isSigned({ text, algorithm }: CompactToken, key: KeyObject): Promise<boolean> {
  try {
    await compactVerify(text, key, { algorithms: [algorithm] });
    return true;
  } catch {
    return false;
  }
}

function notSigned(): IdentityError {
  return new IdentityError('token-signature', "the token's signature does not verify with its issuer's key");
}
