/** A service of tokens for a registry (token authentication of the distribution project), which gives rights to `team/` alone. */
import { createSign, randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { newAuthority, pemOf } from '../support/tls-server.ts';

export interface TokenService {
  readonly url: string;
  /** A file that a registry trusts. */
  readonly certificate: string;
  readonly asked: { readonly scope: string | null; readonly service: string | null; readonly user: string }[];
  token(repository: string, actions: readonly string[]): string;
  close(): void;
}

export async function startTokenService(dir: string): Promise<TokenService> {
  await mkdir(dir, { recursive: true });
  const authority = newAuthority('tokens');
  const certificate = join(dir, 'tokens.pem');
  await writeFile(certificate, pemOf(authority));
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (name: string, actions: readonly string[]) => {
    const now = Math.floor(Date.now() / 1000);
    const header = part({ typ: 'JWT', alg: 'ES256', x5c: [Buffer.from(authority.certificate.der).toString('base64')] });
    const access = [{ type: 'repository', name, actions }];
    const claims = part({
      iss: 'tests',
      sub: 'team',
      aud: 'tests',
      iat: now,
      nbf: now - 10,
      exp: now + 300,
      jti: randomUUID(),
      access,
    });
    const key = { key: authority.keys.privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${header}.${claims}.${createSign('sha256').update(`${header}.${claims}`).sign(key).toString('base64url')}`;
  };
  const asked: TokenService['asked'][number][] = [];
  const server = createServer((request, reply) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const scope = searchParams.get('scope');
    const user = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
    asked.push({ scope, service: searchParams.get('service'), user });
    const [, name = '', actions = ''] = /^repository:([^:]+):(.+)$/.exec(scope ?? '') ?? [];
    const given = name.startsWith('team/') ? actions.split(',') : [];
    reply.writeHead(200, { 'content-type': 'application/json' });
    reply.end(JSON.stringify({ token: token(name, given), expires_in: 300 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    certificate,
    asked,
    token,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
