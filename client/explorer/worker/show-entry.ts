/** One entry of the log as it is now: its way up to the checkpoint that was verified, and what it says. */

import { encodeUtf8 } from '../../../merkle/bytes.ts';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { ClientError } from '../../errors.ts';
import type { SignedHead } from '../../follow/types.ts';
import { counted } from '../../formats/counted.ts';
import { quorumTime, verifyQuorum } from '../../trust/quorum.ts';
import { parseTrustedRoots, type TrustedRoot } from '../../trust/trusted-root.ts';
import { openInBrowser } from '../model/browser-files.ts';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from '../model/claims.ts';
import { type ProvenEntry, proveEntry } from '../model/entry-proof.ts';
import { type EntryWords, entryWords } from '../model/entry-words.ts';
import { claimsOfMemory } from '../model/look-claims.ts';
import { lookAtNewest } from './look-at-log.ts';
import type { TaskContext } from './protocol.ts';

export interface EntryInput {
  readonly log: ExplorerLog;
  readonly index: number;
}

export interface ShownEntry {
  readonly entry: ProvenEntry;
  readonly words: EntryWords;
  readonly size: number;
  readonly root: Uint8Array;
  /** The checkpoint, its quorum, the way, and the times. */
  readonly claims: readonly PageClaim[];
}

/** @throws ClientError as `lookAtNewest` and `proveEntry` */
export async function showEntry({ log, index }: EntryInput, context: TaskContext): Promise<ShownEntry> {
  const newest = await lookAtNewest(log, context.signal);
  const { head } = newest;
  const entry = await proveEntry(openInBrowser(log.url), head, index, context.signal);
  const { quorumMissing } = newest.look;
  const seenBy = quorumMissing === undefined ? seenByQuorum(log, head.plain ?? head) : undefined;
  const { trustedRoot, claim } = readTrustedRoot(log);
  const proven = entry.way.holds;
  // What is not in the tree has no time.
  const words = entryWords(entry.body, { trustedRoot, seenBy: proven ? seenBy : undefined }, noblePrimitives);
  const claims = [
    claimChecked('The log signed the checkpoint', `it is of ${counted(head.size, 'entry', 'entries')}`),
    quorumClaim(log, quorumMissing),
    ...claimsOfMemory(newest),
    wayClaim(entry),
    ...(proven ? [timeClaim(seenBy)] : []),
    ...(claim === undefined ? [] : [claim]),
  ];
  return { entry, words, size: head.size, root: head.root, claims };
}

export function quorumClaim({ policy }: Pick<ExplorerLog, 'policy'>, missing: string | undefined): PageClaim {
  const what = 'The quorum of witnesses cosigned the checkpoint';
  if (policy?.quorum === undefined) {
    return claimNotChecked(what, 'explorer.json names no quorum for this log, so it may show others another tree');
  }
  return missing === undefined ? claimChecked(what) : claimFailed(what, missing);
}

function wayClaim({ way, hashes }: ProvenEntry): PageClaim {
  const what = 'The entry is in the tree of the checkpoint';
  if (way.holds) return claimChecked(what, `its hash leads to the root in ${hashes.length} steps, each computed here`);
  const { at, above } = way.fault!;
  if (at === 0) {
    const why = 'what the log serves as this entry is not what its tree has there: another text, or another place';
    return claimFailed(what, why);
  }
  const from = above < 0 ? 'the leaf' : `step ${above}`;
  return claimFailed(
    what,
    `the way goes wrong between ${from} and step ${at}: a hash there is not the one of the tree`,
  );
}

function timeClaim(seenBy: number | undefined): PageClaim {
  const what = 'The time by which the entry was in the log';
  if (seenBy === undefined) {
    return claimNotChecked(what, 'an entry holds no time, and no quorum of witnesses says when it saw the tree');
  }
  return claimChecked(
    what,
    `the quorum had cosigned the tree by ${new Date(seenBy).toISOString()}; it may have been there for any time before`,
  );
}

/** The least time by which the quorum had cosigned, in ms since 1970. */
function seenByQuorum({ policy }: ExplorerLog, { signed }: Pick<SignedHead, 'signed'>): number | undefined {
  if (policy?.quorum === undefined) return undefined;
  const seconds = quorumTime(policy, verifyQuorum(policy, signed, noblePrimitives.cosignature));
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The trusted root of explorer.json, where it can be read. */
export function readTrustedRoot({ trustedRoot }: ExplorerLog): {
  readonly trustedRoot: TrustedRoot | undefined;
  readonly claim: PageClaim | undefined;
} {
  if (trustedRoot === undefined) return { trustedRoot: undefined, claim: undefined };
  try {
    const [root] = parseTrustedRoots(encodeUtf8(JSON.stringify(trustedRoot)));
    return { trustedRoot: root, claim: undefined };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { trustedRoot: undefined, claim: claimFailed('The trusted root in explorer.json can be read', error) };
  }
}
