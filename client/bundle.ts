/**
 * Sigstore bundle v0.3 (sigstore/protobuf-specs, `dev.sigstore.bundle.v1.Bundle`, proto3 JSON): a signature over a file's
 * digest with the proof that it is in the log.
 *
 *   { "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
 *     "verificationMaterial": { "publicKey": { "hint": … }, "tlogEntries": [ TransparencyLogEntry ] },
 *     "messageSignature": { "messageDigest": { "algorithm": "SHA2_256", "digest": … }, "signature": … } }
 *
 * The public key itself is not in it, on purpose: whoever verifies must know from elsewhere whose key they trust.
 */
import { encodeBase64, encodeUtf8 } from '../merkle/bytes.ts';
import { ClientError } from './errors.ts';
import { array, bytes, malformed, object, parseJson, string } from './json.ts';
import { formatLogEntry, type LogEntry, parseLogEntry } from './log-entry.ts';

export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** Longest bundle that is read. */
export const MAX_BUNDLE = 1024 * 1024;

export interface Bundle {
  /** Says which key signed, so that a verifier with many finds it. Proves nothing. */
  readonly hint: string;
  readonly entry: LogEntry;
  readonly digestAlgorithm: string;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * The parts of a bundle, with nothing verified.
 *
 * @throws ClientError `malformed` naming the field; `unsupported` for a certificate or an attestation in it
 */
export function parseBundle(file: Uint8Array): Bundle {
  const bundle = object(parseJson(file, 'the bundle', MAX_BUNDLE), 'the bundle', [
    'mediaType',
    'verificationMaterial',
    'messageSignature',
    'dsseEnvelope',
  ]);
  if (string(bundle.mediaType, 'mediaType') !== BUNDLE_TYPE) {
    throw new ClientError(
      'unsupported',
      `the bundle is not of the type ${BUNDLE_TYPE}; bundles of other versions are not read`,
    );
  }
  if (bundle.dsseEnvelope !== undefined) {
    throw new ClientError(
      'unsupported',
      'the bundle holds an attestation (DSSE), which `stele verify` does not check yet: use cosign',
    );
  }
  const material = object(bundle.verificationMaterial ?? {}, 'verificationMaterial', [
    'publicKey',
    'certificate',
    'x509CertificateChain',
    'tlogEntries',
    'timestampVerificationData',
  ]);
  if (material.certificate !== undefined || material.x509CertificateChain !== undefined) {
    throw new ClientError(
      'unsupported',
      'the bundle was signed with a certificate, whose identity `stele verify` does not check yet: use cosign',
    );
  }
  const publicKey = object(material.publicKey ?? {}, 'verificationMaterial.publicKey', ['hint']);
  const entries = array(material.tlogEntries, 'verificationMaterial.tlogEntries', 16);
  if (entries.length !== 1)
    throw malformed('verificationMaterial.tlogEntries', `has ${entries.length} entries, not one`);
  const message = object(bundle.messageSignature ?? {}, 'messageSignature', ['messageDigest', 'signature']);
  const digest = object(message.messageDigest ?? {}, 'messageSignature.messageDigest', ['algorithm', 'digest']);
  return {
    hint: publicKey.hint === undefined ? '' : string(publicKey.hint, 'verificationMaterial.publicKey.hint'),
    entry: parseLogEntry(entries[0], 'verificationMaterial.tlogEntries[0]'),
    digestAlgorithm: string(digest.algorithm, 'messageSignature.messageDigest.algorithm'),
    digest: bytes(digest.digest, 'messageSignature.messageDigest.digest'),
    signature: bytes(message.signature, 'messageSignature.signature'),
  };
}

export function formatBundle(bundle: Bundle): Uint8Array {
  const json = {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: bundle.hint }, tlogEntries: [formatLogEntry(bundle.entry)] },
    messageSignature: {
      messageDigest: { algorithm: bundle.digestAlgorithm, digest: encodeBase64(bundle.digest) },
      signature: encodeBase64(bundle.signature),
    },
  };
  return encodeUtf8(`${JSON.stringify(json, undefined, 2)}\n`);
}
