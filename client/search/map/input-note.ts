/** The checkpoints of the two logs: what goes into a leaf, and why one is not taken. */
import { MAX_ENTRY } from '../../../merkle/bundle.ts';
import { formatNote } from '../../../merkle/note.ts';
import { ClientError } from '../../errors.ts';
import type { Fact, FollowedLog, SignedHead } from '../../follow/types.ts';
import { isBy } from '../../trust/quorum.ts';
import { MapHalt } from './map-halt.ts';

/** Bytes of a checkpoint that fit into a leaf. */
const LONGEST_NOTE = MAX_ENTRY - 256;

/**
 * The accepted checkpoint as a leaf holds it: with all its signatures, or with those of the log and of the policy alone where
 * others would make the leaf too long. @throws ClientError `unsupported`: these are too long
 */
export function inputNote({ keys, policy }: FollowedLog, head: SignedHead): string {
  // The plain checkpoint of a frozen log is the one with the quorum.
  const { note, signed } = head.plain ?? head;
  if (note.length <= LONGEST_NOTE) return note;
  const known = [...keys, ...(policy?.witnesses ?? []).map(({ key }) => key)];
  const own = signed.signatures.filter((signature) => known.some((key) => isBy(signature, key)));
  const short = formatNote(signed.text, own);
  if (short.length <= LONGEST_NOTE) return short;
  throw new ClientError('unsupported', `the checkpoint of the input log has ${note.length} bytes, too many for a leaf`);
}

/** Why a log is not followed further. What is not proven may pass. */
export function followRefusal(which: 'input' | 'output', fact: Fact): MapHalt | ClientError {
  const what = `the ${which} log cannot be followed (${fact.type})`;
  if (fact.proven) return new MapHalt(`${which}-lies`, `${what}: it has signed what contradicts itself`);
  if (fact.type === 'quorum-missing') return new ClientError('quorum', `${what}: ${fact.why}`);
  return new ClientError('corrupt', what);
}
