/** The keys that people have: each form is read, or named with a way to a form that is read. */
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, scryptSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { secretbox } from '@noble/ciphers/salsa.js';
import { describe, expect, it } from 'vitest';
import { parsePrivateKeyPem } from '../../../../client/index.ts';
import { signDigest } from '../../../../client/submit/signed-digest.ts';
import { unreadKeyUri } from '../../../../client/submit/signers/unread-key.ts';
import { HASH_NAME } from '../../../../merkle/rekor/hashes.ts';
import { tempDir } from '../../../support/log.ts';
import { sharedSigner } from '../../../support/requests.ts';
import { scryptPem } from '../../../support/scrypt-key.ts';

const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;
const P256 = ec('P-256');
const RSA = sharedSigner('rsa2048').privateKey;
const ED25519 = generateKeyPairSync('ed25519').privateKey;
const fails = (code: string, text: string) => ({ code, message: expect.stringContaining(text) });

const pkcs8 = (key: KeyObject, passphrase?: string): string =>
  String(
    key.export({
      type: 'pkcs8',
      format: 'pem',
      ...(passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }),
    }),
  );
const der = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'der' });
const spki = (key: KeyObject) => createPublicKey(key).export({ type: 'spki', format: 'der' });
const block = (label: string, bytes: Uint8Array): string =>
  [
    `-----BEGIN ${label}-----`,
    ...Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g)!,
    `-----END ${label}-----`,
    '',
  ].join('\n');

interface CosignForm {
  readonly kdf: { name: string; params: { N: number; r: number; p: number }; salt: string };
  readonly cipher: { name: string; nonce: string };
  ciphertext: string;
}

/** An encrypted key as securesystemslib describes it. */
function cosignForm(content: Uint8Array, passphrase: string, params = { N: 65_536, r: 8, p: 1 }): CosignForm {
  const salt = randomBytes(32);
  const nonce = randomBytes(24);
  const key = scryptSync(passphrase, salt, 32, { ...params, maxmem: 512 * 1024 * 1024 });
  const ciphertext = secretbox(new Uint8Array(key), new Uint8Array(nonce)).seal(new Uint8Array(content));
  return {
    kdf: { name: 'scrypt', params, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(ciphertext).toString('base64'),
  };
}

const cosignPem = (form: unknown, label = 'ENCRYPTED SIGSTORE PRIVATE KEY') =>
  block(label, Buffer.from(JSON.stringify(form)));

async function open(file: string | Uint8Array, passphrase?: string) {
  return await parsePrivateKeyPem(Buffer.from(file), passphrase);
}

/** The signer of the file is the key, and its signature verifies. */
async function expectKey(file: string, key: KeyObject, passphrase?: string): Promise<void> {
  const signer = await open(file, passphrase);
  expect(Buffer.from(signer.publicKey.spki)).toEqual(spki(key));
  const digest = createHash(HASH_NAME[signer.publicKey.digest]).update('hello').digest();
  const signed = await signDigest(digest, signer);
  expect(signer.publicKey.verify(digest, signed.signature)).toBe(true);
}

describe('a private key in PEM', () => {
  it.each([
    ['P-256', P256],
    ['P-384', ec('P-384')],
    ['P-521', ec('P-521')],
    ['RSA', RSA],
    ['Ed25519', ED25519],
  ])('of the kind %s is read in PKCS#8, plain and with a passphrase', async (_kind, key) => {
    await expectKey(pkcs8(key), key);
    await expectKey(pkcs8(key, 'correct horse'), key, 'correct horse');
  });

  it('is read in SEC 1 and PKCS#1, plain and as OpenSSL encrypts them', async () => {
    const forms = [
      [P256, 'sec1'],
      [RSA, 'pkcs1'],
    ] as const;
    for (const [key, type] of forms) {
      await expectKey(String(key.export({ type, format: 'pem' })), key);
      const encrypted = key.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'horse' });
      expect(encrypted).toContain('Proc-Type: 4,ENCRYPTED');
      await expectKey(String(encrypted), key, 'horse');
      await expect(open(String(encrypted))).rejects.toMatchObject(fails('passphrase', 'there is no passphrase'));
    }
  });

  it('is found among text and other blocks, where it is the only one', async () => {
    const around = `Bag Attributes\n    friendlyName: me\n${block('EC PARAMETERS', Buffer.from([6]))}${pkcs8(P256)}`;
    await expectKey(`${around}${block('CERTIFICATE', sharedSigner().certificate())}`, P256);
    await expectKey(pkcs8(P256).replaceAll('\n', '\r\n'), P256);
    await expect(open(pkcs8(P256) + pkcs8(RSA))).rejects.toMatchObject(fails('key', 'holds 2 private keys'));
  });

  it('is read with scrypt up to the cost that OpenSSL takes, and no higher cost is called a wrong passphrase', async () => {
    await expectKey(scryptPem(der(P256), 'horse', 16_384), P256, 'horse');
    await expect(open(scryptPem(der(P256), 'horse', 16_384), 'x')).rejects.toMatchObject(fails('passphrase', 'wrong'));
    await expect(open(scryptPem(der(P256), 'horse', 65_536), 'horse')).rejects.toMatchObject(
      fails('key', 'scrypt at a cost of more than 32 MiB'),
    );
  });

  it('is not read with a wrong passphrase, and no message holds one', async () => {
    for (const file of [pkcs8(P256, 'right'), cosignPem(cosignForm(der(P256), 'right'))]) {
      const error = await open(file, 'mistaken').catch((caught) => caught);
      expect(error).toMatchObject(fails('passphrase', 'the passphrase is wrong'));
      expect(error.message).not.toContain('mistaken');
      await expect(open(file)).rejects.toMatchObject(fails('passphrase', 'there is no passphrase'));
    }
  });

  it.each([
    ['secp256k1', () => ec('secp256k1'), 'secp256k1'],
    ['brainpoolP256r1', () => ec('brainpoolP256r1'), 'brainpoolP256r1'],
    ['RSA-1024', () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, '1024'],
    ['RSASSA-PSS', () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey, 'rsa-pss'],
    ['Ed448', () => generateKeyPairSync('ed448').privateKey, 'ed448'],
    ['X25519', () => generateKeyPairSync('x25519').privateKey, 'x25519'],
  ])('of the kind %s is refused with its name', async (_kind, make, named) => {
    await expect(open(pkcs8(make()))).rejects.toMatchObject(fails('key', named));
  });

  it('of an algorithm that OpenSSL does not know is refused with its identifier', async () => {
    // ML-DSA-44 of RFC 9881, whose seed is too short for any version of OpenSSL.
    const unknown = Buffer.from('3014020100300b0609608648016503040311040200aa', 'hex');
    const file = block('PRIVATE KEY', unknown);
    await expect(open(file)).rejects.toMatchObject(fails('key', '2.16.840.1.101.3.4.3.17'));
  });

  it('that is damaged is refused', async () => {
    const bytes = der(P256);
    await expect(open(block('PRIVATE KEY', bytes.subarray(0, 80)))).rejects.toMatchObject(fails('key', 'damaged'));
    await expect(open('-----BEGIN PRIVATE KEY-----\nMC4C\n')).rejects.toMatchObject(fails('key', 'PRIVATE KEY'));
  });
});

describe("cosign's encrypted key", () => {
  it.each([
    ['of today', 65_536, 'ENCRYPTED SIGSTORE PRIVATE KEY'],
    ['of 2021', 32_768, 'ENCRYPTED COSIGN PRIVATE KEY'],
    ['with the parameters of OWASP', 131_072, 'ENCRYPTED SIGSTORE PRIVATE KEY'],
  ])('%s is read', async (_what, N, label) => {
    await expectKey(cosignPem(cosignForm(der(P256), 'pass', { N, r: 8, p: 1 }), label), P256, 'pass');
  });

  it('may hold any kind of key, and have an empty passphrase', async () => {
    const params = { N: 1024, r: 8, p: 1 };
    for (const key of [RSA, ED25519, ec('P-384')])
      await expectKey(cosignPem(cosignForm(der(key), '', params)), key, '');
  });

  it.each<[string, (form: CosignForm) => unknown, string]>([
    ['an N of 2^22', ({ kdf }) => Object.assign(kdf.params, { N: 2 ** 22 }), '256 MiB'],
    ['an r of 2^20', ({ kdf }) => Object.assign(kdf.params, { r: 2 ** 20 }), '256 MiB'],
    ['a p of 2^20', ({ kdf }) => Object.assign(kdf.params, { p: 2 ** 20 }), '256 MiB'],
    ['an N that is no power of two', ({ kdf }) => Object.assign(kdf.params, { N: 65_535 }), 'malformed'],
    ['an N that is text', ({ kdf }) => Object.assign(kdf.params, { N: '65536' }), 'malformed'],
    ['another derivation', ({ kdf }) => Object.assign(kdf, { name: 'argon2id' }), '"scrypt"'],
    ['another cipher', ({ cipher }) => Object.assign(cipher, { name: 'aes' }), '"nacl/secretbox"'],
    ['a short nonce', ({ cipher }) => Object.assign(cipher, { nonce: 'AAAA' }), 'cipher.nonce'],
    ['no ciphertext', (form) => Reflect.deleteProperty(form, 'ciphertext'), 'ciphertext'],
    ['a field more', (form) => Object.assign(form, { more: 1 }), 'more'],
  ])('with %s is refused', async (_what, change, text) => {
    const form = cosignForm(der(P256), 'p', { N: 1024, r: 8, p: 1 });
    change(form);
    await expect(open(cosignPem(form), 'p')).rejects.toMatchObject(fails('key', text));
  });

  it('with a changed byte does not open', async () => {
    const form = cosignForm(der(P256), 'p', { N: 1024, r: 8, p: 1 });
    const ciphertext = Buffer.from(form.ciphertext, 'base64');
    ciphertext[20]! ^= 1;
    form.ciphertext = ciphertext.toString('base64');
    await expect(open(cosignPem(form), 'p')).rejects.toMatchObject(fails('passphrase', 'damaged'));
  });
});

/** The head of a key in OpenSSH's own form: cipher, derivation, its options, one key, and that key's type. */
function openSsh(type: string): string {
  const text = (value: string) => Buffer.concat([Buffer.from([0, 0, 0, value.length]), Buffer.from(value)]);
  const key = Buffer.concat([text(type), Buffer.alloc(80, 1)]);
  const head = [Buffer.from('openssh-key-v1\0'), text('none'), text('none'), text(''), Buffer.from([0, 0, 0, 1])];
  return block('OPENSSH PRIVATE KEY', Buffer.concat([...head, Buffer.from([0, 0, 0, key.length]), key]));
}

describe('a form that is not read is named, with a way out', () => {
  const jwk = P256.export({ format: 'jwk' });
  const encryptedDer = P256.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'x' });
  const pfx = Buffer.from('308209f102010330820997', 'hex');
  it.each<[string, string | Uint8Array, string]>([
    ['an ECDSA key of OpenSSH', openSsh('ecdsa-sha2-nistp256'), 'ssh-keygen -p -m PKCS8'],
    ['an RSA key of OpenSSH', openSsh('ssh-rsa'), 'ssh-keygen -p -m PKCS8'],
    ['an Ed25519 key of OpenSSH', openSsh('ssh-ed25519'), 'leaves an Ed25519 key as it is'],
    ['a security key of OpenSSH', openSsh('sk-ssh-ed25519@openssh.com'), 'sk-ssh-ed25519'],
    ['a key of PGP', block('PGP PRIVATE KEY BLOCK', Buffer.alloc(9)), 'OpenPGP'],
    ['a key of PuTTY', 'PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\n', 'puttygen'],
    ['a JSON Web Key', JSON.stringify(jwk), 'JSON Web Key'],
    ['a set of JSON Web Keys', JSON.stringify({ keys: [jwk] }), 'JSON Web Key'],
    ['a key of minisign', 'untrusted comment: minisign encrypted secret key\nRWRT', 'minisign'],
    ['a key of age', '# created: 2026\nAGE-SECRET-KEY-1QQ\n', 'age'],
    ['a file of age', block('AGE ENCRYPTED FILE', Buffer.alloc(9)), 'age -d'],
    ['PKCS#12', pfx, 'openssl pkcs12'],
    ['a key store of Java', Buffer.from('feedfeed00000002', 'hex'), 'keytool'],
    ['a key of TUF', JSON.stringify({ keytype: 'ecdsa', keyval: { private: 'x' } }), 'TUF'],
    [
      "cosign's JSON without its PEM",
      JSON.stringify(cosignForm(der(P256), 'x', { N: 2, r: 8, p: 1 })),
      'without its PEM',
    ],
    ['other JSON', '{"a":1}', 'JSON that holds no key'],
    ['PKCS#8 in DER', der(P256), 'openssl pkey -inform DER'],
    ['SEC 1 in DER', P256.export({ type: 'sec1', format: 'der' }), 'openssl pkey -inform DER'],
    ['PKCS#1 in DER', RSA.export({ type: 'pkcs1', format: 'der' }), 'openssl pkey -inform DER'],
    ['encrypted PKCS#8 in DER', encryptedDer, 'openssl pkcs8 -inform DER'],
    ['a public key', block('PUBLIC KEY', spki(P256)), 'signing needs the private key'],
    ['a public key in DER', spki(P256), 'signing needs the private key'],
    ['an SSH public key', 'ecdsa-sha2-nistp256 AAAAE2VjZHNh me@example.com\n', '--agent-key'],
    ['a certificate', block('CERTIFICATE', sharedSigner().certificate()), '--certificate'],
    ['a certificate in DER', sharedSigner().certificate(), 'a certificate in DER'],
    ['a request for a certificate', block('CERTIFICATE REQUEST', Buffer.alloc(9)), 'request for a certificate'],
    ['a key inside a TPM', block('TSS2 PRIVATE KEY', Buffer.alloc(9)), '--pkcs11-module'],
    ['another block', block('SOME PRIVATE KEY', Buffer.alloc(9)), '"SOME PRIVATE KEY"'],
    ['text in UTF-16', Buffer.from('\ufeff-----BEGIN PRIVATE KEY-----', 'utf16le'), 'UTF-16'],
    ['nothing', '', 'it is empty'],
    ['anything else', 'hello', 'not in PEM'],
    ['random bytes', Buffer.from('30ff00', 'hex'), 'not in PEM'],
  ])('%s', async (_what, file, text) => {
    await expect(open(file, 'x')).rejects.toMatchObject(fails('key', text));
  });

  it.each([
    ['awskms://alias/release', 'awskms://'],
    ['gcpkms://projects/p/locations/l', 'gcpkms://'],
    ['azurekms://v/k', 'azurekms://'],
    ['hashivault://k', 'hashivault://'],
    ['k8s://ns/secret', 'k8s://'],
    ['pkcs11:token=stele;object=release', '--pkcs11-module'],
    ['env://KEY', 'environment'],
    ['file:///key.pem', 'path of the file'],
  ])('%s', (name, text) => {
    expect(unreadKeyUri(name)).toContain(text);
  });

  it('and a path is no URI', () => {
    for (const name of ['key.pem', '/srv/k:1/key.pem', 'C:\\key.pem', 'pkcs11.pem', '-']) {
      expect(unreadKeyUri(name), name).toBeUndefined();
    }
  });

  it('and the way out of a JSON Web Key leads to the key', async () => {
    const dir = await tempDir();
    await writeFile(join(dir.path, 'FILE'), JSON.stringify(jwk));
    const { message } = await open(JSON.stringify(jwk)).catch((caught) => caught);
    execFileSync('sh', ['-c', /`(node .*)`/.exec(message)![1]!], { cwd: dir.path });
    await expectKey(await readFile(join(dir.path, 'key.pem'), 'utf8'), P256);
    await dir.remove();
  });
});
