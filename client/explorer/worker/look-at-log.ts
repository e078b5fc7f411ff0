/** What a log shows now, verified: its checkpoint, its witnesses, and how it stands to what this browser saw before. */
import { encodeBase64, encodeHex, equal } from '../../../merkle/bytes.ts';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { nobleNotePrimitives } from '../../../merkle/noble.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import type { PolicyWitness } from '../../../merkle/policy.ts';
import { EMPTY_ROOT } from '../../../merkle/rfc6962.ts';
import { ClientError } from '../../errors.ts';
import { openHeadWith, quorumMissingWith, quorumSeenWith } from '../../follow/open-head.ts';
import type { SignedHead } from '../../follow/types.ts';
import type { TileSource } from '../../tiles/types.ts';
import { verifyQuorum } from '../../trust/quorum.ts';
import { openInBrowser } from '../model/browser-files.ts';
import { type HeadStanding, judgeHead } from './judge-head.ts';
import { followed, newestHead } from './newest-head.ts';
import type { FailedTask, TaskContext } from './protocol.ts';
import {
  forgetSeen,
  type RememberedHead,
  readMemory,
  rememberHead,
  rememberLie,
  type Seen,
  type SeenLie,
} from './seen-store.ts';

export interface LookInput {
  readonly log: ExplorerLog;
}

/** A witness of the policy, and what its line under the checkpoint is worth. */
export interface WitnessLook {
  readonly name: string;
  /** When it cosigned, by its own clock, in ms since 1970; undefined without a cosignature that verifies. */
  readonly cosigned: number | undefined;
  /** Why its line does not count. */
  readonly problem: string | undefined;
}

/** A checkpoint that the log signed. */
export interface HeadLook {
  readonly size: number;
  /** Base64. */
  readonly root: string;
  readonly note: string;
  readonly frozen: boolean;
  /** The verifier keys that signed it. */
  readonly signedBy: readonly string[];
  /** Why it cannot be the truth although it is signed. */
  readonly lie: string | undefined;
  /** Why the quorum of the policy is missing; undefined where it is met or no policy is known. */
  readonly quorumMissing: string | undefined;
  /** When the quorum last cosigned, in ms since 1970. */
  readonly quorumSeen: number | undefined;
  readonly witnesses: readonly WitnessLook[];
}

export interface LogLook {
  /** When this browser looked, in ms since 1970. */
  readonly at: number;
  /** Undefined where `trouble` says why there is none. */
  readonly head: HeadLook | undefined;
  readonly trouble: FailedTask | undefined;
  /** The newest checkpoint that was remembered before this look, and how the one of this look stands to it. */
  readonly before: RememberedHead | undefined;
  readonly standing: HeadStanding | undefined;
  /** Why this browser could not remember, or could not read what it remembered. */
  readonly notRemembered: string | undefined;
  readonly seen: Seen;
}

const TRIES = 4;

/** @throws ClientError `cancelled` */
export async function lookAtLog({ log }: LookInput, { signal }: TaskContext): Promise<LogLook> {
  const source = openInBrowser(log.url);
  const at = Date.now();
  let [seen, notRemembered]: [Seen, string | undefined] = [{ heads: [], lies: [] }, undefined];
  try {
    seen = await readMemory(log.origin);
  } catch (error) {
    notRemembered = reasonOf(error);
  }
  const none = { at, head: undefined, standing: undefined, before: seen.heads.at(-1), notRemembered, seen };
  let head: SignedHead;
  try {
    ({ head } = await newestHead(log, signal));
  } catch (error) {
    if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
    return { ...none, trouble: { code: error.code, message: error.message } };
  }
  const look = lookAtHead(log, head);
  const isAccepted = look.quorumMissing === undefined && look.lie === undefined;
  const made: RememberedHead = {
    origin: log.origin,
    size: head.size,
    root: encodeHex(head.root),
    note: head.note,
    seen: at,
    ...(look.quorumSeen !== undefined && { cosigned: look.quorumSeen }),
  };
  for (let tries = 1; ; tries++) {
    const { before, standing } = await standingOf(log, head, seen, source, signal);
    const outcome = { at, head: look, trouble: undefined, before, standing, seen };
    if (notRemembered !== undefined) return { ...outcome, notRemembered };
    try {
      const kept = await keep(made, before, standing, isAccepted);
      seen = await readMemory(log.origin);
      if (kept || tries === TRIES) return { ...outcome, seen, notRemembered: undefined };
    } catch (error) {
      return { ...outcome, notRemembered: reasonOf(error) };
    }
  }
}

/** Forgets what this browser remembers of a log. */
export async function forgetLog({ log }: LookInput): Promise<void> {
  await forgetSeen(log.origin);
}

/** What is known of a signed checkpoint by itself. */
export function lookAtHead(log: ExplorerLog, head: SignedHead): HeadLook {
  const missing = quorumMissingWith(nobleNotePrimitives, log, head);
  const cosigned = head.plain ?? head;
  const isEmptyLie = head.size === 0 && !equal(head.root, EMPTY_ROOT);
  return {
    size: head.size,
    root: encodeBase64(head.root),
    note: head.note,
    frozen: head.frozen,
    signedBy: head.keys.map(formatVerifierKey),
    lie: isEmptyLie ? 'it is of no entries, and has a root that the empty tree does not have' : undefined,
    quorumMissing: missing,
    quorumSeen: missing === undefined ? quorumSeenWith(nobleNotePrimitives, log, cosigned) : undefined,
    witnesses: (log.policy?.witnesses ?? []).map((witness) => lookAtWitness(witness, cosigned)),
  };
}

/** How the checkpoint stands to the newest one that is remembered and still verifies. */
async function standingOf(log: ExplorerLog, head: SignedHead, seen: Seen, source: TileSource, signal: AbortSignal) {
  const before = seen.heads.at(-1);
  if (before === undefined) return { before, standing: undefined };
  let remembered: SignedHead;
  try {
    remembered = openHeadWith(nobleNotePrimitives, followed(log), before.note);
  } catch {
    const why =
      'the remembered checkpoint is not by the keys in explorer.json: they were changed. Forget it to begin anew';
    return { before, standing: { stands: 'unclear', why } as const };
  }
  return { before, standing: await judgeHead(remembered, head, source, signal) };
}

/** @returns false where another tab was first */
async function keep(
  made: RememberedHead,
  before: RememberedHead | undefined,
  standing: HeadStanding | undefined,
  isAccepted: boolean,
): Promise<boolean> {
  const stands = standing?.stands;
  if (before !== undefined && (stands === 'fork' || stands === 'went-back' || stands === 'grew-after-freeze')) {
    const id = `${stands} ${before.size} ${before.root} ${made.size} ${made.root}`;
    const lie: SeenLie = {
      origin: made.origin,
      id,
      kind: stands,
      seen: made.seen,
      before: before.note,
      after: made.note,
      ...('evidence' in standing! && { evidence: standing.evidence }),
    };
    await rememberLie(lie);
    return true;
  }
  // What is remembered must continue what is remembered.
  const isKept = isAccepted && (stands === undefined || stands === 'continues');
  return isKept ? await rememberHead(made, before) : true;
}

function lookAtWitness(witness: PolicyWitness, { signed }: SignedHead): WitnessLook {
  const alone = { logs: [], witnesses: [witness], groups: [], quorum: undefined };
  try {
    const [line] = verifyQuorum(alone, signed, nobleNotePrimitives);
    return { name: witness.name, cosigned: line && line.timestamp * 1000, problem: undefined };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { name: witness.name, cosigned: undefined, problem: error.message };
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof ClientError && error.code === 'state') return error.message;
  throw error;
}
