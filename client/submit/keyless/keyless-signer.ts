/**
 * Signing without a key of one's own: an ECDSA P-256 key that is in this process alone, and a certificate for it from an
 * authority of Fulcio's interface, for the identity in a token or for that of the TLS connection. Node only.
 *
 * One certificate serves as many signatures as are made while it is valid, and is not renewed: a token may work once.
 */
import { generateKeyPairSync } from 'node:crypto';
import { MerkleError } from '../../../merkle/errors.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { sha256 } from '../../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import { parsePublicKey } from '../../formats/key.ts';
import { pause } from '../log-request.ts';
import { type SoftwareSigner, softwareSigner } from '../signers/software-signer.ts';
import type { KeySigner } from '../signers/types.ts';
import type { LogRequestOptions } from '../types.ts';
import { type IssuedChain, parseAuthorityUrl, requestCertificate } from './ask-authority.ts';
import {
  type AskedIdentity,
  identityOfWorkload,
  keepingSecret,
  possessionMessage,
  readIdentityToken,
} from './identity-token.ts';
import { type AuthorityTrust, checkIssued, type IssuedCertificate } from './issued-certificate.ts';

/** So far this machine's clock may be behind that of the authority, in milliseconds. */
const MAX_BEHIND = 5_000;

/** Who certifies the key of a signer, and for whom. */
export interface CertifiedKey extends AuthorityTrust {
  /** Base URL of the certificate authority: https, or http on this machine. */
  readonly authority: string;
  /** The identity token itself. Exactly one of `token` and `spiffeId`. */
  readonly token?: string | undefined;
  /** Whom the X.509-SVID names that `http.fetch` shows in its TLS handshakes. */
  readonly spiffeId?: string | undefined;
  readonly http?: LogRequestOptions;
  /** What checks signatures; Node's OpenSSL by default. */
  readonly primitives?: Primitives;
}

/** A signer with a certificate of minutes. After its end, `certificate` and `sign` throw ClientError `identity-token`. */
export interface KeylessSigner extends KeySigner {
  readonly issued: IssuedCertificate;
}

/**
 * Makes a key, and gets a certificate for it. The certificate is checked before this resolves: the key, the name, the issuer of
 * the identity, the use, the time, the chain; with a trusted root also that verifiers will take it, and with a trusted log its
 * place there, if the authority shows it.
 *
 * @throws ClientError `usage` (the URL, the SPIFFE ID), `identity-token`, `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`, and the
 *   codes of `checkIssued`; none holds a piece of the token
 */
export async function keylessSigner(options: CertifiedKey): Promise<KeylessSigner> {
  const { http = {}, primitives = nodePrimitives(), trustedRoot, log } = options;
  const authority = parseAuthorityUrl(options.authority, options.token === undefined ? 'svid' : 'token');
  const identity = identityIn(options);
  const key = newKey();
  const { publicKey } = key;
  const digest = sha256(possessionMessage(identity));
  const possession = { digest, signature: key.sign(digest) };
  const issued = await keepingSecret(identity, async () => {
    const proof = { spki: publicKey.spki, proof: possession.signature };
    const reply = await requestCertificate(authority, identity, proof, http);
    await untilValid(reply, http.signal);
    return checkIssued(reply, { identity, publicKey, possession }, { trustedRoot, log }, Date.now(), primitives);
  });
  const { der, notAfter } = issued.certificate;
  const again =
    identity.text === undefined
      ? ': run the command again'
      : ', and its token has done its work: run the command again with a new token';
  const certificate = () => {
    if (Date.now() <= notAfter) return der;
    throw new ClientError(
      'identity-token',
      `the certificate of this run was valid until ${timeText(notAfter)}${again} for what is not signed yet`,
    );
  };
  return {
    publicKey,
    issued,
    get certificate() {
      return certificate();
    },
    repeatable: true,
    sign: (hash) => {
      certificate();
      return key.sign(hash);
    },
    close: key.close,
  };
}

/** @throws ClientError `usage`, `identity-token` */
function identityIn({ token, spiffeId }: CertifiedKey): AskedIdentity {
  if (token !== undefined && spiffeId === undefined) return readIdentityToken(token, Date.now());
  if (token === undefined && spiffeId !== undefined) return identityOfWorkload(spiffeId);
  throw usage('an authority certifies whom a token or an X.509-SVID names: give one of token and spiffeId');
}

/** A key that only this process knows. */
function newKey(): SoftwareSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
  return softwareSigner(parsePublicKey(spki, nodePrimitives()), secret);
}

/** Waits where this machine's clock is a little behind that of the authority. */
async function untilValid({ chain }: IssuedChain, signal: AbortSignal | undefined): Promise<void> {
  let early: number;
  try {
    early = parseCertificate(chain[0]!).notBefore - Date.now();
  } catch (error) {
    if (error instanceof MerkleError) return; // checkIssued says what is wrong with it
    throw error;
  }
  if (early > 0 && early <= MAX_BEHIND) await pause(early, signal);
}
