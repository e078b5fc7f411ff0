/**
 * Asks a certificate authority for the certificate of an ephemeral key: Fulcio's `POST /api/v2/signingCert`
 * (sigstore/fulcio, fulcio.proto, `dev.sigstore.fulcio.v2.CA`, proto3 JSON):
 *
 *   { "credentials": { "oidcIdentityToken" },
 *     "publicKeyRequest": { "publicKey": { "algorithm": "ECDSA", "content": PEM }, "proofOfPossession": base64 } }
 *
 *   { "signedCertificateEmbeddedSct": { "chain": { "certificates": [PEM of the leaf, …] } }, "tlogProof"? }
 *
 * `signedCertificateDetachedSct` has the same chain. `tlogProof` is of Stele: the certificate's entry in a log, as
 * c2sp.org/tlog-proof. Without `credentials` the authority takes the X.509-SVID of the TLS connection. Nothing of the reply is believed here: issued-certificate.ts checks it.
 */
import { encodeBase64 } from '../../../merkle/bytes.ts';
import { formatPem, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { printable } from '../../../merkle/printable.ts';
import { MAX_TLOG_PROOF } from '../../../merkle/tlog-proof.ts';
import { ClientError, usage } from '../../errors.ts';
import { array, knownMembers, malformed, parseJson, string } from '../../formats/json.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { ask, describeReply } from '../log-request.ts';
import type { LogRequestOptions } from '../types.ts';
import { type AskedIdentity, withoutToken } from './identity-token.ts';

/** Longest reply, in bytes. A chain has 2 to 8 kB, and a proof with the cosignatures of many witnesses less than 64 kB. */
export const MAX_CERTIFICATE_REPLY = 256 * 1024;
/** Certificates of one chain; Fulcio's has 3. */
const MAX_CHAIN = 8;
/** The authority logs the certificate before it answers, and waits for witnesses. Milliseconds. */
const DEADLINE = 60_000;

/** What an authority answers. Nothing of it is verified. */
export interface IssuedChain {
  /** DER, the leaf first. At least one. */
  readonly chain: readonly Uint8Array[];
  /** The file of a tlog-proof. */
  readonly tlogProof: Uint8Array | undefined;
}

/**
 * The base URL of a certificate authority, without a slash at its end. A token is a password, so it goes only over https, or
 * to this machine. A workload shows its X.509-SVID in a TLS handshake.
 *
 * @throws ClientError `usage`
 */
export function parseAuthorityUrl(text: string, shows: 'token' | 'svid' = 'token'): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usage(`"${printable(text)}" is not the URL of a certificate authority; it looks like https://ca.example.com`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw usage('the URL of a certificate authority has no user name, password, query or fragment: leave them out');
  }
  if (url.protocol === 'http:' && shows === 'svid') {
    throw usage(`an X.509-SVID is shown in the TLS handshake with ${printable(url.origin)}: use an https address`);
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw usage(`the identity token would go to ${printable(url.origin)} in clear: use an https address`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

/** Whether a host of a URL is this machine by its name. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

/**
 * Sends one request, again while the authority says that it cannot answer now.
 *
 * @param authority as `parseAuthorityUrl` gives it
 * @param spki SubjectPublicKeyInfo of the ephemeral key, DER
 * @param proof the signature over the message of the token, DER
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`; none holds a piece of the token
 */
export async function requestCertificate(
  authority: string,
  identity: AskedIdentity,
  { spki, proof }: { readonly spki: Uint8Array; readonly proof: Uint8Array },
  http: LogRequestOptions,
): Promise<IssuedChain> {
  const url = `${authority}/api/v2/signingCert`;
  const publicKey = { algorithm: 'ECDSA', content: formatPem('PUBLIC KEY', spki) };
  const request = {
    ...(identity.text !== undefined && { credentials: { oidcIdentityToken: identity.text } }),
    publicKeyRequest: { publicKey, proofOfPossession: encodeBase64(proof) },
  };
  const { onRetry, deadline = DEADLINE } = http;
  let earlier: string | undefined;
  const options: LogRequestOptions = {
    ...http,
    deadline: Math.min(deadline, DEADLINE),
    onRetry: (retry) => {
      earlier = withoutToken(retry.why, identity);
      onRetry?.({ ...retry, why: earlier });
    },
  };
  const advice = identity.text === undefined ? ANOTHER_CERTIFICATE : TOKEN_MAY_BE_USED;
  const reply = await ask(url, JSON.stringify(request), options, MAX_CERTIFICATE_REPLY, advice);
  if (reply.status !== 200 && reply.status !== 201) {
    const why = withoutToken(describeReply(reply), identity);
    // An authority that could not answer may have used the token all the same, and then says only that.
    const before = earlier === undefined ? '' : `; an earlier attempt ended with: ${earlier}`;
    throw new ClientError('refused', `the certificate authority ${authority} issues no certificate: ${why}${before}`);
  }
  try {
    return readReply(reply.body);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const why = withoutToken(cause.message, identity);
    const what = `the certificate authority ${authority} answered with something else than certificates: ${why}`;
    throw new ClientError('bad-reply', `${what}. Is the URL that of a certificate authority?`);
  }
}

/** Said where no answer came. */
const TOKEN_MAY_BE_USED =
  'A token may work once: get a new one before you try again, as the authority may have used this one';
const ANOTHER_CERTIFICATE =
  'Trying again later is safe: the next attempt makes another key, and gets another certificate';

/** @throws ClientError `malformed` */
function readReply(body: Uint8Array): IssuedChain {
  const reply = knownMembers(parseJson(body, 'the reply', MAX_CERTIFICATE_REPLY, 8), 'the reply', [
    'signedCertificateEmbeddedSct',
    'signedCertificateDetachedSct',
    'tlogProof',
  ]);
  const [name, other] = (['signedCertificateEmbeddedSct', 'signedCertificateDetachedSct'] as const).filter(
    (form) => reply[form] !== undefined,
  );
  if (name === undefined || other !== undefined) throw malformed('the reply', 'does not have exactly one chain');
  const { chain } = knownMembers(reply[name], name, ['chain']);
  const path = `${name}.chain`;
  const { certificates } = knownMembers(chain ?? {}, path, ['certificates']);
  const list = array(certificates, `${path}.certificates`, MAX_CHAIN);
  if (list.length === 0) throw malformed(`${path}.certificates`, 'is empty');
  const { tlogProof } = reply;
  return {
    chain: list.map((one, at) => certificateIn(one, `${path}.certificates[${at}]`)),
    tlogProof: tlogProof === undefined ? undefined : proofIn(tlogProof),
  };
}

function certificateIn(value: unknown, path: string): Uint8Array {
  const [block, ...more] = withClientErrors(() => parsePem(string(value, path)));
  if (block?.label !== 'CERTIFICATE' || more.length > 0) throw malformed(path, 'is not one certificate in PEM');
  return withClientErrors(() => pemBytes(block));
}

function proofIn(value: unknown): Uint8Array {
  const text = string(value, 'tlogProof');
  if (text.length > MAX_TLOG_PROOF) throw malformed('tlogProof', 'is too long');
  return Buffer.from(text);
}
