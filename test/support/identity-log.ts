/** A log that requires an identity of its writers, as a real server with real TLS in this process, and clients of it. */

import { writeFile } from 'node:fs/promises';
import https from 'node:https';
import { join } from 'node:path';
import { loadConfig, type Server, serve } from '../../server/main.ts';
import { type Authority, issue, issueCa } from '../merkle/x509/make.ts';
import { dnsName, type Shown, shownBy } from './client-certificates.ts';
import { tempDir } from './log.ts';
import { pemOf } from './tls-server.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  json(): {
    readonly error?: string;
    readonly message: string;
    readonly code: number;
    readonly reasons?: readonly { readonly code: string }[];
  };
}

export interface IdentityLog {
  readonly server: Server;
  readonly port: number;
  readonly dir: string;
  /** Signs the SVIDs of example.org. */
  readonly root: Authority;
  /** Signs the certificate of the server. */
  readonly serverCa: Authority;
  /** Signs other client certificates. */
  readonly clients: Authority;
  /** Sends a body. */
  post(path: string, body: Uint8Array, shown?: Shown, options?: https.RequestOptions): Promise<Reply>;
  get(path: string, options?: https.RequestOptions): Promise<Reply>;
  /** Published entries. */
  size(): Promise<number>;
  /** Writes another access policy. */
  setPolicy(text: string): Promise<void>;
  metrics(): Promise<string>;
  close(): Promise<void>;
}

interface LogWish {
  readonly policy: string;
  /** Further lines of the file of identities. */
  readonly identity?: string;
  /** Further trust domains, each as a mapping in YAML. */
  readonly trustDomains?: readonly string[];
  /** Further settings. */
  readonly config?: string;
  /** Further lines of `identity` of the log. */
  readonly settings?: string;
  /** Signs the SVIDs of example.org; by default a new authority. */
  readonly root?: Authority;
}

export async function startIdentityLog({
  policy,
  identity = '',
  trustDomains = [],
  config = '',
  settings = '',
  root = issueCa('root'),
}: LogWish): Promise<IdentityLog> {
  const temp = await tempDir();
  const at = (name: string) => join(temp.path, name);
  const clients = issueCa('clients');
  const serverCa = issueCa('server');
  const leaf = issue({ name: 'localhost', by: serverCa, keyUsage: 0x80, names: [dnsName('localhost')] });
  const { cert, key } = shownBy(leaf);
  await writeFile(at('cert.pem'), cert);
  await writeFile(at('tls.pem'), key, { mode: 0o600 });
  await writeFile(at('bundle.pem'), pemOf(root));
  await writeFile(at('clients.pem'), pemOf(clients));
  const domains = ['{ name: example.org, bundle: bundle.pem }', ...trustDomains];
  await writeFile(
    at('identity.yaml'),
    `trustDomains:\n${domains.map((one) => `  - ${one}\n`).join('')}clientCa: clients.pem\n${identity}`,
  );
  await writeFile(at('access.yaml'), policy);
  await writeFile(
    at('stele.yaml'),
    `origin: log.example.com
data: data
listen: { port: 0 }
admin: { port: 0 }
log: { level: silent }
tls: { cert: cert.pem, key: tls.pem }
identity:
  file: identity.yaml
  access: access.yaml
${settings}
${config}`,
  );
  const reread = () => loadConfig({ file: at('stele.yaml') });
  const server = await serve({ config: reread(), reread });
  const port = Number(new URL(server.url).port);
  const send = (
    method: string,
    path: string,
    body: Uint8Array | undefined,
    shown: Shown | undefined,
    options: https.RequestOptions,
  ) =>
    new Promise<Reply>((resolve, reject) => {
      const call = https.request(
        { host: 'localhost', port, path, method, rejectUnauthorized: false, agent: false, ...shown, ...options },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const whole = Buffer.concat(chunks);
            const { statusCode = 0, headers } = response;
            resolve({ status: statusCode, headers, body: whole, json: () => JSON.parse(whole.toString()) });
          });
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  const get = (path: string, options: https.RequestOptions = {}) => send('GET', path, undefined, undefined, options);
  return {
    server,
    port,
    dir: temp.path,
    root,
    serverCa,
    clients,
    post: (path, body, shown, options = {}) => send('POST', path, body, shown, options),
    get,
    size: async () => (JSON.parse((await get('/stele/v1/log')).body.toString()) as { size: number }).size,
    setPolicy: (text) => writeFile(at('access.yaml'), text),
    metrics: async () => await (await fetch(`${server.adminUrl}/metrics`)).text(),
    close: async () => {
      await server.close();
      await temp.remove();
    },
  };
}
