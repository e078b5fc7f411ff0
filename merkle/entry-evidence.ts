/**
 * Evidence that an entry in a bundle is not the entry in the tree. One JSON object on one line:
 *
 *   {"format":"stele-bad-entry/v1","keys":["<vkey>",…],"checkpoint":"<note>","index":7,"leafHash":"<base64>",
 *    "hashes":["<base64>",…],"served":"<base64>"}
 *
 * `hashes` is the inclusion proof (RFC 6962 section 2.1.1) of `leafHash` at `index` under the root of `checkpoint`, which
 * the keys signed. `served` holds the bytes of the bundle at that place (no bytes if the bundle ended before the entry).
 * The leaf hash of `served` differs from `leafHash`.
 *
 * The file proves which leaf the log committed to, and that `served` is not that leaf's entry. Bundles are not signed, so
 * only the author of the file vouches that the log served the bytes. Evidence against the log itself is in evidence.ts.
 */
import { checkedSize, decodeBase64, encodeBase64, equal } from './bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { type CosignaturePrimitives, checkpointVerifier } from './cosignature.ts';
import { badEvidence, parseEvidenceFile } from './evidence.ts';
import { formatVerifierKey, openNote, parseNote, parseVerifierKey, type VerifierKey } from './note.ts';
import { MAX_PROOF, verifyInclusion } from './proof.ts';
import { leafHash as leafHashOf, type Sha256, sha256 } from './rfc6962.ts';

export interface EntryEvidence {
  /** The log's keys that signed the checkpoint: one or more. */
  readonly keys: readonly VerifierKey[];
  /** The checkpoint, a signed note. */
  readonly checkpoint: string;
  /** Index of the entry, from 0. */
  readonly index: number;
  /** The leaf at `index` in the tree: 32 bytes. */
  readonly leafHash: Uint8Array;
  readonly hashes: readonly Uint8Array[];
  /** The bytes in the bundle. */
  readonly served: Uint8Array;
}

interface EntryFinding {
  readonly origin: string;
  readonly size: number;
  readonly index: number;
  readonly leafHash: Uint8Array;
  /** Leaf hash of the served bytes. */
  readonly servedHash: Uint8Array;
}

const FORMAT = 'stele-bad-entry/v1';
const MAX_KEYS = 16;

/** The start of every file of this kind. */
export const ENTRY_EVIDENCE_START = `{"format":"${FORMAT}"`;

/** @throws MerkleError `bad-evidence` if the evidence shows nothing, or an error of its note, signatures or proof */
export function verifyEntryEvidence(
  { keys, checkpoint, index, leafHash, hashes, served }: EntryEvidence,
  primitives: CosignaturePrimitives,
  hash: Sha256 = sha256,
): EntryFinding {
  const { text } = openNote(
    parseNote(checkpoint),
    keys.map((key) => checkpointVerifier(key, primitives)),
  );
  const { origin, size, root } = parseCheckpoint(text);
  verifyInclusion({ index, size, leafHash, root, hashes }, hash);
  const servedHash = leafHashOf(served, hash);
  if (equal(servedHash, leafHash)) throw badEvidence('the bytes are the entry at this index of the tree');
  return { origin, size, index, leafHash, servedHash };
}

/** One line of JSON, with its newline. */
export function formatEntryEvidence(evidence: EntryEvidence): string {
  return `${JSON.stringify({
    format: FORMAT,
    keys: evidence.keys.map(formatVerifierKey),
    checkpoint: evidence.checkpoint,
    index: evidence.index,
    leafHash: encodeBase64(evidence.leafHash),
    hashes: evidence.hashes.map(encodeBase64),
    served: encodeBase64(evidence.served),
  })}\n`;
}

/**
 * Parses a file of at most `MAX_EVIDENCE` bytes, and verifies nothing.
 * @throws MerkleError `bad-evidence` for anything that `formatEntryEvidence` would not write
 */
export function parseEntryEvidence(file: Uint8Array | string): EntryEvidence {
  return parseEvidenceFile(file, read, formatEntryEvidence);
}

/** A value of a wrong type causes a TypeError here, or fails the comparison afterwards. */
function read(value: unknown): EntryEvidence {
  const { keys, checkpoint, index, leafHash, hashes, served } = value as Record<string, unknown>;
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw badEvidence(`it has more than ${MAX_KEYS} keys`);
  if (!Array.isArray(hashes) || hashes.length > MAX_PROOF) throw badEvidence('its proof is too long');
  if (typeof checkpoint !== 'string') throw badEvidence('it has no checkpoint');
  return {
    keys: keys.map((key) => parseVerifierKey(String(key))),
    checkpoint,
    index: checkedSize(Number(index), 'index'),
    leafHash: decodeBase64(String(leafHash)),
    hashes: hashes.map((hash) => decodeBase64(String(hash))),
    served: decodeBase64(String(served)),
  };
}
