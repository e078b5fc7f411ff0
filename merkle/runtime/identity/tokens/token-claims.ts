/**
 * The claims of a token whose signature is verified: RFC 7519 section 4.1, OpenID Connect Core section 2, JWT-SVID section 3.
 * Stricter than these where a token could be used elsewhere, or for longer, than its issuer means.
 */
import type { JsonRecord, JsonValue } from '../../../rekor/json-value.ts';
import { IdentityError } from '../types.ts';

/**
 * How far the clock of an issuer may be ahead: for `nbf` and `iat`. `exp` has no leeway: a caller with a token that has ended asks
 * its issuer for another.
 */
const CLOCK_LEEWAY_MS = 10_000;
/** Characters. A SPIFFE ID has at most 2048. */
const MAX_SUBJECT = 2048;
/** RFC 5321 section 4.5.3.1.3. */
const MAX_EMAIL = 254;
/** Without control and format characters, which hide what a person reads. */
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}](?:[\p{L}\p{M}\p{N}\p{P}\p{S} ]*[\p{L}\p{M}\p{N}\p{P}\p{S}])?$/u;
const EMAIL = /^[!-?A-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;

interface ClaimRules {
  /** The one audience of the token. */
  readonly audience: string;
  /** The longest time from `iat` to `exp`. */
  readonly maxLifetimeMs: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

interface CheckedClaims {
  readonly subject: string;
  /** Only where `email_verified` is `true`. */
  readonly email?: string;
  /** `exp` in milliseconds since 1970. */
  readonly expires: number;
}

/**
 * @throws IdentityError `token-claims`, `token-audience`, `token-expired`, `token-not-yet-valid`, `token-lifetime`. No message
 * repeats a claim.
 */
export function checkClaims(claims: JsonRecord, { audience, maxLifetimeMs, now }: ClaimRules): CheckedClaims {
  const { sub } = claims;
  if (typeof sub !== 'string' || sub.length > MAX_SUBJECT || !PRINTABLE.test(sub)) {
    throw wrong(`has no subject ("sub") of 1 to ${MAX_SUBJECT} printable characters`);
  }
  checkAudience(claims.aud, audience);
  const expires = timeOf(claims, 'exp');
  const issued = timeOf(claims, 'iat');
  const starts = claims.nbf === undefined ? issued : Math.max(issued, timeOf(claims, 'nbf'));
  if (expires <= issued) throw wrong('ends ("exp") before it is issued ("iat")');
  if (now >= expires) throw new IdentityError('token-expired', 'the token has expired: get a new one from its issuer');
  if (starts > now + CLOCK_LEEWAY_MS) {
    const why =
      'the token is not valid yet: its "nbf" or "iat" is in the future; check the clock of this machine and of the issuer';
    throw new IdentityError('token-not-yet-valid', why);
  }
  if (expires - issued > maxLifetimeMs) {
    const most = `${maxLifetimeMs / 1000} s from "iat" to "exp"`;
    throw new IdentityError('token-lifetime', `the token is valid for too long: this service takes at most ${most}`);
  }
  return { subject: sub, expires, ...emailOf(claims) };
}

/**
 * Exactly one. A token for two services lets each of them use it at the other (JWT-SVID section 7.2), so it proves less than that
 * the subject calls this one.
 */
function checkAudience(aud: JsonValue | undefined, audience: string): void {
  const all: readonly (JsonValue | undefined)[] = Array.isArray(aud) ? aud : [aud];
  if (all.length > 1) {
    const why = 'the token has more than one audience, so another service that got it could show it here';
    throw new IdentityError('token-audience', `${why}: ask its issuer for one that is for this service alone`);
  }
  if (all[0] === audience) return;
  throw new IdentityError(
    'token-audience',
    `the token is not for this service: its audience ("aud") must be ${audience}`,
  );
}

/**
 * `email_verified` must be the JSON value `true`. Some issuers write the text "true"; a text may as well be "false", and a reader
 * that tests for a value that is not empty would take it.
 */
function emailOf({ email, email_verified: verified }: JsonRecord): { readonly email?: string } {
  if (email === undefined || verified !== true) return {};
  if (typeof email !== 'string' || email.length > MAX_EMAIL || !EMAIL.test(email)) {
    throw wrong('has an "email" that is not an address of e-mail');
  }
  return { email };
}

/** A NumericDate (RFC 7519 section 2) in milliseconds; it may have a fraction. */
function timeOf(claims: JsonRecord, name: 'exp' | 'iat' | 'nbf'): number {
  const value = claims[name];
  const seconds = typeof value === 'bigint' || typeof value === 'number' ? Number(value) : Number.NaN;
  if (seconds >= 0 && seconds <= MAX_SECONDS) return seconds * 1000;
  throw wrong(`has no "${name}" that is a time in seconds since 1970`);
}

/** The end of the year 9999. */
const MAX_SECONDS = 253_402_300_799;

function wrong(why: string): IdentityError {
  return new IdentityError('token-claims', `the token ${why}`);
}
