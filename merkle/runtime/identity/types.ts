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

/** Why a caller is refused. docs/identity.md lists the codes. */
export type IdentityErrorCode =
  | 'no-identity' // The request has neither a client certificate nor a token that the service takes, or more than one.
  | 'token-malformed' // The token is not a compact JWS of a JSON header and JSON claims, each in its one encoding.
  | 'token-too-long' // The token is longer than the service reads.
  | 'token-algorithm' // The algorithm is not allowed, or does not fit the key.
  | 'token-key' // The issuer or trust domain has no key of this ID.
  | 'token-signature' // The signature does not verify.
  | 'token-issuer' // No configured issuer or trust domain is the one of the token.
  | 'token-audience' // The token is not for this service, or not for it alone.
  | 'token-claims' // A claim that must be there is missing, or a claim has the wrong form.
  | 'token-expired' // The time of `exp` has passed.
  | 'token-not-yet-valid' // The time of `nbf` or `iat` has not come.
  | 'token-lifetime' // The token is valid for longer than the service takes.
  | 'token-used' // The token was used before, and works once.
  | 'token-connection' // The token was shown on another connection first.
  | 'trust-domain' // The trust domain of the caller is not one that the service knows.
  | 'spiffe-id' // The name is not a SPIFFE ID.
  | 'certificate-malformed' // The client certificate cannot be read.
  | 'certificate-authority' // The client certificate is one of an authority.
  | 'certificate-chain' // The client certificate does not lead to a known authority.
  | 'certificate-expired' // The time of notAfter has passed.
  | 'certificate-not-yet-valid' // The time of notBefore has not come.
  | 'certificate-names' // The client certificate has no name, or not exactly the one that it needs, or one that its authority must not give.
  | 'certificate-usage' // The client certificate is not for this use.
  | 'identity-unavailable' // The keys that would prove the identity cannot be had now. A retry may succeed.
  | 'not-allowed'; // The identity is proven, and the access policy does not allow the call.

/**
 * A caller is refused. The message is for people: what is wrong and what to do. Neither the message nor the cause holds any part of
 * a token.
 */
export class IdentityError extends CodedError<IdentityErrorCode> {
  override readonly name = 'IdentityError';

  constructor(code: IdentityErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }

  /** HTTP status: 401 where no identity is proven (RFC 9110 section 15.5.2), 403 where it is not enough, 503 where a retry may succeed. */
  get status(): 401 | 403 | 503 {
    if (this.code === 'identity-unavailable') return 503;
    return this.code === 'not-allowed' ? 403 : 401;
  }
}
