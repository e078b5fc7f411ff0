/**
 * Identity tokens as a client reads them: ID tokens of OpenID Connect and JWT-SVIDs of SPIFFE, in the compact form of RFC 7515
 * section 3.1 with the claims of RFC 7519 section 4.1.
 *
 * Nothing of a token is verified here: the certificate authority knows whose keys count. The client reads over what it proves
 * the possession of its key (Fulcio: the e-mail address, else the subject), and for whom the certificate must be.
 *
 * A token is a password for as long as it is valid. No error, no message and no entry of a log holds a piece of one.
 */
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { printable } from '../../../merkle/printable.ts';
import { parseSpiffeId } from '../../../merkle/spiffe/spiffe-id.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import { type JsonObject, parseJson } from '../../formats/json.ts';

/** Longest token that is read, in bytes. Tokens of real providers have 500 to 4,000. */
export const MAX_IDENTITY_TOKEN = 16 * 1024;
const MAX_CLAIM = 2048;

/** For whom a certificate is asked. */
export interface AskedIdentity {
  /** What the proof of possession is over: the e-mail address if the token has one, else `sub`; the SPIFFE ID of an X.509-SVID. */
  readonly subject: string;
  /** Whether `subject` is an e-mail address, which its issuer has verified. */
  readonly isEmail: boolean;
  /** `iss`; the provider behind it, where the issuer only passes on what that one says; the trust domain of a SPIFFE ID. */
  readonly issuers: readonly string[];
  /** Of the token; empty without one. */
  readonly claims: JsonObject;
  /** The token itself; undefined where the identity is that of the TLS connection. */
  readonly text?: string | undefined;
}

export interface IdentityToken extends AskedIdentity {
  readonly text: string;
  /** `exp`, in milliseconds since 1970. */
  readonly expires: number;
}

/** The identity of a workload that shows its X.509-SVID in the TLS handshake. @throws ClientError `usage` */
export function identityOfWorkload(spiffeId: string): AskedIdentity {
  try {
    const { text, trustDomain } = parseSpiffeId(spiffeId);
    return { subject: text, isEmail: false, issuers: [`spiffe://${trustDomain}`], claims: {} };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw usage(`"${printable(spiffeId)}" is not the SPIFFE ID of a workload: ${cause.message}`);
  }
}

/** The base64url of `{"`, and of `{` before a space or a line break: so begins the header of a token. */
const TOKEN = /(?:^|[^\w-])(?:eyJ|eyA|ewo|ew0|ewk)(?:[\w-]{6,}\.[\w-]{6,}\.|[\w.-]{100})/;

/** Whether a text is or holds a token, or the beginning of one, and is no name of a file. */
export function looksLikeToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Reads a token, and verifies nothing.
 *
 * @param text of at most 16 KiB; white space around the token is not read
 * @param now milliseconds since 1970
 * @throws ClientError `identity-token`: it is no token, has expired, or names an e-mail address that its issuer did not verify
 */
export function readIdentityToken(text: string, now: number): IdentityToken {
  if (text.length > MAX_IDENTITY_TOKEN) throw unusable(`it is longer than ${MAX_IDENTITY_TOKEN} bytes`);
  const token = text.trim();
  const parts = token.split('.');
  const [header, payload, signature] = parts.map(decode);
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) {
    throw unusable('it is no JSON Web Token: three parts of base64url, with a dot between them');
  }
  if (signature.length === 0) throw unusable('it bears no signature');
  objectIn(header, 'header');
  const claims = objectIn(payload, 'claims');
  const expires = timeIn(claims, 'exp');
  if (expires <= now) throw unusable(`it expired at ${timeText(expires)}: get a new one`);
  const email = claims.email === undefined || claims.email === '' ? undefined : textIn(claims, 'email');
  if (email !== undefined && claims.email_verified !== true) {
    throw unusable(
      'its issuer did not verify the e-mail address in it ("email_verified" is not true), and an authority certifies no such address',
    );
  }
  const subject = email ?? textIn(claims, 'sub');
  return { text: token, subject, isEmail: email !== undefined, issuers: issuersOf(claims, subject), expires, claims };
}

/** Whom a certificate may name as its issuer. A JWT-SVID needs no `iss` (JWT-SVID section 3): its trust domain vouches for it. */
function issuersOf(claims: JsonObject, subject: string): string[] {
  const [trustDomain] = /^spiffe:\/\/[^/]+/.exec(subject) ?? [];
  if (trustDomain === undefined) return [textIn(claims, 'iss'), ...federatedIssuer(claims)];
  return claims.iss === undefined ? [trustDomain] : [textIn(claims, 'iss'), trustDomain];
}

/** Dex names the provider that a person logged in at, and Fulcio then names that one as the issuer. */
function federatedIssuer({ federated_claims: federated }: JsonObject): string[] {
  const { connector_id: connector } = Object(federated) as { readonly connector_id?: unknown };
  return typeof connector === 'string' && connector.length <= MAX_CLAIM ? [connector] : [];
}

/** Undefined where it is not the one base64url of its bytes (RFC 7515 section 2). */
function decode(part: string): Uint8Array | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}

function objectIn(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = parseJson(bytes, 'the token', MAX_IDENTITY_TOKEN, 16);
  } catch (error) {
    // No cause: it may quote the token.
    if (error instanceof ClientError) throw unusable(`its ${what} are not the JSON of one object`);
    throw error;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw unusable(`its ${what} are not the JSON of one object`);
}

function textIn(claims: JsonObject, name: string): string {
  const value = claims[name];
  if (typeof value !== 'string' || value === '') throw unusable(`it has no "${name}" that is text`);
  if (value.length > MAX_CLAIM || /[\p{Cc}\p{Surrogate}]/u.test(value)) {
    throw unusable(`its "${name}" has control characters, or more than ${MAX_CLAIM} characters`);
  }
  return value;
}

/** NumericDate of RFC 7519 section 2, in milliseconds since 1970. */
function timeIn(claims: JsonObject, name: string): number {
  const value = claims[name];
  if (typeof value === 'number' && value > 0 && value < 1e11) return value * 1000;
  throw unusable(`it has no "${name}" that is a time`);
}

function unusable(why: string): ClientError {
  return new ClientError('identity-token', `the identity token cannot be used: ${why}`);
}

/** A piece of a token of this length is no word by chance. */
const PIECE = 8;

/** `text` with "…" in the place of each piece of the token in it. */
export function withoutToken(text: string, { text: token }: Pick<AskedIdentity, 'text'>): string {
  if (token === undefined) return text;
  let clean = '';
  for (let at = 0; at < text.length; ) {
    let end = at + PIECE;
    if (end > text.length || !token.includes(text.slice(at, end))) {
      clean += text[at++];
      continue;
    }
    while (end < text.length && token.includes(text.slice(at, end + 1))) end++;
    clean += '…';
    at = end;
  }
  return clean;
}

/** What `work` gives. Its errors hold no piece of the token, also where a server answered with one. */
export async function keepingSecret<T>(token: AskedIdentity, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    // No cause: it may quote what the server said.
    throw new ClientError(error.code, withoutToken(error.message, token));
  }
}

/** Whether bytes, such as a certificate, hold the signature of the token. */
export function holdsToken(bytes: Uint8Array, { text }: AskedIdentity): boolean {
  if (text === undefined) return false;
  const signature = text.slice(text.lastIndexOf('.') + 1);
  const places = Buffer.from(bytes);
  return [Buffer.from(signature), Buffer.from(signature, 'base64url')].some((one) => places.includes(one));
}

/** The identity of a token, for people. */
export function tokenFor({ subject, issuers }: AskedIdentity): string {
  return `${printable(subject)} (issuer ${printable(issuers[0]!)})`;
}

/** The message of the proof of possession. */
export function possessionMessage({ subject }: AskedIdentity): Uint8Array {
  return encodeUtf8(subject);
}
