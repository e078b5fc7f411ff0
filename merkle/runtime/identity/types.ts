/** Who calls a service of Stele: what is proven of a caller, and why a caller is refused. */
import { CodedError } from '../../errors.ts';
import type { JsonValue } from '../../rekor/json-value.ts';
import type { SpiffeId } from '../../spiffe/spiffe-id.ts';
import type { AlternativeName } from '../../x509/certificate-names.ts';

/** A caller whose identity is proven. Each field is verified: nothing that a caller only says of itself is here. */
export interface Caller {
  readonly kind: 'x509-svid' | 'certificate' | 'jwt-svid' | 'id-token';
  /** For people, rates and records: the SPIFFE ID; issuer and subject of an ID token, a space between; or the names of the certificate. */
  readonly id: string;
  /** Of an X.509-SVID or a JWT-SVID: SPIFFE-ID section 2. */
  readonly spiffeId?: SpiffeId;
  /** `iss` of a token. A JWT-SVID may have none. */
  readonly issuer?: string;
  /** `sub` of a token. */
  readonly subject?: string;
  /** `email` of an ID token, only where the issuer says `email_verified: true`. */
  readonly email?: string;
  /** Of a certificate; else empty. */
  readonly names: readonly AlternativeName[];
  /** Every claim of a token. Numbers are bigints where they are integers. */
  readonly claims?: Readonly<Record<string, JsonValue>>;
  /** SHA-256 of the certificate's SubjectPublicKeyInfo, in hex. */
  readonly fingerprint?: string;
  /** When the proof ends, in milliseconds since 1970: at `exp` or at notAfter. */
  readonly expires: number;
}

/**
 * Why a caller is refused, with the HTTP status: 401 where no identity is proven (RFC 9110 section 15.5.2), 403 where it is not enough,
 * 429 (RFC 6585 section 4) and 503 where a retry may succeed. docs/identity.md has the same table.
 */
export const IDENTITY_STATUSES = {
  /** The request has neither a client certificate nor a token that the service takes, or more than one. */
  'no-identity': 401,
  /** The token is not a compact JWS of a JSON header and JSON claims, each in its one encoding. */
  'token-malformed': 401,
  /** The token is longer than the service reads. */
  'token-too-long': 401,
  /** The algorithm is not allowed, or does not fit the key. */
  'token-algorithm': 401,
  /** The issuer or trust domain has no key of this ID. */
  'token-key': 401,
  /** The signature does not verify. */
  'token-signature': 401,
  /** No configured issuer or trust domain is the one of the token. */
  'token-issuer': 401,
  /** The token is not for this service, or not for it alone. */
  'token-audience': 401,
  /** A claim that must be there is missing, or a claim has the wrong form. */
  'token-claims': 401,
  /** The time of `exp` has passed. */
  'token-expired': 401,
  /** The time of `nbf` or `iat` has not come. */
  'token-not-yet-valid': 401,
  /** The token is valid for longer than the service takes. */
  'token-lifetime': 401,
  /** The token was used before, and works once. */
  'token-used': 401,
  /** The token was shown on another connection first. */
  'token-connection': 401,
  /** The trust domain of the caller is not one that the service knows. */
  'trust-domain': 401,
  /** The name is not a SPIFFE ID. */
  'spiffe-id': 401,
  /** The client certificate cannot be read. */
  'certificate-malformed': 401,
  /** The client certificate is one of an authority. */
  'certificate-authority': 401,
  /** The client certificate does not lead to a known authority. */
  'certificate-chain': 401,
  /** The time of notAfter has passed. */
  'certificate-expired': 401,
  /** The time of notBefore has not come. */
  'certificate-not-yet-valid': 401,
  /** The client certificate has no name, or not exactly the one that it needs, or one that its authority must not give. */
  'certificate-names': 401,
  /** The client certificate is not for this use. */
  'certificate-usage': 401,
  /** The keys that would prove the identity cannot be had now. A retry may succeed. */
  'identity-unavailable': 503,
  /** The identity is proven, and the access policy does not allow the call. */
  'not-allowed': 403,
  /** The access policy allows the call, and the caller made as many in this minute as its rule gives. A retry may succeed. */
  'caller-rate': 429,
} as const;

export type IdentityErrorCode = keyof typeof IDENTITY_STATUSES;

/**
 * A caller is refused. The message is for people: what is wrong and what to do. Neither the message nor the cause holds any part of
 * a token.
 */
export class IdentityError extends CodedError<IdentityErrorCode, { readonly retryAfter?: number | undefined }> {
  override readonly name = 'IdentityError';

  /** @param options `retryAfter`: seconds until a retry may succeed */
  constructor(code: IdentityErrorCode, message: string, options: ErrorOptions & { readonly retryAfter?: number } = {}) {
    super(code, message, { retryAfter: options.retryAfter }, options);
  }

  /** Of HTTP. */
  get status(): (typeof IDENTITY_STATUSES)[IdentityErrorCode] {
    return IDENTITY_STATUSES[this.code];
  }
}
