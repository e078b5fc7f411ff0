/**
 * What surrounds a log in the field, small and local: a certificate authority for signers (in Fulcio's form) and a time
 * stamp authority (RFC 3161), made with the openssl command. Verifiers want a time to check a certificate at, and a log of
 * the second generation gives none.
 */
import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ok } from './tools.ts';

/** Who the signer's certificate names, and who says so. */
export const IDENTITY = 'signer@example.com';
export const ISSUER = 'https://issuer.example.com';

const CONFIG = `
[req]
distinguished_name = dn
prompt = no
[dn]
O = stele tests
[ca]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = codeSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = critical,email:${IDENTITY}
1.3.6.1.4.1.57264.1.8 = ASN1:UTF8String:${ISSUER}
[tsa]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa_reply]
serial = SERIAL
default_policy = 1.3.6.1.4.1.57264.2
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
signer_digest = sha256
`;

export interface Authority {
  /** PEM files: the signers' CA, and the time stamp authority with its CA. */
  readonly caChain: string;
  readonly tsaChain: string;
  /** A signer's certificate in PEM, and its key. */
  readonly certificate: string;
  readonly key: KeyObject;
  /** A certificate in PEM for another key of this signer. */
  certify(key: KeyObject): Promise<string>;
  readonly tsaUrl: string;
  /** A time stamp over `message`, DER of a TimeStampResp. */
  timestamp(message: Uint8Array): Promise<Buffer>;
  close(): Promise<void>;
}

/** Needs `openssl`. All files go below `dir`. */
export async function startAuthority(dir: string): Promise<Authority> {
  const at = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => ok('openssl', args);
  await writeFile(at('openssl.cnf'), CONFIG.replace('SERIAL', at('serial')));
  await writeFile(at('serial'), '01\n');

  const newKey = (name: string) => openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at(name));
  const issue = async (name: string, section: string, subject: string, key?: KeyObject) => {
    if (key === undefined) await newKey(`${name}.key`);
    else await writeFile(at(`${name}.key`), key.export({ format: 'pem', type: 'pkcs8' }));
    const request = ['req', '-new', '-config', at('openssl.cnf'), '-key', at(`${name}.key`), '-subj', subject];
    const by =
      section === 'ca' ? [] : ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-set_serial', String(name.length + 100)];
    const form = ['-x509', '-sha256', '-days', '30', '-extensions', section, '-out', at(`${name}.pem`)];
    await openssl(...request, ...by, ...form);
  };
  await issue('ca', 'ca', '/O=stele tests/CN=test authority');
  await issue('signer', 'signer', '/O=stele tests/CN=signer');
  await issue('tsa', 'tsa', '/O=stele tests/CN=test time stamps');
  const [ca, tsa] = await Promise.all([readFile(at('ca.pem'), 'utf8'), readFile(at('tsa.pem'), 'utf8')]);
  await writeFile(at('tsa-chain.pem'), tsa + ca);

  const reply = async (query: string): Promise<Buffer> => {
    const out = at(`${randomUUID()}.tsr`);
    const signer = ['-inkey', at('tsa.key'), '-signer', at('tsa.pem')];
    const config = ['-config', at('openssl.cnf'), '-section', 'tsa_reply'];
    await openssl('ts', '-reply', ...config, '-queryfile', query, ...signer, '-out', out);
    return await readFile(out);
  };
  // openssl keeps its serial numbers in a file: one at a time.
  let turn: Promise<unknown> = Promise.resolve();
  const replyInTurn = (query: string): Promise<Buffer> => {
    const result = turn.then(() => reply(query));
    turn = result.catch(() => {});
    return result;
  };
  const queryOf = async (digest: string, algorithm: string): Promise<string> => {
    const query = at(`${randomUUID()}.tsq`);
    await openssl('ts', '-query', '-digest', digest, `-${algorithm}`, '-cert', '-out', query);
    return query;
  };

  /** The query as RFC 3161 has it, or the JSON that Sigstore's own authority takes too. */
  const answer = async (request: IncomingMessage): Promise<Buffer> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    if (request.headers['content-type']?.startsWith('application/json')) {
      const { artifactHash, hashAlgorithm } = JSON.parse(body.toString());
      return await replyInTurn(await queryOf(Buffer.from(artifactHash, 'base64').toString('hex'), hashAlgorithm));
    }
    const query = at(`${randomUUID()}.tsq`);
    await writeFile(query, body);
    return await replyInTurn(query);
  };
  const server = createServer((request, response) => {
    answer(request).then(
      (bytes) => response.writeHead(201, { 'content-type': 'application/timestamp-reply' }).end(bytes),
      (error) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const tsaUrl = `http://localhost:${(server.address() as AddressInfo).port}`;

  return {
    caChain: at('ca.pem'),
    tsaChain: at('tsa-chain.pem'),
    certificate: await readFile(at('signer.pem'), 'utf8'),
    key: createPrivateKey(await readFile(at('signer.key'))),
    certify: async (key) => {
      const name = randomUUID();
      await issue(name, 'signer', '/O=stele tests/CN=signer', key);
      return await readFile(at(`${name}.pem`), 'utf8');
    },
    tsaUrl,
    timestamp: async (message) => {
      const body = Buffer.from(message);
      const file = at(`${randomUUID()}.data`);
      await writeFile(file, body);
      const query = at(`${randomUUID()}.tsq`);
      await openssl('ts', '-query', '-data', file, '-sha256', '-cert', '-out', query);
      return await replyInTurn(query);
    },
    close: async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(at('serial'), { force: true });
    },
  };
}
