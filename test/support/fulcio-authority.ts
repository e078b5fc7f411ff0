/**
 * A certificate authority behind Fulcio's path, for tests of clients: it believes each token, and can lie in each part of its
 * answer. It stands in for the authorities that cannot be made to lie.
 */
import { createPublicKey, type KeyPairKeyObjectResult } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { parsePublicKey } from '../../client/formats/key.ts';
import { logSigned } from '../../client/submit/log-signatures.ts';
import { tlogProofOf } from '../../client/submit/signed-digest.ts';
import type { VerifierKey } from '../../merkle/note.ts';
import { formatPem } from '../../merkle/pem.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { SCT_EXTENSION } from '../../merkle/x509/sct.ts';
import {
  type Authority,
  der,
  type Extension,
  issueCa,
  issueDer,
  newKeys,
  octets,
  SIGNING,
  spkiOf,
  tbsOf,
  utf8,
  type Wish,
} from '../merkle/x509/make.ts';
import { listOf, makeSct } from '../merkle/x509/make-sct.ts';

const ISSUER_EXTENSION = '1.3.6.1.4.1.57264.1.8';
const seconds = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** A request, and what the right answer to it is made of. */
export interface Asked {
  readonly token: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly proof: Uint8Array;
  readonly headers: IncomingMessage['headers'];
}

/** What is other than right. */
export interface Lie {
  /** In the certificate. */
  readonly leaf?: (asked: Asked) => Wish;
  /** The key that the certificate is for. */
  readonly keys?: KeyPairKeyObjectResult;
  /** The issuer of the identity; null for none. */
  readonly issuer?: string | null;
  readonly by?: Authority;
  /** Signs the timestamp; null for none. */
  readonly ct?: KeyPairKeyObjectResult | null;
  readonly chain?: (chain: readonly string[]) => readonly unknown[];
  readonly proof?: (proof: string) => unknown;
  /** The whole answer. */
  readonly answer?: (asked: Asked, reply: ServerResponse) => void;
  readonly reply?: (json: Record<string, unknown>) => unknown;
}

export interface FulcioAuthority {
  readonly url: string;
  readonly root: Authority;
  readonly intermediate: Authority;
  readonly ct: KeyPairKeyObjectResult;
  readonly asked: Asked[];
  lie: Lie;
  /** Logs each certificate, and shows the proof. */
  log: { readonly url: string; readonly key: VerifierKey } | undefined;
  /** Members of a trusted root (JSON). */
  trust(): { certificateAuthorities: object[]; ctlogs: object[] };
  close(): Promise<void>;
}

export async function startFulcioAuthority(): Promise<FulcioAuthority> {
  const root = issueCa('root');
  const intermediate = issueCa('team', root, { pathLen: 0, usages: [SIGNING] });
  const server = createServer(async (request, reply) => {
    try {
      await serve(request, reply);
    } catch (error) {
      reply.writeHead(500).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const authority: FulcioAuthority = {
    url: `http://127.0.0.1:${port}`,
    root,
    intermediate,
    ct: newKeys(),
    asked: [],
    lie: {},
    log: undefined,
    trust: () => trustOf(authority),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  async function serve(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const body = JSON.parse((await buffer(request)).toString());
    if (request.method !== 'POST' || request.url !== '/api/v2/signingCert') return void reply.writeHead(404).end('{}');
    const token = body.credentials.oidcIdentityToken as string;
    const { publicKey, proofOfPossession } = body.publicKeyRequest;
    const asked: Asked = {
      token,
      claims: JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()),
      spki: createPublicKey(publicKey.content).export({ format: 'der', type: 'spki' }),
      proof: Buffer.from(proofOfPossession, 'base64'),
      headers: request.headers,
    };
    authority.asked.push(asked);
    const { lie } = authority;
    if (lie.answer !== undefined) return lie.answer(asked, reply);
    const json = await answerTo(asked, authority);
    reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(lie.reply?.(json) ?? json));
  }
  return authority;
}

async function answerTo(asked: Asked, { root, intermediate, lie, ct, log }: FulcioAuthority) {
  const by = lie.by ?? intermediate;
  const leaf = leafFor(asked, by, lie, ct);
  const certificates = [leaf, by.certificate.der, root.certificate.der].map((one) => formatPem('CERTIFICATE', one));
  const chain = { certificates: lie.chain?.(certificates) ?? certificates };
  const json: Record<string, unknown> = { signedCertificateEmbeddedSct: { chain } };
  if (log === undefined) return json;
  const proof = Buffer.from(await loggedProof(asked, leaf, log)).toString();
  return { ...json, tlogProof: lie.proof?.(proof) ?? proof };
}

function leafFor(asked: Asked, by: Authority, lie: Lie, ct: KeyPairKeyObjectResult): Buffer {
  const { claims, spki } = asked;
  const publicKey = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  const keys = lie.keys ?? { publicKey, privateKey: by.keys.privateKey };
  const issuer = lie.issuer === undefined ? String(claims.iss) : lie.issuer;
  const now = Date.now();
  const wish: Wish = {
    by,
    name: '',
    keys,
    serial: Buffer.from(String(now % 1e8).padStart(8, '1')),
    from: seconds(now - 1000),
    to: seconds(now + 600_000),
    keyUsage: 0x80,
    usages: [SIGNING],
    names: [claims.email === undefined ? der(0x86, Buffer.from(String(claims.sub))) : mailName(String(claims.email))],
    ...lie.leaf?.(asked),
  };
  const named = issuer === null ? [] : [{ oid: ISSUER_EXTENSION, value: utf8(issuer) }];
  const extensions: Extension[] = [...(wish.extensions ?? []), ...named];
  const plain = { ...wish, extensions };
  if (lie.ct === null) return issueDer(plain).der;
  const sct = makeSct(tbsOf(plain, keys), { keys: lie.ct ?? ct, time: now, issuer: by.certificate.spki });
  return issueDer({ ...plain, extensions: [...extensions, { oid: SCT_EXTENSION, value: octets(listOf(sct)) }] }).der;
}

export const mailName = (address: string): Buffer => der(0x81, Buffer.from(address));

async function loggedProof(
  { spki, proof, claims }: Asked,
  certificate: Uint8Array,
  { url, key }: NonNullable<FulcioAuthority['log']>,
): Promise<Uint8Array> {
  const publicKey = parsePublicKey(spki, nodePrimitives());
  const digest = sha256(Buffer.from(String(claims.email ?? claims.sub)));
  const logged = await logSigned({ digest, signature: proof, publicKey, certificate }, url, { logKey: key });
  return tlogProofOf(logged);
}

function trustOf({ url, root, intermediate, ct }: FulcioAuthority) {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const validFor = { start: '2020-01-01T00:00:00Z' };
  const certificates = [intermediate, root].map(({ certificate }) => ({ rawBytes: base64(certificate.der) }));
  const spki = spkiOf(ct.publicKey);
  const publicKey = { rawBytes: base64(spki), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor };
  const logId = { keyId: base64(sha256(spki)) };
  return {
    certificateAuthorities: [{ subject: {}, uri: url, certChain: { certificates }, validFor }],
    ctlogs: [{ baseUrl: url, hashAlgorithm: 'SHA2_256', publicKey, logId }],
  };
}
