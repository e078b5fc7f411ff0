/** `dev.sigstore.rekor.v1.TransparencyLogEntry` in proto3 JSON: what the log answers and what a bundle carries. */
import { encodeBase64 } from '../merkle/bytes.ts';
import { MAX_PROOF } from '../merkle/proof.ts';
import { array, bytes, int64, malformed, object, string } from './json.ts';

/** A logged entry with its proof. Nothing of it is verified. */
export interface LogEntry {
  /** Index in the log, in [0, 2^53). */
  readonly index: number;
  /** 32 bytes. */
  readonly logId: Uint8Array;
  readonly kind: string;
  readonly version: string;
  /** Seconds since 1970; 0 in Rekor v2. */
  readonly integratedTime: number;
  readonly treeSize: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Sibling hashes from the leaf upwards, 32 bytes each, at most 63. */
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint, a signed note. */
  readonly checkpoint: string;
  /** The canonical entry, at most 65,535 bytes. */
  readonly body: Uint8Array;
}

const MAX_BODY = 65_535;

/** @throws ClientError `malformed` naming the field; `path` is what the message calls the whole. */
export function parseLogEntry(value: unknown, path: string): LogEntry {
  const entry = object(value, path, [
    'logIndex',
    'logId',
    'kindVersion',
    'integratedTime',
    'inclusionPromise',
    'inclusionProof',
    'canonicalizedBody',
  ]);
  if (entry.inclusionPromise !== undefined) {
    // A promise of Rekor v1 would need a key and a check of its own; ignoring it would look like having checked it.
    throw malformed(`${path}.inclusionPromise`, 'is set: entries of Rekor v1 are not checked here');
  }
  if (entry.inclusionProof === undefined) throw malformed(`${path}.inclusionProof`, 'is missing');
  const kind = object(entry.kindVersion ?? {}, `${path}.kindVersion`, ['kind', 'version']);
  const proof = object(entry.inclusionProof, `${path}.inclusionProof`, [
    'logIndex',
    'rootHash',
    'treeSize',
    'hashes',
    'checkpoint',
  ]);
  const checkpoint = object(proof.checkpoint ?? {}, `${path}.inclusionProof.checkpoint`, ['envelope']);
  const index = int64(entry.logIndex, `${path}.logIndex`);
  if (int64(proof.logIndex, `${path}.inclusionProof.logIndex`) !== index) {
    throw malformed(path, 'has two different indexes: logIndex and inclusionProof.logIndex');
  }
  const body = bytes(entry.canonicalizedBody, `${path}.canonicalizedBody`);
  if (body.length > MAX_BODY) throw malformed(`${path}.canonicalizedBody`, `is longer than ${MAX_BODY} bytes`);
  return {
    index,
    logId: bytes(object(entry.logId ?? {}, `${path}.logId`, ['keyId']).keyId, `${path}.logId.keyId`, 32),
    kind: string(kind.kind, `${path}.kindVersion.kind`),
    version: string(kind.version, `${path}.kindVersion.version`),
    integratedTime: int64(entry.integratedTime, `${path}.integratedTime`),
    treeSize: int64(proof.treeSize, `${path}.inclusionProof.treeSize`),
    root: bytes(proof.rootHash, `${path}.inclusionProof.rootHash`, 32),
    hashes: array(proof.hashes, `${path}.inclusionProof.hashes`, MAX_PROOF).map((hash, at) =>
      bytes(hash, `${path}.inclusionProof.hashes[${at}]`, 32),
    ),
    checkpoint: string(checkpoint.envelope, `${path}.inclusionProof.checkpoint.envelope`),
    body,
  };
}

export function formatLogEntry(entry: LogEntry): object {
  return {
    logIndex: String(entry.index),
    logId: { keyId: encodeBase64(entry.logId) },
    kindVersion: { kind: entry.kind, version: entry.version },
    integratedTime: String(entry.integratedTime),
    inclusionProof: {
      logIndex: String(entry.index),
      rootHash: encodeBase64(entry.root),
      treeSize: String(entry.treeSize),
      hashes: entry.hashes.map(encodeBase64),
      checkpoint: { envelope: entry.checkpoint },
    },
    canonicalizedBody: encodeBase64(entry.body),
  };
}
