// Stand-ins for the walk of docs/identity.md, on one machine: an issuer of ID tokens that gives anybody any token, and a time-stamp
// authority (RFC 3161) by openssl. They prove nothing about anybody: never use them for more than a walk.
//   node docs/identity-stand-ins.mjs DIRECTORY [PORT]
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [directory, port = '4000'] = process.argv.slice(2);
const at = (name) => join(directory, name);
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
mkdirSync(directory, { recursive: true });

const issuer = `http://localhost:${port}`;
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const kid = randomUUID();

writeFileSync(at('serial'), '01\n');
writeFileSync(
  at('openssl.cnf'),
  `[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[reply]
serial = ${at('serial')}
default_policy = 1.3.6.1.4.1.57264.2
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
signer_digest = sha256
`,
);
const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
const certificate = (name, subject, ...more) =>
  openssl(...request, '-config', at('openssl.cnf'), '-extensions', name, '-subj', subject, '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`), ...more);
certificate('ca', '/CN=time stamps of a walk');
certificate('tsa', '/CN=time-stamp authority of a walk', '-CA', at('ca.pem'), '-CAkey', at('ca.key'));
writeFileSync(at('tsa-chain.pem'), readFileSync(at('tsa.pem'), 'utf8') + readFileSync(at('ca.pem'), 'utf8'));

/** A token with these claims, for five minutes. */
function token(claims) {
  const now = Math.floor(Date.now() / 1000);
  const known = 'email' in claims ? { sub: claims.email, email_verified: true } : {};
  const all = { iss: issuer, aud: 'sigstore', iat: now, exp: now + 300, jti: randomUUID(), ...known, ...claims };
  const input = [{ alg: 'RS256', typ: 'JWT', kid }, all].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
}

/** One after the other: openssl keeps its serial numbers in a file. */
function timestamp(query) {
  writeFileSync(at('query.tsq'), query);
  const signer = ['-inkey', at('tsa.key'), '-signer', at('tsa.pem'), '-chain', at('tsa-chain.pem')];
  openssl('ts', '-reply', '-config', at('openssl.cnf'), '-section', 'reply', '-queryfile', at('query.tsq'), ...signer, '-out', at('reply.tsr'));
  const reply = readFileSync(at('reply.tsr'));
  rmSync(at('reply.tsr'));
  return reply;
}

const json = (reply, value) => reply.setHeader('content-type', 'application/json').end(JSON.stringify(value));

createServer((asked, reply) => {
  const { pathname, searchParams } = new URL(asked.url, issuer);
  if (asked.method === 'POST' && pathname === '/timestamp') {
    const parts = [];
    asked.on('data', (part) => parts.push(part));
    asked.on('end', () => reply.setHeader('content-type', 'application/timestamp-reply').end(timestamp(Buffer.concat(parts))));
    return;
  }
  if (pathname === '/.well-known/openid-configuration') return json(reply, { issuer, jwks_uri: `${issuer}/keys` });
  if (pathname === '/keys') return json(reply, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] });
  if (pathname === '/token') return reply.end(token(Object.fromEntries(searchParams)));
  reply.writeHead(404).end();
}).listen(Number(port), '127.0.0.1', () => console.log(`issuer ${issuer}, time stamps at ${issuer}/timestamp`));
