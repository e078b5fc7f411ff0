/**
 * Compares entries of Rekor v1 (sigstore/rekor 1.4, pkg/types) with what was signed, member by member:
 *
 *   hashedrekord 0.0.1  { data: { hash: { algorithm, value: hex } }, signature: { content, publicKey: { content: PEM } } }
 *   dsse 0.0.1          { envelopeHash, payloadHash: { algorithm, value: hex }, signatures: [ { signature, verifier: PEM } ] }
 *   intoto 0.0.2        { content: { envelope: { payloadType, payload?, signatures: [ { sig, publicKey: PEM, keyid? } ] },
 *                         hash, payloadHash } }         where sig and payload are the base64 of their base64
 *
 * `envelopeHash` and the `hash` of intoto are hashes of the request's bytes, which nobody has kept.
 */
import { decodeBase64, decodeUtf8, encodeHex, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { DsseContent } from '../formats/bundle.ts';
import { array, type JsonObject, malformed, parseJson, record, standardBytes, string } from '../formats/json.ts';
import { type Claim, mismatch } from './claim.ts';

const LIMIT = 8 * 1024 * 1024;
const LABEL = { certificate: 'CERTIFICATE', key: 'PUBLIC KEY' } as const;

export function checkHashedRekord001(body: Uint8Array, claim: Claim): void {
  const spec = specOf(body, 'hashedrekord', '0.0.1', ['data', 'signature']);
  const hash = hashOf(record(spec.data, 'spec.data', ['hash']).hash, 'spec.data.hash');
  const signature = record(spec.signature, 'spec.signature', ['content', 'publicKey']);
  const publicKey = record(signature.publicKey, 'spec.signature.publicKey', ['content']);
  if (claim.pure) throw mismatch('the signature is over the attestation itself, not over a digest of it');
  if (hash.algorithm !== claim.algorithm || hash.value !== encodeHex(claim.digest)) {
    throw mismatch('its digest is another');
  }
  sameSignature(standardBytes(signature.content, 'spec.signature.content'), claim);
  sameVerifier(publicKey.content, 'spec.signature.publicKey.content', claim);
}

export function checkDsse001(body: Uint8Array, claim: Claim, primitives: Primitives): void {
  const spec = specOf(body, 'dsse', '0.0.1', ['envelopeHash', 'payloadHash', 'signatures']);
  const content = attestation(claim);
  hashOf(spec.envelopeHash, 'spec.envelopeHash');
  samePayload(spec.payloadHash, 'spec.payloadHash', content, primitives);
  const signature = record(only(spec.signatures, 'spec.signatures'), 'spec.signatures[0]', ['signature', 'verifier']);
  sameSignature(standardBytes(signature.signature, 'spec.signatures[0].signature'), claim);
  sameVerifier(signature.verifier, 'spec.signatures[0].verifier', claim);
}

export function checkIntoto002(body: Uint8Array, claim: Claim, primitives: Primitives): void {
  const spec = specOf(body, 'intoto', '0.0.2', ['content']);
  const content = attestation(claim);
  const logged = record(spec.content, 'spec.content', ['envelope', 'hash', 'payloadHash']);
  hashOf(logged.hash, 'spec.content.hash');
  samePayload(logged.payloadHash, 'spec.content.payloadHash', content, primitives);
  const path = 'spec.content.envelope';
  const envelope = record(logged.envelope, path, ['payloadType', 'payload', 'signatures']);
  if (envelope.payloadType !== content.payloadType) throw mismatch('its payload is of another type');
  if (envelope.payload !== undefined && !equal(twice(envelope.payload, `${path}.payload`), content.payload)) {
    throw mismatch('its payload is another');
  }
  const signature = record(only(envelope.signatures, `${path}.signatures`), `${path}.signatures[0]`, [
    'sig',
    'publicKey',
    'keyid',
  ]);
  const { keyid } = signature;
  if (keyid !== undefined && keyid !== content.keyId) throw mismatch('its key ID is another');
  sameSignature(twice(signature.sig, `${path}.signatures[0].sig`), claim);
  sameVerifier(signature.publicKey, `${path}.signatures[0].publicKey`, claim);
}

function specOf(body: Uint8Array, kind: string, version: string, names: readonly string[]): JsonObject {
  const entry = record(parseJson(body, 'the logged entry', LIMIT), 'the logged entry', ['apiVersion', 'kind', 'spec']);
  if (entry.kind !== kind || entry.apiVersion !== version) {
    throw mismatch(`it is not the ${kind} ${version} that the bundle calls it`);
  }
  return record(entry.spec, 'spec', names);
}

function attestation({ content }: Claim): DsseContent {
  if (content.kind === 'dsse') return content;
  throw mismatch('it is about an attestation, and the bundle holds none');
}

function hashOf(value: unknown, path: string): { readonly algorithm: string; readonly value: string } {
  const hash = record(value, path, ['algorithm', 'value']);
  const hex = string(hash.value, `${path}.value`);
  if (!/^[0-9a-f]{64,128}$/.test(hex)) throw malformed(`${path}.value`, 'is not a digest in lower-case hex');
  return { algorithm: string(hash.algorithm, `${path}.algorithm`), value: hex };
}

function samePayload(value: unknown, path: string, { payload }: DsseContent, primitives: Primitives): void {
  const hash = hashOf(value, path);
  if (hash.algorithm !== 'sha256' || hash.value !== encodeHex(primitives.hash('sha256', payload))) {
    throw mismatch('its payload is another');
  }
}

function sameSignature(signature: Uint8Array, { content }: Claim): void {
  if (!equal(signature, content.signature)) throw mismatch('its signature is another');
}

function sameVerifier(value: unknown, path: string, { verifier }: Claim): void {
  const der = pemBlock(standardBytes(value, path), LABEL[verifier.kind]);
  if (der === undefined || !equal(der, verifier.der)) throw mismatch(`its ${verifier.kind} is another`);
}

function only(value: unknown, path: string): unknown {
  const [first, ...more] = array(value, path, 16);
  if (first === undefined || more.length > 0) throw malformed(path, 'has not one item');
  return first;
}

/** Base64 of base64. */
function twice(value: unknown, path: string): Uint8Array {
  const inner = standardBytes(value, path);
  return guarded(() => standardBytes(decodeUtf8(inner), path)) ?? new Uint8Array(0);
}

/** The bytes of the only PEM block, if it has this label. */
function pemBlock(pem: Uint8Array, label: string): Uint8Array | undefined {
  return guarded(() => {
    const match = /^-----BEGIN ([A-Z ]+)-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END ([A-Z ]+)-----\r?\n*$/.exec(
      decodeUtf8(pem),
    );
    if (match === null || match[1] !== label || match[3] !== label) return undefined;
    return decodeBase64(match[2]!.replace(/[\r\n]/g, ''));
  });
}

function guarded<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof MerkleError) return undefined;
    throw cause;
  }
}
