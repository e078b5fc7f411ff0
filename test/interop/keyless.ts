/**
 * Signing without keys, near at hand: the certificate authority and the certificate-transparency log of @sigstore/mock behind Fulcio's
 * path, as cosign speaks to it, and tokens of an identity.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fulcioHandler, initializeCA, initializeCTLog } from '@sigstore/mock';

const validFor = { start: '2026-01-01T00:00:00Z' };
export const WHO = { email: 'release@example.com', iss: 'https://accounts.example.com' };

export interface Keyless {
  readonly url: string;
  /** Members of a trusted root. */
  readonly trust: { readonly certificateAuthorities: readonly object[]; readonly ctlogs: readonly object[] };
  /** @param subject an e-mail address or a URI */
  token(subject?: string): string;
  close(): void;
}

export async function startKeyless(): Promise<Keyless> {
  const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ctLog = await initializeCTLog(newKey());
  const ca = await initializeCA(newKey(), ctLog);
  const { path, fn } = fulcioHandler(ca);
  const server = createServer(async (request, reply) => {
    const body = JSON.parse((await text(request)) || '{}');
    // cosign sends the token as a header, and takes no certificate with another status than 200.
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (bearer !== undefined) body.credentials = { oidcIdentityToken: bearer };
    const answer = request.url === path ? await fn(JSON.stringify(body)) : { statusCode: 404, response: '' };
    reply.writeHead(answer.statusCode === 201 ? 200 : answer.statusCode).end(answer.response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base64 = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  const chain = { certificates: [{ rawBytes: base64(ca.rootCertificate) }] };
  const key = { rawBytes: base64(ctLog.publicKey), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor };
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    trust: {
      certificateAuthorities: [{ subject: {}, uri: 'http://localhost', certChain: chain, validFor }],
      ctlogs: [
        {
          baseUrl: 'http://localhost',
          hashAlgorithm: 'SHA2_256',
          publicKey: key,
          logId: { keyId: base64(ctLog.logID) },
        },
      ],
    },
    token: (subject = WHO.email) => {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const exp = Math.floor(Date.now() / 1000) + 600;
      const email = subject.includes('://') ? {} : { email: subject, email_verified: true };
      const claims = { ...email, iss: WHO.iss, sub: subject, aud: 'sigstore', exp };
      // RS256 alone: cosign takes other tokens for names of files.
      return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${Buffer.from('no signature').toString('base64url')}`;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
