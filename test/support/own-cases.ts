/**
 * Good and bad bundles of a test instance (instance.ts). They have the names of the published bundles of the same kind in
 * sigstore-conformance, so that one test covers both.
 */
import { formatPublicKeyPem } from '../../client/formats/key.ts';
import { preAuthEncoding } from '../../merkle/rekor/dsse.ts';
import { newKeys, spkiOf } from '../merkle/x509/make.ts';
import { bundleJson, FILE, hash, messageOf, recordOf, sha256, type Version } from './bundle-json.ts';
import {
  Instance,
  type Json,
  NOW,
  OWN_IDENTITY,
  OWN_ISSUER,
  pem64,
  type Signer,
  type SignerWish,
  signedBy,
} from './instance.ts';
import type { BundleCase } from './vectors.ts';

type Keys = ReturnType<typeof newKeys>;

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const otherwise = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1);

const production = new Instance('sigstore.example');
/** The instance with a log of Rekor v2. */
const staging = new Instance('sigstage.example');
const LATE = '2026-08-01T13:00:00Z';
/** A time at which the authorities' own certificates are expired. */
const EXPIRED = '2041-01-01T00:00:00Z';

interface MessageWish {
  readonly version?: Version;
  readonly by?: Instance;
  readonly signer?: Signer | Keys;
  /** What the log holds in the place of the signer or file. */
  readonly logged?: { readonly signer?: Signer; readonly file?: Uint8Array };
  readonly stamped?: boolean;
}

/** The bundle of a file, in a log of Rekor v1. */
function message1(wish: MessageWish = {}): Json {
  const { version = '0.3', by = production, signer = by.signer(), logged = {}, stamped = false } = wish;
  const signature = signedBy(signer, FILE);
  const there = logged.signer ?? signer;
  const inLog =
    logged.signer === undefined && logged.file === undefined ? signature : signedBy(there, logged.file ?? FILE);
  const entry = by.logged1('hashedrekord', '0.0.1', recordOf(there, inLog, logged.file));
  return bundleJson(version, signer, messageOf(signature), [entry], stamped ? [by.stamp(signature)] : []);
}

function statement(predicate: object = {}): Buffer {
  const subject = [{ name: 'a.txt', digest: { sha256: sha256(FILE).toString('hex') } }];
  const predicateType = 'https://example.com/predicate/v1';
  return Buffer.from(JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate }));
}

const pae = (payload: Uint8Array) => preAuthEncoding(PAYLOAD_TYPE, payload);
const envelopeOf = (payload: Uint8Array, signature: Uint8Array) => ({
  dsseEnvelope: { payload: base64(payload), payloadType: PAYLOAD_TYPE, signatures: [{ sig: base64(signature) }] },
});

interface AttestationWish {
  readonly time?: string;
  readonly signer?: SignerWish;
  /** What the bundle holds in the place of the signer or payload. */
  readonly shown?: { readonly signer?: Signer; readonly payload?: Buffer; readonly again?: boolean };
  readonly stampTime?: string;
}

/** The bundle of an attestation in a log of Rekor v1: a `dsse` entry with v0.3, an `intoto` entry with v0.2. */
function attestation1(kind: 'dsse' | 'intoto', wish: AttestationWish = {}): Json {
  const signer = production.signer(wish.signer);
  const payload = statement();
  const signature = signedBy(signer, pae(payload));
  const envelope = JSON.stringify(envelopeOf(payload, signature));
  const spec =
    kind === 'dsse'
      ? {
          envelopeHash: hash(envelope),
          payloadHash: hash(payload),
          signatures: [{ signature: base64(signature), verifier: pem64(signer) }],
        }
      : {
          content: {
            envelope: {
              payloadType: PAYLOAD_TYPE,
              signatures: [{ publicKey: pem64(signer), sig: base64(base64(signature)) }],
            },
            hash: hash(envelope),
            payloadHash: hash(payload),
          },
        };
  const entry = production.logged1(kind, kind === 'dsse' ? '0.0.1' : '0.0.2', spec, wish.time);
  const { content, signature: last } = shownOf(wish, signer, payload, signature);
  const stamps = wish.stampTime === undefined ? [] : [production.stamp(last, { time: wish.stampTime })];
  return bundleJson(kind === 'dsse' ? '0.3' : '0.2', signer, content, [entry], stamps);
}

function shownOf({ shown }: AttestationWish, signer: Signer, payload: Buffer, signature: Buffer) {
  const text = shown?.payload ?? payload;
  const last = shown === undefined ? signature : signedBy(shown.signer ?? signer, pae(text));
  return { content: envelopeOf(text, last), signature: last };
}

interface StampWish {
  readonly by?: Instance;
  readonly embedded?: boolean;
  readonly none?: boolean;
}

/** The bundle of a file, in a log of Rekor v2, with a time stamp. */
function message2({ by = staging, embedded = true, none = false }: StampWish = {}): Json {
  const signer = staging.signer();
  const signature = signedBy(signer, FILE);
  const entry = entry2(sha256(FILE), signature, signer);
  return bundleJson('0.3', signer, messageOf(signature), [entry], none ? [] : [by.stamp(signature, { embedded })]);
}

function attestation2(wish: AttestationWish): Json {
  const signer = staging.signer();
  const payload = statement();
  const signature = signedBy(signer, pae(payload));
  const entry = entry2(sha256(pae(payload)), signature, signer);
  const { content, signature: last } = shownOf(wish, signer, payload, signature);
  return bundleJson('0.3', signer, content, [entry], [staging.stamp(last)]);
}

/** An entry without `integratedTime`: proto3 JSON omits fields that are 0. */
function entry2(digest: Uint8Array, signature: Uint8Array, signer: Signer): Json {
  const { integratedTime: _, ...entry } = staging.logged2(digest, signature, signer);
  return entry;
}

const entryOf = (json: Json): Json => json.verificationMaterial.tlogEntries[0];
/** Changes `json` in place and returns it. */
const changed = (json: Json, change: (json: Json) => void): Json => {
  change(json);
  return json;
};
const envelope = (json: Json, change: (note: string) => string): Json =>
  changed(json, (its) => {
    const { checkpoint } = entryOf(its).inclusionProof;
    checkpoint.envelope = change(checkpoint.envelope);
  });
/** A signature line with an arbitrary key ID and signature, like that of an unknown key. */
const line = (name: string, bytes = 76) => `— ${name} ${base64(Buffer.alloc(bytes, name))}\n`;
const withoutLine = (note: string, at: number) => note.split('\n').toSpliced(at, 1).join('\n');

interface Parts {
  readonly json: Json;
  readonly trustedRoot?: Json;
  readonly artifact?: Uint8Array;
  readonly key?: Keys;
  readonly text?: (json: string) => string;
}

function makeParts(): Record<string, Parts> {
  const v2 = (json: Json, trustedRoot = staging.trustedRoot()): Parts => ({ json, trustedRoot });
  const key = newKeys();
  const kept = message1({ version: '0.1' });
  const ending = production.trustedRoot();
  ending.tlogs[0].publicKey.validFor.end = new Date(Number(entryOf(kept).integratedTime) * 1000).toISOString();
  const otherCt = production.trustedRoot();
  otherCt.ctlogs[0].publicKey.rawBytes = base64(spkiOf(newKeys().publicKey));
  const stampsEnded = staging.trustedRoot();
  stampsEnded.timestampAuthorities[0].validFor.end = '2026-01-01T00:00:00Z';
  const moved = message1();
  const elsewhere = entryOf(message1()).inclusionProof;

  return {
    'bundle-empty-certificate-chain_fail': {
      json: changed(message1({ version: '0.1' }), (its) => {
        its.verificationMaterial.x509CertificateChain.certificates = [];
      }),
    },
    'bundle-from-wrong-instance_fail': { json: message1({ version: '0.1', by: new Instance('sigstore.example') }) },
    'bundle-invalid-base64-signature_fail': {
      json: changed(message1({ version: '0.1' }), (its) => {
        its.messageSignature.signature = 'not base64!';
      }),
    },
    'bundle-malformed-json_fail': { json: message1(), text: (json) => json.slice(0, -40) },
    'bundle-unknown-version_fail': {
      json: { ...message1(), mediaType: 'application/vnd.dev.sigstore.bundle+json;version=99.9' },
    },
    // The published bundle is refused for its identity too. The root in it is superfluous.
    'bundle-with-root-cert_fail': {
      json: changed(
        message1({ version: '0.1', signer: production.signer({ identity: 'https://example.com/other' }) }),
        (its) => {
          for (const { certificate } of [production.intermediate, production.root]) {
            its.verificationMaterial.x509CertificateChain.certificates.push({ rawBytes: base64(certificate.der) });
          }
        },
      ),
    },
    'checkpoint-wrong-roothash_fail': {
      json: envelope(message1({ version: '0.1' }), (note) => {
        const [origin, size, root] = note.split('\n');
        return production.note1(`${origin}\n${size}\n${otherwise(root!)}\n`);
      }),
    },
    'dsse-invalid-sig_fail': { json: attestation1('dsse', { shown: { signer: production.signer() } }) },
    'dsse-mismatch-envelope_fail': { json: attestation1('dsse', { shown: { payload: statement({ other: true }) } }) },
    'dsse-mismatch-sig_fail': { json: attestation1('dsse', { shown: { again: true } }) },
    'happy-path-intoto-in-dsse-v3': { json: attestation1('dsse') },
    'happy-path-v0.3-new-mediaType': { json: message1() },
    'inclusion-proof-of-another-entry_fail': {
      json: changed(moved, (its) => {
        entryOf(its).inclusionProof = elsewhere;
      }),
    },
    'intoto-expired-certificate_fail': {
      json: attestation1('intoto', { signer: { from: EXPIRED }, time: EXPIRED }),
    },
    'intoto-missing-inclusion-proof_fail': {
      json: changed(attestation1('intoto'), (its) => {
        delete entryOf(its).inclusionProof;
      }),
    },
    'intoto-set-outside-signing-cert-validity_fail': { json: attestation1('intoto', { time: LATE }) },
    'intoto-tsa-timestamp-outside-cert-validity_fail': {
      json: attestation1('intoto', { stampTime: '2023-02-02T00:00:00Z' }),
    },
    'invalid-ct-key_fail': { json: message1({ version: '0.1' }), trustedRoot: otherCt },
    'invalid-inclusion-proof_fail': {
      json: changed(message1({ version: '0.2' }), (its) => {
        delete entryOf(its).inclusionProof.checkpoint;
      }),
    },
    'managed-key-and-trusted-root': { json: message1({ signer: key }), key },
    'managed-key-happy-path': { json: message1({ signer: key, stamped: true }), key },
    'message-digest-mismatch_fail': {
      json: changed(message1(), (its) => {
        its.messageSignature.messageDigest.digest = base64(sha256('another file'));
      }),
    },
    'rekor2-checkpoint-cosigned': v2(envelope(message2(), (note) => note + line('witness.example'))),
    'rekor2-checkpoint-missing-root-hash_fail': v2(envelope(message2(), (note) => withoutLine(note, 2))),
    'rekor2-checkpoint-missing-size_fail': v2(envelope(message2(), (note) => withoutLine(note, 1))),
    'rekor2-checkpoint-multiple-cosigs': v2(
      envelope(message2(), (note) => note + line('witness.example') + line('w2.example')),
    ),
    'rekor2-checkpoint-no-matching-signature_fail': v2(
      envelope(message2(), (note) => note.replace('— rekor2.sigstage.', '— rekor2.github.')),
    ),
    'rekor2-checkpoint-two-sigs-from-origin': v2(
      envelope(message2(), (note) => note + line('rekor2.sigstage.example', 75)),
    ),
    'rekor2-dsse-invalid-sig_fail': v2(attestation2({ shown: { signer: staging.signer() } })),
    'rekor2-dsse-mismatch-envelope_fail': v2(attestation2({ shown: { payload: statement({ other: true }) } })),
    'rekor2-dsse-mismatch-sig_fail': v2(attestation2({ shown: { again: true } })),
    'rekor2-no-timestamp_fail': v2(message2({ none: true })),
    'rekor2-timestamp-outside-trust-root-tsa-validity_fail': v2(message2(), stampsEnded),
    'rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail': v2(message2({ by: production })),
    'rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail': v2(message2({ by: production, embedded: false })),
    'rekor2-timestamp-with-embedded-cert': v2(message2()),
    'rekor2-timestamp-without-embedded-cert': v2(message2({ embedded: false })),
    'set-invalid-signature_fail': {
      json: changed(message1({ version: '0.1' }), (its) => {
        const { inclusionPromise } = entryOf(its);
        inclusionPromise.signedEntryTimestamp = base64(signedBy(newKeys(), FILE));
      }),
    },
    'trust-root-tlog-validity-end-inclusive': { json: kept, trustedRoot: ending },
    'wrong-hashedrekord-artifact_fail': { json: message1({ logged: { file: Buffer.from('another file') } }) },
    'wrong-hashedrekord-cert-and-sig_fail': { json: message1({ logged: { signer: production.signer() } }) },
    'wrong-material_fail': { json: message1({ version: '0.1' }), artifact: Buffer.from('another file') },
  };
}

let made: readonly BundleCase[] | undefined;

export function ownCases(): readonly BundleCase[] {
  made ??= Object.entries(makeParts()).map(([name, { json, trustedRoot, artifact = FILE, key, text = String }]) => ({
    name,
    refused: name.endsWith('_fail'),
    bundle: Buffer.from(text(JSON.stringify(json))),
    artifact,
    trustedRoot: Buffer.from(JSON.stringify(trustedRoot ?? production.trustedRoot())),
    key: key && formatPublicKeyPem({ spki: spkiOf(key.publicKey) }),
    identity: OWN_IDENTITY,
    issuer: OWN_ISSUER,
  }));
  return made;
}

/** The time of the time stamps of `ownCases`, unless a case's name says otherwise. */
export const STAMPED = Date.parse(NOW) + 60_000;
