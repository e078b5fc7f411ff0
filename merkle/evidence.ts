/**
 * Evidence that a log has shown two histories. A reader need not trust the finder: the log signed both checkpoints, and
 * the two cannot both be true. The format is Stele's own, one JSON object on one line:
 *
 *   {"format":"stele-evidence/v1","keys":["<vkey>",…],"first":"<note>","second":"<note>"}
 *   {"format":"stele-evidence/v1","keys":["<vkey>",…],"first":"<note>","second":"<note>",
 *    "proof":{"root":"<base64>","hashes":["<base64>",…]}}
 *
 * - Without `proof`, both checkpoints have one size, and different roots.
 * - With `proof`, `first` is the smaller checkpoint, of size n. `proof.hashes` is a valid consistency proof (RFC 6962
 *   section 2.1.2) from (n, `proof.root`) to `second`, but `proof.root` is not the root of `first`. So the first n entries
 *   of the tree of `second` are not the entries of `first`.
 * - Without `proof`, `first` may also say that the log is frozen, while `second` is larger. The log then broke its promise,
 *   even if the two trees are consistent.
 *
 * A proof that fails to verify is not evidence: anybody can send a genuine checkpoint with a random proof.
 *
 * The reader must check whether `keys` are the keys of the log.
 */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, equal } from './bytes.ts';
import { type Checkpoint, isFrozen, parseCheckpoint } from './checkpoint.ts';
import { type CosignaturePrimitives, checkpointVerifier, coversExtensions } from './cosignature.ts';
import { MerkleError } from './errors.ts';
import { formatVerifierKey, openNote, parseNote, parseVerifierKey, type VerifierKey } from './note.ts';
import { consistencyRoots, MAX_PROOF, verifyConsistency } from './proof.ts';
import { type Sha256, sha256 } from './rfc6962.ts';

export interface Evidence {
  /** The log's keys that signed the two checkpoints: one or more. */
  readonly keys: readonly VerifierKey[];
  /** Signed checkpoints, as notes. */
  readonly first: string;
  readonly second: string;
  readonly proof?: { readonly root: Uint8Array; readonly hashes: readonly Uint8Array[] };
}

export interface EvidenceFinding {
  readonly origin: string;
  readonly kind: 'two-roots' | 'two-histories' | 'grew-after-freeze';
  readonly firstSize: number;
  readonly secondSize: number;
  /** The keys of the evidence that signed the first checkpoint, and the keys that signed the second. */
  readonly firstKeys: readonly VerifierKey[];
  readonly secondKeys: readonly VerifierKey[];
}

/** Longest file that is accepted, in bytes: two notes of up to 1 MiB with JSON's escapes, and a proof. */
export const MAX_EVIDENCE = 4 * 1024 * 1024;
const FORMAT = 'stele-evidence/v1';
const MAX_KEYS = 16;

/** @throws MerkleError `bad-evidence` if the evidence shows nothing, or an error of its notes, signatures or proof */
export function verifyEvidence(
  evidence: Evidence,
  primitives: CosignaturePrimitives,
  hash: Sha256 = sha256,
): EvidenceFinding {
  const { keys, proof } = evidence;
  const first = open(evidence.first, keys, primitives);
  const second = open(evidence.second, keys, primitives);
  const { origin } = first.checkpoint;
  if (second.checkpoint.origin !== origin) throw badEvidence('its checkpoints are of different logs');
  const found = {
    origin,
    firstSize: first.checkpoint.size,
    secondSize: second.checkpoint.size,
    firstKeys: first.keys,
    secondKeys: second.keys,
  };
  if (proof === undefined) {
    // Anybody can add the line to a checkpoint that only a key signed which does not cover it.
    const saysFrozen = isFrozen(first.checkpoint) && first.keys.some(coversExtensions);
    if (saysFrozen && found.secondSize > found.firstSize) return { ...found, kind: 'grew-after-freeze' };
    if (found.firstSize !== found.secondSize) throw badEvidence('its checkpoints are of different sizes');
    if (equal(first.checkpoint.root, second.checkpoint.root)) throw badEvidence('its checkpoints have the same root');
    return { ...found, kind: 'two-roots' };
  }
  if (equal(first.checkpoint.root, proof.root))
    throw badEvidence('its proof starts from the root of the first checkpoint');
  // Every tree extends the empty tree, and two trees of one size need no proof.
  if (found.firstSize === 0 || found.firstSize >= found.secondSize)
    throw badEvidence('its first checkpoint is not the smaller one');
  verifyConsistency(
    {
      first: found.firstSize,
      second: found.secondSize,
      firstRoot: proof.root,
      secondRoot: second.checkpoint.root,
      hashes: proof.hashes,
    },
    hash,
  );
  return { ...found, kind: 'two-histories' };
}

/**
 * Derives the `proof` of `Evidence` from a consistency proof that did not verify. Undefined if the consistency proof shows
 * nothing, as every proof from a size that is a power of two, because such a proof does not contain the first root.
 */
export function proofOfFork(
  first: Pick<Checkpoint, 'size' | 'root'>,
  second: Pick<Checkpoint, 'size' | 'root'>,
  hashes: readonly Uint8Array[],
  hash: Sha256 = sha256,
): NonNullable<Evidence['proof']> | undefined {
  let roots: { readonly firstRoot: Uint8Array; readonly secondRoot: Uint8Array };
  try {
    roots = consistencyRoots({ first: first.size, second: second.size, firstRoot: first.root, hashes }, hash);
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
  if (!equal(roots.secondRoot, second.root) || equal(roots.firstRoot, first.root)) return undefined;
  return { root: roots.firstRoot, hashes };
}

/** One line of JSON, with its newline. */
export function formatEvidence({ keys, first, second, proof }: Evidence): string {
  const proofText = proof && { root: encodeBase64(proof.root), hashes: proof.hashes.map(encodeBase64) };
  return `${JSON.stringify({
    format: FORMAT,
    keys: keys.map(formatVerifierKey),
    first,
    second,
    ...(proofText !== undefined && { proof: proofText }),
  })}\n`;
}

/**
 * Parses evidence of at most `MAX_EVIDENCE` bytes, and verifies nothing.
 * @throws MerkleError `bad-evidence` for anything that `formatEvidence` would not write
 */
export function parseEvidence(file: Uint8Array | string): Evidence {
  return parseEvidenceFile(file, read, formatEvidence);
}

/** Parses evidence of any kind with `read`. @throws MerkleError `bad-evidence` for what `format` would not write */
export function parseEvidenceFile<T>(
  file: Uint8Array | string,
  read: (value: unknown) => T,
  format: (evidence: T) => string,
): T {
  if (file.length > MAX_EVIDENCE) throw badEvidence(`it is longer than ${MAX_EVIDENCE} bytes`);
  let evidence: T;
  let text: string;
  try {
    text = decodeUtf8(typeof file === 'string' ? encodeUtf8(file) : file);
    evidence = read(JSON.parse(text));
  } catch (cause) {
    throw badEvidence('this version of Stele does not write such a file', cause);
  }
  if (format(evidence) === text) return evidence;
  throw badEvidence('its JSON has other fields, another order or other white space');
}

/** A value of a wrong type causes a TypeError here, or fails the comparison afterwards. */
function read(value: unknown): Evidence {
  const { keys, first, second, proof } = value as Record<string, unknown>;
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw badEvidence(`it has more than ${MAX_KEYS} keys`);
  if (typeof first !== 'string' || typeof second !== 'string') throw badEvidence('it has no checkpoints');
  const evidence = { keys: keys.map((key) => parseVerifierKey(String(key))), first, second };
  if (proof === undefined) return evidence;
  const { root, hashes } = proof as Record<string, unknown>;
  if (!Array.isArray(hashes) || hashes.length > MAX_PROOF) throw badEvidence('its proof is too long');
  return {
    ...evidence,
    proof: { root: decodeBase64(String(root)), hashes: hashes.map((hash) => decodeBase64(String(hash))) },
  };
}

function open(note: string, keys: readonly VerifierKey[], primitives: CosignaturePrimitives) {
  const verifiers = keys.map((key) => checkpointVerifier(key, primitives));
  const { text, verified } = openNote(parseNote(note), verifiers);
  const signers = keys.filter((key) => verified.some((it) => it.name === key.name && equal(it.keyId, key.keyId)));
  return { checkpoint: parseCheckpoint(text), keys: signers };
}

export function badEvidence(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-evidence', `the evidence is wrong: ${why}`, { cause });
}
