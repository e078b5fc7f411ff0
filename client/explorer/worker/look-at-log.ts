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
import type {
  HeadLook,
  HeadStanding,
  LogLook,
  MemoryLook,
  RememberedHead,
  Seen,
  SeenLie,
  WitnessLook,
} from '../model/looks.ts';
import { judgeHead } from './judge-head.ts';
import { followed, newestHead } from './newest-head.ts';
import type { TaskContext } from './protocol.ts';
import { forgetSeen, readMemory, rememberHead, rememberLie } from './seen-store.ts';

export interface LookInput {
  readonly log: ExplorerLog;
}

/** The newest checkpoint of a log, and what it is worth. */
export interface NewestLook extends MemoryLook {
  readonly at: number;
  readonly head: SignedHead;
  readonly look: HeadLook;
}

const TRIES = 4;

/** @throws ClientError `cancelled` */
export async function lookAtLog({ log }: LookInput, { signal }: TaskContext): Promise<LogLook> {
  try {
    const { look, at, before, standing, notRemembered, seen } = await lookAtNewest(log, signal);
    return { at, head: look, trouble: undefined, before, standing, notRemembered, seen };
  } catch (error) {
    if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
    const { seen, notRemembered } = await readSeen(log.origin);
    const trouble = { code: error.code, message: error.message };
    const before = seen.heads.at(-1);
    return { at: Date.now(), head: undefined, trouble, before, standing: undefined, notRemembered, seen };
  }
}

/**
 * The newest checkpoint, compared with what this browser saw before, and remembered where it may be. What was seen is read before the
 * log is asked, so a log that only grows never shows less, whatever other tabs do meanwhile. Where another tab has remembered
 * something in between, all of it is done again.
 *
 * @throws ClientError as `newestHead`
 */
export async function lookAtNewest(log: ExplorerLog, signal: AbortSignal): Promise<NewestLook> {
  for (let tries = 1; ; tries++) {
    const { seen, notRemembered } = await readSeen(log.origin);
    const at = Date.now();
    const { head } = await newestHead(log, signal);
    const look = lookAtHead(log, head);
    const { before, standing } = await standingOf(log, head, seen, openInBrowser(log.url), signal);
    const outcome = { at, head, look, before, standing, seen, notRemembered };
    if (notRemembered !== undefined) return outcome;
    const made: RememberedHead = {
      origin: log.origin,
      size: head.size,
      root: encodeHex(head.root),
      note: head.note,
      seen: at,
      ...(look.quorumSeen !== undefined && { cosigned: look.quorumSeen }),
    };
    try {
      const isAccepted = look.quorumMissing === undefined && look.lie === undefined;
      const kept = await keep(made, before, standing, isAccepted);
      if (kept || tries === TRIES) return { ...outcome, seen: await readMemory(log.origin) };
    } catch (error) {
      return { ...outcome, notRemembered: reasonOf(error) };
    }
  }
}

async function readSeen(origin: string): Promise<Pick<MemoryLook, 'seen' | 'notRemembered'>> {
  try {
    return { seen: await readMemory(origin), notRemembered: undefined };
  } catch (error) {
    return { seen: { heads: [], lies: [] }, notRemembered: reasonOf(error) };
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
