/** Two checkpoints side by side: of one log, both verified, and the one the beginning of the other, or two histories. */

import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import type { ExplorerConfig, ExplorerLog } from '../../../merkle/explorer-config.ts';
import { nobleNotePrimitives } from '../../../merkle/noble.ts';
import { MAX_NOTE, parseNote } from '../../../merkle/note.ts';
import { printable } from '../../../merkle/printable.ts';
import { ClientError } from '../../errors.ts';
import { openHeadWith } from '../../follow/open-head.ts';
import type { SignedHead } from '../../follow/types.ts';
import { openInBrowser } from '../model/browser-files.ts';
import type { HeadLook, HeadStanding } from '../model/looks.ts';
import { judgeHead } from './judge-head.ts';
import { lookAtHead } from './look-at-log.ts';
import { followed } from './newest-head.ts';
import type { TaskContext } from './protocol.ts';

export interface CompareInput {
  readonly config: ExplorerConfig;
  readonly first: string;
  readonly second: string;
}

/** One of the two: what is known of it by itself, or why nothing is. */
export type ComparedSide = { readonly log: ExplorerLog; readonly head: HeadLook } | { readonly why: string };

export interface Compared {
  readonly sides: readonly [ComparedSide, ComparedSide];
  /** How the one with more entries stands to the other; undefined where one did not verify, or they are of two logs. */
  readonly standing: HeadStanding | undefined;
}

/** @throws ClientError `cancelled` */
export async function compareCheckpoints(
  { config, first, second }: CompareInput,
  { signal }: TaskContext,
): Promise<Compared> {
  const opened = [open(config, first), open(config, second)] as const;
  const sides = opened.map((one) => ('why' in one ? one : { log: one.log, head: lookAtHead(one.log, one.head) }));
  const [a, b] = opened;
  const pair = sides as [ComparedSide, ComparedSide];
  if ('why' in a || 'why' in b || a.log.origin !== b.log.origin) return { sides: pair, standing: undefined };
  const [older, newer] = a.head.size <= b.head.size ? [a.head, b.head] : [b.head, a.head];
  return { sides: pair, standing: await judgeHead(older, newer, openInBrowser(a.log.url), signal) };
}

type Opened = { readonly log: ExplorerLog; readonly head: SignedHead } | { readonly why: string };

function open(config: ExplorerConfig, given: string): Opened {
  try {
    if (given.length > MAX_NOTE) return { why: `it is longer than ${MAX_NOTE} characters, as no checkpoint is` };
    const note = withEnd(given);
    const { origin } = parseCheckpoint(parseNote(note).text);
    const log = config.logs.find((one) => one.origin === origin);
    if (log === undefined) return { why: `it is of the log "${printable(origin)}", which explorer.json does not have` };
    return { log, head: openHeadWith(nobleNotePrimitives, followed(log), note) };
  } catch (error) {
    if (error instanceof MerkleError) return { why: `it is no checkpoint: ${error.message}` };
    if (error instanceof ClientError) return { why: error.message };
    throw error;
  }
}

/** What was copied from a terminal or a page often lacks the last line end, or has more of them. */
function withEnd(text: string): string {
  return `${text.replaceAll('\r\n', '\n').trim()}\n`;
}
