/**
 * The checkpoint of this log that a witness holds: `GET <prefix>/<origin hash>/checkpoint` of c2sp.org/tlog-witness; and
 * whether the committed tree extends it. Only a checkpoint that the log's own key signed counts. A witness can name any size.
 */
import { decodeUtf8, equal } from '../../merkle/bytes.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { checkpointVerifier, verifyCosignature } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { openNote, parseNote, type VerifierKey } from '../../merkle/note.ts';
import type { PolicyWitness } from '../../merkle/policy.ts';
import { verifyConsistency } from '../../merkle/proof.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { originHash } from '../../merkle/witness.ts';
import { ServerError } from '../errors.ts';
import type { TreeReader } from '../tree/reader.ts';
import type { Endpoint } from './policy.ts';
import { type Failed, isFailed, type WitnessClient } from './witness-client.ts';

/** The log itself: its origin and its keys. */
interface OwnLog {
  readonly origin: string;
  readonly keys: readonly VerifierKey[];
}

export interface HeldHead {
  readonly size: number;
  readonly root: Uint8Array;
  /** The note that proves it. */
  readonly note: string;
}

/** Whether the witness works and shows no checkpoint to anybody, as c2sp.org/tlog-witness allows. */
export function showsNone(head: HeldHead | undefined | Failed): boolean {
  return head === undefined || (isFailed(head) && isClientError(head.status));
}

function isClientError(status = 0): boolean {
  return status >= 400 && status < 500 && status !== 429;
}

/** The witnesses behind an endpoint whose cosignatures on the checkpoint verify. */
export function cosignersOf({ note }: HeldHead, { witnesses }: Endpoint): PolicyWitness[] {
  const { text, signatures } = parseNote(note);
  return witnesses.filter(({ key }) =>
    signatures.some(({ name, keyId, signature }) => {
      if (name !== key.name || !equal(keyId, key.keyId)) return false;
      try {
        verifyCosignature(key, text, signature, nodeNotePrimitives);
        return true;
      } catch (error) {
        if (error instanceof MerkleError) return false;
        throw error;
      }
    }),
  );
}

/** The newest checkpoint of this log that the witness shows; undefined if it has no checkpoint. */
export async function fetchHead(
  client: WitnessClient,
  endpoint: Endpoint,
  own: OwnLog,
  timeoutMs: number,
): Promise<HeldHead | undefined | Failed> {
  const path = `${originHash(own.origin)}/checkpoint`;
  const reply = await client.call({ method: 'GET', endpoint, path, timeoutMs });
  if (isFailed(reply)) return reply;
  if (reply.status === 404) return undefined;
  if (reply.status !== 200) {
    const text = `answered ${reply.status} to the request for its checkpoint`;
    return { reason: 'refused', text, status: reply.status };
  }
  try {
    const verifiers = own.keys.map((key) => checkpointVerifier(key, nodeNotePrimitives));
    const { origin, size, root } = parseCheckpoint(openNote(parseNote(reply.body), verifiers).text);
    if (origin === own.origin) return { size, root, note: decodeUtf8(reply.body) };
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
  }
  return { reason: 'bad-reply', text: 'shows a checkpoint that this log did not sign' };
}

/**
 * Why the log must stop; undefined if `tree` extends the checkpoint that the witness holds.
 * @throws ServerError `corrupt` if the tree's own files do not fit together, which says nothing about the witness; `store`
 */
export async function conflictWith(name: string, head: HeldHead, tree: TreeReader): Promise<ServerError | undefined> {
  const { size } = tree.snapshot;
  if (head.size > size) {
    return new ServerError(
      'rollback',
      `the witness ${name} holds a checkpoint of ${head.size} entries that this log signed, and the committed tree has ` +
        `${size}: the data directory is an old copy, and signing on from it would show two histories. Restore the ` +
        'newest state with `stele log restore`.',
    );
  }
  const root = await tree.rootAt(head.size);
  if (equal(root, head.root)) return undefined;
  await checkFiles(tree, head.size, root);
  return new ServerError(
    'rollback',
    `the witness ${name} holds a checkpoint of ${head.size} entries that this log signed, and the committed tree has ` +
      'another root at that size: two histories were signed with this key. Find out which programs had the key before ' +
      'anything is signed with it again.',
  );
}

/** A damaged tile gives another root too. Only a root that leads to the committed tree is the log's own. */
async function checkFiles(tree: TreeReader, first: number, firstRoot: Uint8Array): Promise<void> {
  const { size: second, root: secondRoot } = tree.snapshot;
  try {
    const hashes = await tree.consistencyProof(first, second);
    verifyConsistency({ first, second, firstRoot, secondRoot, hashes }, fastSha256);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ServerError(
      'corrupt',
      `the files of the first ${first} entries do not lead to the committed tree: one was changed or lost. \`stele log ` +
        'check` names it; restore from a backup with `stele log restore`.',
      { cause },
    );
  }
}

/**
 * The newest checkpoint of this log at each endpoint, in the order of the endpoints.
 * @throws ServerError `rollback` if `tree` does not extend one of them; as `conflictWith`
 */
export async function checkHeads(
  client: WitnessClient,
  endpoints: readonly Endpoint[],
  own: OwnLog,
  timeoutMs: number,
  tree: TreeReader,
): Promise<{ readonly name: string; readonly head: HeldHead | undefined | Failed }[]> {
  const heads = await Promise.all(
    endpoints.map(async (endpoint) => ({
      name: endpoint.name,
      head: await fetchHead(client, endpoint, own, timeoutMs),
    })),
  );
  for (const { name, head } of heads) {
    if (head === undefined || isFailed(head)) continue;
    const conflict = await conflictWith(name, head, tree);
    if (conflict !== undefined) throw conflict;
  }
  return heads;
}
