/** Bundles of a log with witnesses, all of it made here, for what the verifier must take and refuse. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { ClientError } from '../../../client/errors.ts';
import type { Bundle } from '../../../client/formats/bundle.ts';
import { tlogEntry } from '../../../client/formats/log-entry.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { type CosignatureSigner, cosign } from '../../../merkle/cosignature.ts';
import { formatNote, formatVerifierKey, KEY_TYPE, makeVerifierKey, parseNote } from '../../../merkle/note.ts';
import { preAuthEncoding } from '../../../merkle/rekor/dsse.ts';
import { formatHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import type { DigestAlgorithm, HashName } from '../../../merkle/rekor/hashes.ts';
import { type KeyInfo, parseSpki } from '../../../merkle/rekor/spki.ts';
import type { FakeLog } from '../../support/fake-log.ts';

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const digestsOf = (file: Uint8Array) => ({
  sha256: Uint8Array.from(createHash('sha256').update(file).digest()),
  sha384: Uint8Array.from(createHash('sha384').update(file).digest()),
  sha512: Uint8Array.from(createHash('sha512').update(file).digest()),
});

/** The code of the ClientError that `work` throws, or `accepted`. Any other error is a fault. */
export function code(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** A signer of a kind that is signed with Node: ECDSA and RSA. */
export interface TestKey {
  readonly info: KeyInfo;
  readonly details: string;
  readonly hash: HashName;
  readonly digestName: DigestAlgorithm;
  sign(message: Uint8Array): Uint8Array;
}

const NAMES = { sha256: 'SHA2_256', sha384: 'SHA2_384', sha512: 'SHA2_512' } as const;

export function testKey(kind: 'P-256' | 'P-384' | 'P-521' | 'rsa' = 'P-256'): TestKey {
  const pair =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: kind });
  const [hash, details] = {
    'P-256': ['sha256', 'PKIX_ECDSA_P256_SHA_256'] as const,
    'P-384': ['sha384', 'PKIX_ECDSA_P384_SHA_384'] as const,
    'P-521': ['sha512', 'PKIX_ECDSA_P521_SHA_512'] as const,
    rsa: ['sha256', 'PKIX_RSA_PKCS1V15_2048_SHA256'] as const,
  }[kind];
  return {
    info: parseSpki(pair.publicKey.export({ format: 'der', type: 'spki' })),
    details,
    hash,
    digestName: NAMES[hash],
    sign: (message) => Uint8Array.from(sign(hash, message, pair.privateKey)),
  };
}

/** A file, signed and logged. */
export function messageBundle(file: Uint8Array, key: TestKey, log: FakeLog): Bundle {
  const signature = key.sign(file);
  const digest = digestsOf(file)[key.hash];
  return {
    version: '0.3',
    content: { kind: 'message', digest: { algorithm: key.digestName, value: digest }, signature },
    signer: { kind: 'public-key', hint: '' },
    entries: [tlogEntry(log.add(bodyOf(key, digest, signature)))],
    timestamps: [],
  };
}

/** A statement about a file, signed as DSSE and logged as a hashedrekord over its PAE. */
export function attestation(file: Uint8Array, key: TestKey, log: FakeLog, payload = statement(file)): Bundle {
  const payloadType = 'application/vnd.in-toto+json';
  const pae = preAuthEncoding(payloadType, payload);
  const signature = key.sign(pae);
  return {
    version: '0.3',
    content: { kind: 'dsse', payloadType, payload, signature, keyId: '' },
    signer: { kind: 'public-key', hint: '' },
    entries: [tlogEntry(log.add(bodyOf(key, digestsOf(pae)[key.hash], signature)))],
    timestamps: [],
  };
}

export function statement(file: Uint8Array, digest: object = { sha256: hex(digestsOf(file).sha256) }): Uint8Array {
  return text(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'file', digest }],
      predicateType: 'https://example.com/p/v1',
      predicate: {},
    }),
  );
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function bodyOf(key: TestKey, digest: Uint8Array, signature: Uint8Array): Uint8Array {
  const { details: keyDetails, digestName: digestAlgorithm } = key;
  return formatHashedRekord({ digestAlgorithm, digest, signature, keyDetails, verifier: { publicKey: key.info.spki } });
}

export interface TestWitness extends CosignatureSigner {
  readonly vkey: string;
}

export function testWitness(name: string): TestWitness {
  const pair = generateKeyPairSync('ed25519');
  const raw = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const key = makeVerifierKey(name, KEY_TYPE.cosignature, raw);
  return { key, vkey: formatVerifierKey(key), sign: async (message) => signed(message, pair.privateKey) };
}

const signed = (message: Uint8Array, key: KeyObject) => Uint8Array.from(sign(null, message, key));

/** The bundle with cosignatures on the checkpoint of its entry: a witness and its time each, in the order of the lines. */
export async function witnessed(bundle: Bundle, by: readonly (readonly [TestWitness, number])[]): Promise<Bundle> {
  const [entry] = bundle.entries;
  const { text: checkpoint, signatures } = parseNote(entry!.proof!.checkpoint!);
  const lines = await Promise.all(by.map(([witness, time]) => cosign(witness, time, checkpoint)));
  const note = formatNote(checkpoint, [...signatures, ...lines]);
  return { ...bundle, entries: [{ ...entry!, proof: { ...entry!.proof!, checkpoint: note } }] };
}

export function policyOf(logs: readonly string[], witnesses: readonly TestWitness[], threshold: number) {
  return parseTrustPolicy(
    text(
      [
        ...logs.map((vkey) => `log ${vkey}`),
        ...witnesses.map(({ vkey }, at) => `witness w${at + 1} ${vkey}`),
        `group g ${threshold} ${witnesses.map((_, at) => `w${at + 1}`).join(' ')}`,
        'quorum g',
        '',
      ].join('\n'),
    ),
  );
}

/** A trusted root in JSON with this log alone. */
export function rootJson(log: FakeLog, validFor: object = { start: '2020-01-01T00:00:00Z' }) {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), log.key.key]);
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [
      {
        baseUrl: `https://${log.key.name}`,
        hashAlgorithm: 'SHA2_256',
        publicKey: { rawBytes: spki.toString('base64'), keyDetails: 'PKIX_ED25519', validFor },
        logId: { keyId: Buffer.from(log.logId).toString('base64') },
      },
    ],
    certificateAuthorities: [],
    ctlogs: [],
    timestampAuthorities: [],
  };
}
