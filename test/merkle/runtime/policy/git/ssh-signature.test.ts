/** SSH signatures: every kind of key, and what is refused. That OpenSSH makes the same is in test/interop. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MerkleError } from '../../../../../merkle/errors.ts';
import { noblePrimitives } from '../../../../../merkle/rekor/noble-primitives.ts';
import { nodePrimitives } from '../../../../../merkle/runtime/crypto/node-primitives.ts';
import { parseSshPublicKey } from '../../../../../merkle/runtime/policy/git/ssh-public-key.ts';
import { parseSshSignature, verifySshSignature } from '../../../../../merkle/runtime/policy/git/ssh-signature.ts';
import { SshKey, type SshKind, type SshWish, string } from '../../../../support/git-objects.ts';

const KINDS: SshKind[] = ['ed25519', 'nistp256', 'nistp384', 'nistp521', 'rsa', 'sk-ed25519', 'sk-ecdsa'];
const keys = new Map(KINDS.map((kind) => [kind, new SshKey(kind)]));
const keyOf = (kind: SshKind) => keys.get(kind)!;
const MESSAGE = Buffer.from('what is signed\n');
const verify = (armored: string, message: Uint8Array = MESSAGE, primitives = nodePrimitives()) =>
  verifySshSignature(parseSshSignature(armored), message, primitives);

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof MerkleError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('it was taken');
}

const changed = (kind: SshKind, wish: SshWish) => refusal(() => verify(keyOf(kind).sign(MESSAGE, wish)));

describe.each(KINDS)('a signature by a key of the kind %s', (kind) => {
  it('holds over its message alone, with each hash and on each platform', () => {
    for (const hash of ['sha256', 'sha512']) {
      const armored = keyOf(kind).sign(MESSAGE, { hash });
      expect(verify(armored)).toBe(true);
      expect(verify(armored, MESSAGE, noblePrimitives)).toBe(true);
      expect(verify(armored, Buffer.from('another'))).toBe(false);
    }
  });

  it('names its key, which is the key of the file', () => {
    const { key } = parseSshSignature(keyOf(kind).sign(MESSAGE));
    const { fingerprint } = parseSshPublicKey(keyOf(kind).line);
    expect(key.fingerprint).toBe(fingerprint);
    const of = kind.startsWith('sk-') ? keyOf(kind).blob : key.key.spki;
    expect(fingerprint).toBe(createHash('sha256').update(of).digest('hex'));
  });

  it('does not hold by another key', () => {
    expect(verify(keyOf(kind).sign(MESSAGE, { blob: new SshKey(kind).blob }))).toBe(false);
  });

  it('gives an error or does not hold, wherever a byte of it is changed', () => {
    const armored = keyOf(kind).sign(MESSAGE);
    const bytes = Buffer.from(armored.split('\n').slice(1, -2).join(''), 'base64');
    for (let at = 0; at < bytes.length; at += 3) {
      const other = Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ 0x01 : byte));
      const lines = Buffer.from(other)
        .toString('base64')
        .match(/.{1,70}/g)!;
      const text = `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
      let found: unknown;
      try {
        // Another namespace makes another message, so it cannot hold either.
        found = verify(text);
      } catch (error) {
        expect(error).toBeInstanceOf(MerkleError);
        found = false;
      }
      expect(found).toBe(false);
    }
  });
});

describe('a signature is refused', () => {
  it.each<[string, SshKind, SshWish, string]>([
    ['by RSA with SHA-1', 'rsa', { rsa: 'ssh-rsa' }, 'SHA-1'],
    ['by RSA under another name', 'rsa', { rsa: 'rsa-sha2-384' }, 'rsa-sha2-384'],
    ['of a security key that nobody touched', 'sk-ed25519', { flags: 0 }, 'nobody touched'],
    ['of a security key that only verified', 'sk-ecdsa', { flags: 4 }, 'nobody touched'],
    ['of version 2', 'ed25519', { version: 2 }, 'version 2'],
    ['with another hash', 'ed25519', { hash: 'sha1' }, 'sha1'],
    ['with something in its reserved field', 'ed25519', { reserved: 'x' }, 'reserved'],
    ['by Ed25519 in the name of ECDSA', 'ed25519', { blob: keyOf('nistp256').blob }, 'type'],
    ['by ECDSA in the name of a security key', 'nistp256', { blob: keyOf('sk-ecdsa').blob }, 'another type'],
    ['by a security key in the name of Ed25519', 'sk-ed25519', { blob: keyOf('ed25519').blob }, 'malformed'],
  ])('%s', (_, kind, wish, why) => expect(changed(kind, wish)).toContain(why));

  it.each<[string, (armored: string) => string]>([
    ['with something in front', (armored) => `x\n${armored}`],
    ['with something behind it', (armored) => `${armored}x\n`],
    ['twice', (armored) => armored + armored],
    ['with an empty line behind it', (armored) => `${armored}\n`],
    ['without its end', (armored) => armored.slice(0, -10)],
    ['with CRLF', (armored) => armored.replaceAll('\n', '\r\n')],
    ['with spaces', (armored) => armored.replace('\nU', '\n U')],
    ['with another base64', (armored) => armored.replace('\n-----END', '=\n-----END')],
    ['of another label', (armored) => armored.replaceAll('SSH SIGNATURE', 'SIGNED MESSAGE')],
  ])('%s', (_, change) => {
    expect(refusal(() => verify(change(keyOf('ed25519').sign(MESSAGE))))).toMatch(/^bad-git/);
  });
});

describe('a public key is refused', () => {
  const blobOf = (type: string, ...parts: (Uint8Array | string)[]) =>
    `${type} ${Buffer.concat([string(type), ...parts.map(string)]).toString('base64')}`;
  it.each([
    ['with options', `no-touch-required ${keyOf('ed25519').line}`, 'bad-key'],
    ['of another type than it says', keyOf('ed25519').line.replace('ssh-ed25519', 'ssh-rsa'), 'called ssh-rsa'],
    ['in two lines', `${keyOf('ed25519').line}\n${keyOf('rsa').line}`, 'bad-key'],
    ['of RSA with 1024 bits', new SshKey('rsa', 1024).line, '1024'],
    ['of DSA', blobOf('ssh-dss', '1', '2', '3', '4'), 'unsupported'],
    ['in a certificate', blobOf('ssh-ed25519-cert-v01@openssh.com', 'x'), 'unsupported'],
    [
      'off its curve',
      blobOf('ecdsa-sha2-nistp256', 'nistp256', Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)])),
      'curve',
    ],
    ['with two curves', blobOf('ecdsa-sha2-nistp256', 'nistp384', Buffer.alloc(65)), 'two curves'],
    ['that is short', blobOf('ssh-ed25519', Buffer.alloc(31)), '32 bytes'],
    ['with bytes behind it', blobOf('ssh-ed25519', Buffer.alloc(32, 1), ''), 'follow'],
    ['that ends early', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==', 'ends early'],
    ['that is PEM', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'bad-key'],
    ['that is nothing', '', 'bad-key'],
  ])('%s', (_, line, why) => expect(refusal(() => parseSshPublicKey(line))).toContain(why));
});
