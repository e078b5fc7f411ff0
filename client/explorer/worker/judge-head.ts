/** How a checkpoint stands to one of the same log that was seen before: computed from the log's tiles, which prove themselves. */
import { formatEvidence } from '../../../merkle/evidence.ts';
import { nobleNotePrimitives } from '../../../merkle/noble.ts';
import { sha256 } from '../../../merkle/rfc6962.ts';
import { ClientError } from '../../errors.ts';
import { checkedEvidenceWith, compareTreesWith, keysOf } from '../../follow/compare-trees.ts';
import { standing } from '../../follow/open-head.ts';
import type { SignedHead } from '../../follow/types.ts';
import { tilesOf } from '../../tiles/tree-proofs.ts';
import type { TileSource } from '../../tiles/types.ts';
import type { HeadStanding } from '../model/looks.ts';

const PRIMITIVES = { sha256, notes: nobleNotePrimitives };

/**
 * How `after` stands to `before`.
 *
 * @throws ClientError `cancelled`
 */
export async function judgeHead(
  before: SignedHead,
  after: SignedHead,
  source: TileSource,
  signal: AbortSignal,
): Promise<HeadStanding> {
  const stands = standing(before, after);
  if (stands === 'same') return { stands };
  if (stands === 'larger' && before.frozen) {
    const evidence = checkedEvidenceWith(PRIMITIVES, {
      keys: keysOf(before, after),
      first: before.own,
      second: after.own,
    });
    if (evidence !== undefined) return { stands: 'grew-after-freeze', evidence: formatEvidence(evidence) };
  }
  const [older, newer] = stands === 'smaller' ? [after, before] : [before, after];
  try {
    const evidence = await compareTreesWith(PRIMITIVES, older, newer, tilesOf(source, signal));
    if (evidence !== undefined) return { stands: 'fork', evidence: formatEvidence(evidence) };
    return { stands: stands === 'smaller' ? 'went-back' : 'continues' };
  } catch (error) {
    if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
    // A log that went back no longer has the tiles that would show a fork.
    return stands === 'smaller' ? { stands: 'went-back' } : { stands: 'unclear', why: error.message };
  }
}
