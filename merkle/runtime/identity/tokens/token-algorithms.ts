/** The signature algorithms of tokens, each with the one kind of key that it takes. */
import type { PublicKeyKind } from '../../../rekor/spki.ts';

/**
 * RFC 7518 section 3.1, RFC 8037 section 3.1 (`EdDSA`, here with Ed25519 alone) and RFC 9864 section 2.2 (`Ed25519`, the same under
 * another name). JWT-SVID section 2.1 lists the same but Ed25519, which a trust domain has only where its own bundle has such a key
 * for JWT-SVIDs: to refuse it would protect nobody. None is symmetric: a shared secret proves nothing of the one that signed. `none` is not a signature.
 */
const KEY_KINDS = {
  ES256: 'ecdsa-p256',
  ES384: 'ecdsa-p384',
  ES512: 'ecdsa-p521',
  EdDSA: 'ed25519',
  Ed25519: 'ed25519',
  PS256: 'rsa',
  PS384: 'rsa',
  PS512: 'rsa',
  RS256: 'rsa',
  RS384: 'rsa',
  RS512: 'rsa',
} as const satisfies Readonly<Record<string, PublicKeyKind>>;

export type TokenAlgorithm = keyof typeof KEY_KINDS;

export const TOKEN_ALGORITHMS = Object.keys(KEY_KINDS) as readonly TokenAlgorithm[];

/** What a JWK says of its own use. */
interface KeyFacts {
  readonly kind: PublicKeyKind;
  /** `alg` of the JWK. */
  readonly alg?: string | undefined;
}

/** Whether a key may verify this algorithm: by its type and curve, and by the algorithm that it names, where it names one. */
export function fitsAlgorithm({ kind, alg }: KeyFacts, algorithm: TokenAlgorithm): boolean {
  if (KEY_KINDS[algorithm] !== kind) return false;
  return alg === undefined || alg === algorithm || (kind === 'ed25519' && (alg === 'EdDSA' || alg === 'Ed25519'));
}
