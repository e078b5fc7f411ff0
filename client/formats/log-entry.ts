/** `dev.sigstore.rekor.v1.TransparencyLogEntry` in proto3 JSON: the form of an entry in a log's response and in a bundle. */
import { MAX_ENTRY } from '../../merkle/bundle.ts';
import { encodeBase64 } from '../../merkle/bytes.ts';
import { MAX_NOTE } from '../../merkle/note.ts';
import { MAX_PROOF } from '../../merkle/proof.ts';
import { array, bytes, int64, malformed, object, string } from './json.ts';

/** An entry of Rekor v1 or v2 in a bundle. Nothing is verified. */
export interface TlogEntry {
  /** Index in the log, in [0, 2^53). In Rekor v1 it counts over all shards, and the proof has an index of its own. */
  readonly index: number;
  /** 32 bytes. */
  readonly logId: Uint8Array;
  readonly kind: string;
  readonly version: string;
  /** Seconds since 1970; 0 in Rekor v2. Only `promise` vouches for it. */
  readonly integratedTime: number;
  /** Signed entry timestamp (SET) of Rekor v1: the log's signature over body, time, log ID and index. */
  readonly promise?: Uint8Array;
  readonly proof?: InclusionProof;
  /** The canonical entry. Its leaf hash is the leaf of the tree. */
  readonly body: Uint8Array;
}

export interface InclusionProof {
  /** Index in the tree, in [0, treeSize). */
  readonly index: number;
  readonly treeSize: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Sibling hashes from the leaf upwards, 32 bytes each, at most 63. */
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint, a signed note. Bundles v0.1 may lack it. */
  readonly checkpoint?: string;
}

/** An entry with its proof, in the response of a log of Rekor v2. Its body has at most 65,535 bytes. Nothing is verified. */
export type LogEntry = Omit<TlogEntry, 'promise' | 'proof'> & Required<Omit<InclusionProof, 'index'>>;

/** An intoto entry of Rekor v1 may hold the whole payload. */
const MAX_BODY = 8 * 1024 * 1024;

/** Parses an entry of a bundle. `path` names the entry in messages. @throws ClientError `malformed`, naming the field */
export function parseTlogEntry(value: unknown, path: string): TlogEntry {
  const entry = object(value, path, [
    'logIndex',
    'logId',
    'kindVersion',
    'integratedTime',
    'inclusionPromise',
    'inclusionProof',
    'canonicalizedBody',
  ]);
  const kind = object(entry.kindVersion ?? {}, `${path}.kindVersion`, ['kind', 'version']);
  const body = bytes(entry.canonicalizedBody, `${path}.canonicalizedBody`);
  if (body.length > MAX_BODY) throw malformed(`${path}.canonicalizedBody`, `is longer than ${MAX_BODY} bytes`);
  return {
    index: int64(entry.logIndex, `${path}.logIndex`),
    logId: bytes(object(entry.logId ?? {}, `${path}.logId`, ['keyId']).keyId, `${path}.logId.keyId`, 32),
    kind: string(kind.kind, `${path}.kindVersion.kind`),
    version: string(kind.version, `${path}.kindVersion.version`),
    integratedTime: int64(entry.integratedTime, `${path}.integratedTime`),
    ...(entry.inclusionPromise === undefined
      ? {}
      : { promise: parsePromise(entry.inclusionPromise, `${path}.inclusionPromise`) }),
    ...(entry.inclusionProof === undefined
      ? {}
      : { proof: parseProof(entry.inclusionProof, `${path}.inclusionProof`) }),
    body,
  };
}

/** Parses the response of a log of Rekor v2, as `parseTlogEntry`. The entry must have a proof and no promise. */
export function parseLogEntry(value: unknown, path: string): LogEntry {
  const { promise, proof, ...entry } = parseTlogEntry(value, path);
  if (promise !== undefined) {
    // Nothing here verifies a promise of Rekor v1, and an ignored promise would look verified.
    throw malformed(`${path}.inclusionPromise`, 'is set, but a log of Rekor v2 gives no promise');
  }
  if (proof === undefined) throw malformed(`${path}.inclusionProof`, 'is missing');
  const { checkpoint, index, ...tree } = proof;
  if (checkpoint === undefined) throw malformed(`${path}.inclusionProof.checkpoint`, 'is missing');
  if (index !== entry.index) {
    throw malformed(path, 'has two different indexes: logIndex and inclusionProof.logIndex');
  }
  if (entry.body.length > MAX_ENTRY) {
    throw malformed(`${path}.canonicalizedBody`, `is longer than ${MAX_ENTRY} bytes`);
  }
  return { ...entry, ...tree, checkpoint };
}

/** The form of an entry in a bundle. */
export function tlogEntry({ treeSize, root, hashes, checkpoint, ...entry }: LogEntry): TlogEntry {
  return { ...entry, proof: { index: entry.index, treeSize, root, hashes, checkpoint } };
}

export function formatTlogEntry(entry: TlogEntry): object {
  const { promise, proof } = entry;
  return {
    logIndex: String(entry.index),
    logId: { keyId: encodeBase64(entry.logId) },
    kindVersion: { kind: entry.kind, version: entry.version },
    integratedTime: String(entry.integratedTime),
    ...(promise === undefined ? {} : { inclusionPromise: { signedEntryTimestamp: encodeBase64(promise) } }),
    ...(proof === undefined ? {} : { inclusionProof: formatProof(proof) }),
    canonicalizedBody: encodeBase64(entry.body),
  };
}

export function formatLogEntry(entry: LogEntry): object {
  return formatTlogEntry(tlogEntry(entry));
}

function formatProof({ index, root, treeSize, hashes, checkpoint }: InclusionProof): object {
  return {
    logIndex: String(index),
    rootHash: encodeBase64(root),
    treeSize: String(treeSize),
    hashes: hashes.map(encodeBase64),
    ...(checkpoint === undefined ? {} : { checkpoint: { envelope: checkpoint } }),
  };
}

function parsePromise(value: unknown, path: string): Uint8Array {
  const name = 'signedEntryTimestamp';
  return bytes(object(value, path, [name])[name], `${path}.${name}`);
}

function parseProof(value: unknown, path: string): InclusionProof {
  const proof = object(value, path, ['logIndex', 'rootHash', 'treeSize', 'hashes', 'checkpoint']);
  const envelope = object(proof.checkpoint ?? {}, `${path}.checkpoint`, ['envelope']).envelope;
  const checkpoint = envelope === undefined ? undefined : string(envelope, `${path}.checkpoint.envelope`);
  if (checkpoint !== undefined && checkpoint.length > MAX_NOTE) {
    throw malformed(`${path}.checkpoint.envelope`, `is longer than ${MAX_NOTE} bytes`);
  }
  return {
    index: int64(proof.logIndex, `${path}.logIndex`),
    treeSize: int64(proof.treeSize, `${path}.treeSize`),
    root: bytes(proof.rootHash, `${path}.rootHash`, 32),
    hashes: array(proof.hashes, `${path}.hashes`, MAX_PROOF).map((hash, at) =>
      bytes(hash, `${path}.hashes[${at}]`, 32),
    ),
    // In proto3 JSON, an empty text equals an absent one.
    ...(checkpoint === undefined || checkpoint === '' ? {} : { checkpoint }),
  };
}
