#!/usr/bin/env node
/**
 * The client under test of sigstore-conformance (its docs/cli_protocol.md), as the built `stele` plays it:
 *
 *   pytest test --entrypoint …/test/interop/conformance.mjs --skip-signing
 *
 * STELE_TRUSTED_ROOT is the trusted root where a call names none: the one of Sigstore's public instance. The exit status is that
 * of `stele`.
 */
import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attest, parsePublicKey, parseSigningConfig, selectServices, softwareSigner } from '../../dist/client/index.js';

const STELE = fileURLToPath(new URL('../../dist/client/cli/main.js', import.meta.url));
const option = { type: 'string' };
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    staging: { type: 'boolean', default: false },
    'in-toto': { type: 'boolean', default: false },
    bundle: option,
    key: option,
    'certificate-identity': option,
    'certificate-oidc-issuer': option,
    'identity-token': option,
    'signing-config': option,
    'trusted-root': option,
  },
});
const [command, input] = positionals;
const trustedRoot = values['trusted-root'] ?? process.env.STELE_TRUSTED_ROOT;

/** Ends with the status of the first command that fails. */
function stele(...args) {
  const { status } = spawnSync(process.execPath, [STELE, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function verify() {
  const { key, 'certificate-identity': identity, 'certificate-oidc-issuer': issuer } = values;
  const signer = key === undefined ? ['--identity', identity, '--issuer', issuer] : ['--key', key];
  stele('verify', input, '--bundle', values.bundle, '--trusted-root', trustedRoot, ...signer);
}

/** Signs with a new key, which the certificate authority certifies for the subject of the token (Fulcio's API, version 2). */
async function signKeyless() {
  const config = parseSigningConfig(readFileSync(values['signing-config']));
  const choose = (services, selection, what, versions) => selectServices(services, selection, what, versions, Date.now())[0].url;
  const authority = choose(config.caUrls, { selector: 'ANY' }, 'certificate authority', [1]);
  const log = choose(config.rekorTlogUrls, config.rekorTlogConfig, 'log', [2]);
  const tsa = choose(config.tsaUrls, config.tsaConfig, 'time-stamp authority', [1]);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = await certify(authority, publicKey, privateKey);
  if (values['in-toto']) return await signStatement(log, tsa, certificate, publicKey, privateKey);
  const dir = mkdtempSync(join(tmpdir(), 'stele-conformance-'));
  try {
    const at = (name) => join(dir, name);
    writeFileSync(at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    writeFileSync(at('certificate.pem'), certificate);
    const key = ['--key', at('key.pem'), '--certificate', at('certificate.pem')];
    stele('sign', input, ...key, '--log', log, '--tsa', tsa, '--out', values.bundle);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function certify(authority, publicKey, privateKey) {
  const token = values['identity-token'];
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  const subject = claims.email ?? claims.sub;
  const { signedCertificateEmbeddedSct: certified } = await post(`${authority}/api/v2/signingCert`, 'application/json', JSON.stringify({
    credentials: { oidcIdentityToken: token },
    publicKeyRequest: {
      publicKey: { algorithm: 'ECDSA', content: publicKey.export({ format: 'pem', type: 'spki' }) },
      proofOfPossession: sign('sha256', Buffer.from(subject), privateKey).toString('base64'),
    },
  })).then((bytes) => JSON.parse(bytes));
  return certified.chain.certificates[0];
}

/** The command line attests files; here is only a statement. So the library signs it, and `stele submit` logs it. */
async function signStatement(log, tsa, certificate, publicKey, privateKey) {
  const key = parsePublicKey(publicKey.export({ format: 'der', type: 'spki' }));
  const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d, 'base64url');
  const { envelope } = await attest(readFileSync(input), softwareSigner(key, secret));
  const stamp = await post(tsa, 'application/timestamp-query', timestampQuery(envelope.signature));
  const der = certificate.replace(/-----[^-]+-----/g, '').replace(/\s/g, '');
  const base64 = (bytes) => Buffer.from(bytes).toString('base64');
  writeFileSync(values.bundle, JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: der },
      tlogEntries: [],
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(stamp) }] },
    },
    dsseEnvelope: {
      payload: base64(envelope.payload),
      payloadType: envelope.payloadType,
      signatures: [{ sig: base64(envelope.signature), keyid: '' }],
    },
  }));
  stele('submit', values.bundle, '--log', log, '--out', values.bundle);
}

/** TimeStampReq of RFC 3161: version 1, SHA-256, with the certificate. */
function timestampQuery(message) {
  const head = '30390201013031300d060960864801650304020105000420';
  return Buffer.concat([Buffer.from(head, 'hex'), createHash('sha256').update(message).digest(), Buffer.from('0101ff', 'hex')]);
}

async function post(url, type, body) {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${bytes.subarray(0, 200)}`);
  return bytes;
}

if (command === 'verify-bundle') verify();
else if (command === 'sign-bundle') await signKeyless();
else throw new Error(`${command} is no command of the protocol`);
