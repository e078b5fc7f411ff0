/**
 * Tokens as text: a JWS in its compact serialization (RFC 7515 section 3.1) whose payload is a JSON object of claims (RFC 7519),
 * read more strictly than the RFCs ask for, after RFC 8725:
 *
 * - each part has its one encoding in base64url, so that no character of it can change without changing a byte;
 * - header and claims have no name twice, since two readers could take different ones;
 * - the header holds nothing that a verifier must understand (`crit`), or that would choose the key in the sender's favor.
 *
 * Nothing here is verified. No message repeats a part of the token.
 */
import { createHash } from 'node:crypto';
import { isJsonRecord, type JsonRecord, parseJsonValue } from '../../../rekor/json-value.ts';
import { IdentityError } from '../types.ts';
import { TOKEN_ALGORITHMS, type TokenAlgorithm } from './token-algorithms.ts';

/** Tokens of build systems have 1 to 3 KB; those with many groups of a person up to 8. */
export const MAX_TOKEN = 16 * 1024;
/** Levels of JSON within the claims. */
const MAX_DEPTH = 16;
const MAX_KEY_ID = 1024;
/** Members that bring a key along, or say where one is (RFC 7515 section 4.1), and those of encryption and of nested tokens. */
const REFUSED = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'enc', 'zip', 'cty', 'epk', 'p2s', 'p2c'];

export interface CompactToken {
  readonly text: string;
  readonly algorithm: TokenAlgorithm;
  readonly header: JsonRecord;
  readonly keyId: string | undefined;
  readonly claims: JsonRecord;
}

/**
 * @throws IdentityError `token-too-long` before anything is read, `token-malformed`, `token-algorithm` for an algorithm that no
 * token may have: `none`, those with a shared secret, and unknown ones
 */
export function parseCompactToken(text: string): CompactToken {
  if (text.length > MAX_TOKEN) throw new IdentityError('token-too-long', `the token is longer than ${MAX_TOKEN} bytes`);
  const parts = text.split('.', 4);
  if (parts.length !== 3) {
    throw malformed('is not three parts with a dot between them (JWS compact serialization)');
  }
  const [header, claims, signature] = parts.map(bytesOf);
  const head = jsonOf(header!, 'header');
  const { alg, kid } = head;
  const refused = REFUSED.find((name) => Object.hasOwn(head, name));
  if (refused !== undefined) throw malformed(`has a header with "${refused}", which is not taken`);
  const algorithm = TOKEN_ALGORITHMS.find((known) => known === alg);
  if (algorithm === undefined) {
    const why = `the token's algorithm is not one of ${TOKEN_ALGORITHMS.join(', ')}`;
    throw new IdentityError('token-algorithm', why);
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > MAX_KEY_ID)) {
    throw malformed('has a key ID ("kid") that is not a short text');
  }
  if (signature!.length === 0) throw malformed('has no signature');
  return { text, algorithm, header: head, keyId: kid, claims: jsonOf(claims!, 'claims') };
}

/**
 * SHA-256 of what the issuer signed, in hex: the same for each spelling of one token. Only the signature can be written
 * differently without the issuer's key: of ECDSA, (r, s) and (r, n - s) are both valid. Header and claims are signed as the text
 * that they are.
 *
 * `jti` is not used: an issuer need not set it, and the digest tells apart all that `jti` tells apart.
 *
 * @param text a token that was verified
 */
export function tokenDigest(text: string): string {
  return createHash('sha256')
    .update(text.slice(0, text.lastIndexOf('.')))
    .digest('hex');
}

export function malformed(why: string): IdentityError {
  return new IdentityError('token-malformed', `the token ${why}`);
}

/** Node's decoder skips what it does not know. Encoding again shows this. */
function bytesOf(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw malformed('has a part that is not base64url in its one encoding');
  return bytes;
}

function jsonOf(bytes: Uint8Array, name: 'header' | 'claims'): JsonRecord {
  let value: unknown;
  try {
    value = parseJsonValue(bytes, name, MAX_TOKEN, MAX_DEPTH);
  } catch {
    // The cause repeats names that stand in the token.
    throw malformed(
      `has ${name} that are not strict JSON: no name may stand twice, and at most ${MAX_DEPTH} levels deep`,
    );
  }
  if (!isJsonRecord(value as JsonRecord)) throw malformed(`has ${name} that are not a JSON object`);
  return value as JsonRecord;
}
