/**
 * Valid signed requests of every key type, as JSON and as protobuf, for tests and load.
 *
 * ```ts
 * const signer = makeSigner('p256');
 * const body = toJson(hashedRekordRequest(signer));              // POST /api/v2/log/entries
 * const bulk = toJsonBatch([hashedRekordRequest(signer), dsseRequest(signer)]);
 * ```
 *
 * protobufjs encodes the protobuf bodies from a separate description of the messages, which thus checks the server's own.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign as nodeSign, randomBytes } from 'node:crypto';
import { ed25519ph } from '@noble/curves/ed25519.js';
import protobuf from 'protobufjs';
import { certificate } from './der.ts';

export type KeyKind = 'p256' | 'p384' | 'p521' | 'rsa2048' | 'rsa3072' | 'rsa4096' | 'ed25519ph';

export interface KeyKindInfo {
  readonly keyDetails: string;
  readonly number: number;
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** Name of the hash in entries. */
  readonly algorithm: string;
}

export const KEY_KINDS: Readonly<Record<KeyKind, KeyKindInfo>> = {
  p256: { keyDetails: 'PKIX_ECDSA_P256_SHA_256', number: 5, hash: 'sha256', algorithm: 'SHA2_256' },
  p384: { keyDetails: 'PKIX_ECDSA_P384_SHA_384', number: 12, hash: 'sha384', algorithm: 'SHA2_384' },
  p521: { keyDetails: 'PKIX_ECDSA_P521_SHA_512', number: 13, hash: 'sha512', algorithm: 'SHA2_512' },
  rsa2048: { keyDetails: 'PKIX_RSA_PKCS1V15_2048_SHA256', number: 9, hash: 'sha256', algorithm: 'SHA2_256' },
  rsa3072: { keyDetails: 'PKIX_RSA_PKCS1V15_3072_SHA256', number: 10, hash: 'sha256', algorithm: 'SHA2_256' },
  rsa4096: { keyDetails: 'PKIX_RSA_PKCS1V15_4096_SHA256', number: 11, hash: 'sha256', algorithm: 'SHA2_256' },
  ed25519ph: { keyDetails: 'PKIX_ED25519_PH', number: 8, hash: 'sha512', algorithm: 'SHA2_512' },
};

export const ALL_KEY_KINDS = Object.keys(KEY_KINDS) as KeyKind[];

export interface TestSigner extends KeyKindInfo {
  readonly kind: KeyKind;
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  digest(artifact: Uint8Array): Buffer;
  /** Signs the digest of the artifact. */
  sign(artifact: Uint8Array): Buffer;
  /** A self-signed certificate with about `padding` more bytes. */
  certificate(padding?: number): Buffer;
}

export function makeSigner(kind: KeyKind = 'p256'): TestSigner {
  const { publicKey, privateKey } = generate(kind);
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const info = KEY_KINDS[kind];
  return {
    ...info,
    kind,
    privateKey,
    spki,
    digest: (artifact) => createHash(info.hash).update(artifact).digest(),
    sign(artifact) {
      if (kind !== 'ed25519ph') {
        return nodeSign(info.hash, artifact, privateKey);
      }
      const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d as string, 'base64url');
      return Buffer.from(ed25519ph.sign(artifact, seed));
    },
    certificate: (padding) =>
      certificate(
        spki,
        privateKey.asymmetricKeyType as 'ec' | 'rsa' | 'ed25519',
        (tbs) => nodeSign(kind === 'ed25519ph' ? null : 'sha256', tbs, privateKey),
        padding,
      ),
  };
}

function generate(kind: KeyKind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'ed25519ph') {
    return generateKeyPairSync('ed25519');
  }
  return kind.startsWith('p')
    ? generateKeyPairSync('ec', { namedCurve: `P-${kind.slice(1)}` })
    : generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(3)) });
}

const shared = new Map<KeyKind, TestSigner>();

/** One signer per kind of key for the whole process, because making an RSA key takes seconds. */
export function sharedSigner(kind: KeyKind = 'p256'): TestSigner {
  const signer = shared.get(kind) ?? makeSigner(kind);
  shared.set(kind, signer);
  return signer;
}

/** A CreateEntryRequest before `toJson` or `toProtobuf` encodes it. */
export interface EntryRequest {
  hashedRekordRequestV002?: {
    digest: Uint8Array;
    signature: { content: Uint8Array; verifier: RequestVerifier };
  };
  dsseRequestV002?: {
    envelope: { payload: Uint8Array; payloadType: string; signatures: { sig: Uint8Array; keyid: string }[] };
    verifiers: RequestVerifier[];
  };
}

export interface RequestVerifier {
  publicKey?: { rawBytes: Uint8Array };
  x509Certificate?: { rawBytes: Uint8Array };
  keyDetails: string;
}

export type VerifierForm = 'publicKey' | 'x509Certificate';

export function verifierOf(signer: TestSigner, form: VerifierForm = 'publicKey'): RequestVerifier {
  return form === 'publicKey'
    ? { publicKey: { rawBytes: signer.spki }, keyDetails: signer.keyDetails }
    : { x509Certificate: { rawBytes: signer.certificate() }, keyDetails: signer.keyDetails };
}

export function hashedRekordRequest(
  signer: TestSigner = sharedSigner(),
  artifact: Uint8Array = randomBytes(32),
  form: VerifierForm = 'publicKey',
) {
  return {
    hashedRekordRequestV002: {
      digest: signer.digest(artifact) as Uint8Array,
      signature: { content: signer.sign(artifact) as Uint8Array, verifier: verifierOf(signer, form) },
    },
  } satisfies EntryRequest;
}

/** Pre-authentication encoding of DSSE v1. */
export function pae(payloadType: string, payload: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ]);
}

export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** A request with an envelope that every signer signed, and with one verifier per signer. */
export function dsseRequest(
  signers: TestSigner | readonly TestSigner[] = sharedSigner(),
  payload: Uint8Array = Buffer.from(JSON.stringify({ nonce: randomBytes(16).toString('hex') })),
  form: VerifierForm = 'publicKey',
) {
  const list = Array.isArray(signers) ? (signers as readonly TestSigner[]) : [signers as TestSigner];
  const message = pae(PAYLOAD_TYPE, payload);
  return {
    dsseRequestV002: {
      envelope: {
        payload,
        payloadType: PAYLOAD_TYPE,
        signatures: list.map((signer) => ({ sig: signer.sign(message) as Uint8Array, keyid: '' })),
      },
      verifiers: list.map((signer) => verifierOf(signer, form)),
    },
  } satisfies EntryRequest;
}

/** `count` JSON bodies with different entries: `fresh` uses a new key for each, `shared` one key for all. */
export function distinctBodies(count: number, keys: 'fresh' | 'shared' = 'shared', kind: KeyKind = 'p256'): Buffer[] {
  return Array.from({ length: count }, () =>
    toJson(hashedRekordRequest(keys === 'fresh' ? makeSigner(kind) : sharedSigner(kind))),
  );
}

/** The proto3 JSON value of a message, with bytes in base64. */
export function jsonValue(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return Buffer.from(value).toString('base64');
  }
  if (Array.isArray(value)) {
    return value.map(jsonValue);
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, jsonValue(item)]));
  }
  return value;
}

export function toJson(request: EntryRequest): Buffer {
  return Buffer.from(JSON.stringify(jsonValue(request)));
}

export function toJsonBatch(requests: readonly EntryRequest[]): Buffer {
  return Buffer.from(JSON.stringify({ requests: jsonValue(requests) }));
}

const bytesField = (id: number) => ({ type: 'bytes', id });
const root = protobuf.Root.fromJSON({
  nested: {
    CreateEntryRequest: {
      oneofs: { spec: { oneof: ['hashedRekordRequestV002', 'dsseRequestV002'] } },
      fields: {
        hashedRekordRequestV002: { type: 'HashedRekordRequestV002', id: 1 },
        dsseRequestV002: { type: 'DSSERequestV002', id: 2 },
      },
    },
    HashedRekordRequestV002: { fields: { digest: bytesField(1), signature: { type: 'Signature', id: 2 } } },
    Signature: { fields: { content: bytesField(1), verifier: { type: 'Verifier', id: 2 } } },
    Verifier: {
      oneofs: { verifier: { oneof: ['publicKey', 'x509Certificate'] } },
      fields: {
        publicKey: { type: 'RawBytes', id: 1 },
        x509Certificate: { type: 'RawBytes', id: 2 },
        keyDetails: { type: 'int32', id: 3 },
      },
    },
    RawBytes: { fields: { rawBytes: bytesField(1) } },
    DSSERequestV002: {
      fields: {
        envelope: { type: 'Envelope', id: 1 },
        verifiers: { rule: 'repeated', type: 'Verifier', id: 2 },
      },
    },
    Envelope: {
      fields: {
        payload: bytesField(1),
        payloadType: { type: 'string', id: 2 },
        signatures: { rule: 'repeated', type: 'EnvelopeSignature', id: 3 },
      },
    },
    EnvelopeSignature: { fields: { sig: bytesField(1), keyid: { type: 'string', id: 2 } } },
    CreateEntryBatch: { fields: { requests: { rule: 'repeated', type: 'CreateEntryRequest', id: 1 } } },
  },
});

/** Replaces the names of key types by their numbers. */
function withNumbers(value: unknown): unknown {
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(withNumbers);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      key === 'keyDetails'
        ? Object.values(KEY_KINDS).find((kind) => kind.keyDetails === item)?.number
        : withNumbers(item),
    ]),
  );
}

function encode(type: string, value: unknown): Buffer {
  const message = root.lookupType(type);
  return Buffer.from(message.encode(message.fromObject(withNumbers(value) as Record<string, unknown>)).finish());
}

export function toProtobuf(request: EntryRequest): Buffer {
  return encode('CreateEntryRequest', request);
}

export function toProtobufBatch(requests: readonly EntryRequest[]): Buffer {
  return encode('CreateEntryBatch', { requests });
}
