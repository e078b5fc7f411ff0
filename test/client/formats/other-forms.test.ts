import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { parsePublicKeyPem } from '../../../client/formats/key.ts';
import { parseSigned, parseVerifierPem } from '../../../client/submit/submission.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { skips } from '../../support/skip.ts';

const named = (code: string, why: string) => expect.objectContaining({ code, message: expect.stringContaining(why) });
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const envelope = { payload: 'e30=', payloadType: 'application/vnd.in-toto+json', signatures: [{ sig: 'AA==' }] };

describe('a file in the place of a bundle', () => {
  it.each<[string, unknown, string]>([
    [
      "cosign's old bundle",
      { base64Signature: 'AA==', cert: 'AA==', rekorBundle: {} },
      "cosign's old form of a bundle: `cosign bundle create",
    ],
    ["cosign's old bundle with a key", { base64Signature: 'AA==', rekorBundle: {} }, "cosign's old form"],
    ["cosign's bundle of an image", { SignedEntryTimestamp: 'AA==', Payload: {} }, 'as cosign attaches it to an image'],
    ['PEP 740', { version: 1, verification_material: {}, envelope: { statement: '', signature: '' } }, 'PEP 740'],
    ['an answer of PyPI', { version: 1, attestation_bundles: [] }, 'PEP 740'],
    ['a DSSE envelope', envelope, 'a DSSE envelope without a log entry: `stele submit`'],
    [
      'a JSON Web Signature',
      { payload: 'e30', signatures: [{ protected: 'e30', signature: 'AA' }] },
      'JSON Web Signature',
    ],
    [
      'a statement',
      { _type: 'https://in-toto.io/Statement/v1', subject: [], predicateType: 'x' },
      'in-toto statement without a signature',
    ],
    [
      'a trusted root',
      { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' },
      'a trusted root: give it as --trusted-root',
    ],
    ['a signing config', { mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json' }, 'a signing config'],
    [
      'a log entry',
      { logIndex: '1', logId: {}, kindVersion: {}, canonicalizedBody: 'e30=' },
      'a log entry without the signature',
    ],
    ['a body of an entry', { apiVersion: '0.0.1', kind: 'hashedrekord', spec: {} }, 'the body of a log entry'],
    [
      'an answer of Rekor v1',
      { '24296fb24b8ad77a': { body: 'e30=', integratedTime: 1, logID: '', logIndex: 1 } },
      'an answer of Rekor v1',
    ],
    [
      'a manifest',
      { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', layers: [] },
      'a manifest of a container registry',
    ],
    ['an index', { schemaVersion: 2, manifests: [] }, 'an index of a container registry'],
    ['a simple signing payload', { critical: {}, optional: null }, 'what cosign signs for an image'],
    ['metadata of TUF', { signatures: [], signed: { _type: 'root' } }, 'metadata of TUF'],
    ['a JWK', { kty: 'EC', crv: 'P-256' }, 'a JSON Web Key'],
    ['evidence', { format: 'stele-evidence/v1', keys: [], first: '', second: '' }, 'evidence'],
    ['a tlog-proof', 'c2sp.org/tlog-proof@v1\nindex 1\n', 'a tlog-proof: give it as --tlog-proof'],
    ['an SSH signature', '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n', 'a signature of SSH'],
    ['a PGP signature', '-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n', 'an OpenPGP file'],
    [
      'a certificate',
      'subject=x\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'a certificate, and no bundle',
    ],
    ['a key', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'a public key, and no bundle'],
    ['a minisign signature', 'untrusted comment: signature\nRUQ=\n', 'minisign'],
    ['a checkpoint', 'log.example\n1\nAAAA\n\n— log.example AAAA\n', 'a checkpoint'],
    ['a page', '<!DOCTYPE html>\n<html></html>', 'a page in HTML'],
    ['a bare signature', `${Buffer.alloc(70, 1).toString('base64')}\n`, 'a bare signature of cosign'],
  ])('is named: %s', (_, value, why) => {
    expect(() => parseBundle(bytes(value))).toThrow(named('unsupported', 'this is no Sigstore bundle, but '));
    expect(() => parseBundle(bytes(value))).toThrow(named('unsupported', why));
  });

  it('is named in its compressed and binary forms', () => {
    const bundle = bytes('{}');
    const der = Buffer.from('30450220', 'hex');
    for (const [file, why] of [
      [gzipSync(bundle), 'compressed with gzip'],
      [Buffer.from('PK\x03\x04'), 'a ZIP archive'],
      [Buffer.from('\ufeff{}', 'utf16le'), 'text in UTF-16'],
      [Buffer.concat([der, Buffer.alloc(66, 1)]), 'a binary file in DER'],
      [Buffer.from('28b52ffd00', 'hex'), 'compressed with zstd'],
    ] as const) {
      expect(() => parseBundle(file), why).toThrow(named('unsupported', why));
    }
  });

  it('that is damaged or unknown stays malformed', () => {
    for (const value of ['', 'hello', '{', '{"a":1}', '{"mediaType":1}', '"text"', 'null', '1']) {
      expect(() => parseBundle(bytes(value)), value).toThrow(named('malformed', ''));
    }
    expect(() => parseBundle(bytes([envelope]))).toThrow(named('malformed', 'is a list: write one bundle a line'));
    // A bundle with a field too many is a bundle.
    const bundle = {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: {},
      ...envelope,
    };
    expect(() => parseBundle(bytes(bundle))).toThrow(named('malformed', 'unknown field'));
  });

  it('is named for `stele submit` too, which takes an envelope', () => {
    const pep = { version: 1, verification_material: {}, envelope: {} };
    expect(() => parseSigned(bytes(pep))).toThrow(named('unsupported', 'PEP 740'));
    expect(() => parseSigned(bytes({ base64Signature: 'AA==' }))).toThrow(named('unsupported', "cosign's old form"));
    expect(() => parseSigned(bytes({ a: 1 }))).toThrow(
      named('malformed', 'neither a Sigstore bundle nor a DSSE envelope'),
    );
    expect(() => parseSigned(bytes(envelope))).toThrow(named('usage', 'keys'));
  });
});

describe('a file in the place of a public key', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  it.each<[string, string | Buffer, string]>([
    ['an RSA key of SSH', 'ssh-rsa AAAAB3NzaC1yc2E= me@example.com\n', '`ssh-keygen -e -m PKCS8 -f FILE`'],
    ['an ECDSA key of SSH', 'ecdsa-sha2-nistp256 AAAAE2Vj me\n', '`ssh-keygen -e -m PKCS8 -f FILE`'],
    ['a key of SSH with options', 'no-pty,command="x" ssh-rsa AAAAB3NzaC1yc2E=\n', 'a public key of SSH'],
    ['an Ed25519 key of SSH', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me\n', 'an Ed25519 public key of SSH'],
    ['a key of a security key', 'sk-ssh-ed25519@openssh.com AAAAGnNr me\n', 'of a kind that logs do not take'],
    [
      'a key in the form of SSH2',
      '---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n',
      'a public key of SSH',
    ],
    [
      'a private key of SSH',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n',
      'a private key, which is not needed',
    ],
    [
      'a PGP key',
      '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n',
      'an OpenPGP key',
    ],
    ['a minisign key', `untrusted comment: minisign public key\nRW${'Q'.repeat(54)}\n`, 'minisign or signify'],
    ['a minisign key alone', `RW${'Q'.repeat(54)}\n`, 'minisign or signify'],
    ['a verifier key', 'log.example.com+1a2b3c4d+AbCd\n', 'given as --log-key'],
    ['a JWK', JSON.stringify(publicKey.export({ format: 'jwk' })), 'a JSON Web Key'],
    ['a bundle', '{"mediaType":"x","verificationMaterial":{}}', 'a bundle: give it as --bundle'],
    ['DER', publicKey.export({ format: 'der', type: 'spki' }), 'a binary file in DER'],
  ])('is named: %s', (_, file, why) => {
    const pem = Buffer.from(file as string).toString('latin1');
    expect(() => parsePublicKeyPem(pem, noblePrimitives)).toThrow(named('key', why));
    expect(() => parseVerifierPem(pem)).toThrow(named('key', why));
  });

  const ssh = spawnSync('ssh-keygen', ['-?']).error === undefined ? undefined : 'there is no ssh-keygen';
  it.skipIf(skips('keys of ssh-keygen', ssh))(
    'of SSH becomes one that is read, by the command that the error names',
    () => {
      const dir = mkdtempSync(join(tmpdir(), 'stele-ssh-'));
      try {
        for (const type of ['rsa', 'ecdsa']) {
          const path = join(dir, type);
          expect(spawnSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', path]).status).toBe(0);
          const { stdout } = spawnSync('ssh-keygen', ['-e', '-m', 'PKCS8', '-f', `${path}.pub`], { encoding: 'utf8' });
          expect(parsePublicKeyPem(stdout, noblePrimitives).info.kind).toMatch(type);
        }
      } finally {
        rmSync(dir, { recursive: true });
      }
    },
  );
});
