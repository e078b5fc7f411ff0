/**
 * The body of `POST /api/v2/signingCert`: `dev.sigstore.fulcio.v2.CreateSigningCertificateRequest` (sigstore/fulcio,
 * fulcio.proto) in proto3 JSON.
 *
 *   { "credentials": { "oidcIdentityToken": "eyJ…" },
 *     "publicKeyRequest": { "publicKey": { "algorithm": "ECDSA", "content": "-----BEGIN PUBLIC KEY-----…" },
 *                           "proofOfPossession": "base64" } }
 *
 * cosign sends no credentials here, but the token in the header `Authorization`.
 */
import type { IncomingMessage } from 'node:http';
import { rsaNumbers } from '../../merkle/rekor/spki.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError } from '../errors.ts';
import { bytes, enumeration, object, parseJson, string } from '../formats/json.ts';
import { type PublicKey, parsePublicKeyPem } from '../formats/key.ts';
import { CaError } from './ca-errors.ts';

export interface SigningRequest {
  readonly publicKey: PublicKey;
  /** Signature over the name of the caller. */
  readonly proof: Uint8Array;
  /** `credentials.oidcIdentityToken`. */
  readonly token?: string;
}

const ALGORITHMS = { PUBLIC_KEY_ALGORITHM_UNSPECIFIED: 0, RSA_PSS: 1, ECDSA: 2, ED25519: 3 } as const;
/** Bytes of the longest signature: RSA of 4096 bits. */
const MAX_PROOF_BYTES = 512;

/** @throws ClientError `malformed`; CaError `malformed`, `public-key` */
export function readSigningRequest(body: Uint8Array, limit: number): SigningRequest {
  const request = object(parseJson(body, 'the request', limit), 'the request', [
    'credentials',
    'publicKeyRequest',
    'certificateSigningRequest',
  ]);
  if (request.certificateSigningRequest !== undefined) {
    throw new CaError(
      'malformed',
      'this authority takes no certificate signing request, which is not bound to the identity: send publicKeyRequest, with a proof of possession over the name of the caller',
    );
  }
  if (request.publicKeyRequest === undefined) throw new CaError('malformed', 'publicKeyRequest is missing');
  const { publicKey, proofOfPossession } = object(request.publicKeyRequest, 'publicKeyRequest', [
    'publicKey',
    'proofOfPossession',
  ]);
  if (proofOfPossession === undefined) throw new CaError('malformed', 'publicKeyRequest.proofOfPossession is missing');
  const proof = bytes(proofOfPossession, 'publicKeyRequest.proofOfPossession');
  if (proof.length === 0 || proof.length > MAX_PROOF_BYTES) {
    throw new CaError(
      'malformed',
      `publicKeyRequest.proofOfPossession has ${proof.length} bytes, which no signature has`,
    );
  }
  const token = tokenOf(request.credentials);
  return { publicKey: readKey(publicKey), proof, ...(token !== undefined && { token }) };
}

function tokenOf(credentials: unknown): string | undefined {
  if (credentials === undefined) return undefined;
  const { oidcIdentityToken: token } = object(credentials, 'credentials', ['oidcIdentityToken']);
  // proto3 JSON writes a field that is not set as the empty text.
  return token === undefined || token === '' ? undefined : string(token, 'credentials.oidcIdentityToken');
}

function readKey(value: unknown): PublicKey {
  if (value === undefined) throw new CaError('malformed', 'publicKeyRequest.publicKey is missing');
  const { algorithm, content } = object(value, 'publicKeyRequest.publicKey', ['algorithm', 'content']);
  // The key says what it is. sigstore-js writes ECDSA here whatever the key is.
  if (algorithm !== undefined) enumeration(algorithm, 'publicKeyRequest.publicKey.algorithm', ALGORITHMS);
  if (content === undefined) throw new CaError('malformed', 'publicKeyRequest.publicKey.content is missing');
  let key: PublicKey;
  try {
    key = parsePublicKeyPem(string(content, 'publicKeyRequest.publicKey.content'), nodePrimitives());
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== 'key') throw cause;
    throw new CaError('public-key', `the public key is not taken: ${cause.message}`, {}, { cause });
  }
  if (key.info.kind === 'ed25519') {
    // A hashedrekord holds the digest, and a log verifies such a key as Ed25519ph (RFC 8032 section 5.1).
    throw new CaError(
      'public-key',
      'this authority takes no Ed25519 key: the proof of possession is a plain Ed25519 signature, which no hashedrekord can hold, so that the certificate could not be logged. Use ECDSA on P-256, P-384 or P-521, or RSA',
    );
  }
  if (key.info.kind === 'rsa' && rsaNumbers(key.spki).exponent !== 65537n) {
    throw new CaError('public-key', 'this authority takes RSA keys with the exponent 65537 alone');
  }
  return key;
}

const BEARER = /^bearer +([!-~]+)$/i;

/**
 * The token of a request: from the header or from the body.
 * @throws CaError `tokens-differ`, `malformed` where there are several headers, or one of another scheme
 */
export function tokenOfRequest({ rawHeaders }: IncomingMessage, inBody: string | undefined): string | undefined {
  const given = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === 'authorization');
  // Node keeps the first of several, and a proxy in front may have judged the last.
  if (given.length > 1) throw new CaError('malformed', 'the request has more than one Authorization header');
  const [header] = given;
  if (header === undefined) return inBody;
  const inHeader = BEARER.exec(header.trim())?.[1];
  if (inHeader === undefined) {
    throw new CaError('malformed', 'the Authorization header is not "Bearer" and a token');
  }
  if (inBody !== undefined && inBody !== inHeader) {
    throw new CaError(
      'tokens-differ',
      'the Authorization header and credentials.oidcIdentityToken hold different tokens: send one of them',
    );
  }
  return inHeader;
}
