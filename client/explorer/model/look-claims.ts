/** What a look at the log shows, as claims. */
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from './claims.ts';
import type { HeadLook, HeadStanding, LogLook, MemoryLook, RememberedHead } from './looks.ts';
import { numberWords, timeWords } from './time-words.ts';

/** Codes of a log that is not there, which shows nothing wrong with it. */
const AWAY = ['network', 'unavailable', 'refused', 'bad-reply'];

export function claimsOfLook(log: ExplorerLog, look: LogLook): PageClaim[] {
  const { head, trouble } = look;
  const claims = trouble === undefined ? [] : [claimOfTrouble(look)];
  if (head !== undefined) claims.push(...claimsOfHead(log, head));
  return [...claims, ...claimsOfMemory(look)];
}

/** What a checkpoint is worth by itself. */
export function claimsOfHead(log: ExplorerLog, head: HeadLook, what = 'its newest checkpoint'): PageClaim[] {
  const { size, frozen, lie, quorumMissing } = head;
  const claims: PageClaim[] = [];
  if (lie !== undefined) return [claimFailed(`The log signed ${what}`, lie)];
  claims.push(
    claimChecked(
      `The log signed ${what}, of ${numberWords(size)} ${size === 1 ? 'entry' : 'entries'}`,
      `The signature verifies with ${head.signedBy.join(', ')}.`,
    ),
  );
  if (quorumMissing !== undefined) claims.push(claimFailed('The quorum of the witnesses', quorumMissing));
  else if (log.policy?.quorum === undefined) {
    claims.push(
      claimNotChecked('A quorum of witnesses', 'explorer.json asks for none: the log may show others another history'),
    );
  } else {
    const counted = head.witnesses.filter(({ cosigned }) => cosigned !== undefined).length;
    claims.push(
      claimChecked(
        'The quorum of the witnesses cosigned it',
        `${counted} of ${head.witnesses.length} witnesses of the policy did.`,
      ),
    );
  }
  if (frozen)
    claims.push(claimChecked('The log is frozen', 'Its signed checkpoint says that it takes no more entries.'));
  return claims;
}

function claimOfTrouble({ trouble, before }: LogLook): PageClaim {
  const { code, message } = trouble!;
  if (code === 'missing' && before !== undefined && before.size > 0) {
    return claimFailed(
      'The newest checkpoint',
      `The log shows none any more, and this browser saw one of ${numberWords(before.size)} entries at ${timeWords(before.seen)}.`,
    );
  }
  if (code === 'missing') return claimNotChecked('The newest checkpoint', 'The log has published none yet.');
  if (AWAY.includes(code)) return claimNotChecked('The newest checkpoint', `The log cannot be read now: ${message}`);
  return claimFailed('The newest checkpoint', message);
}

/** How the newest checkpoint stands to what this browser saw before. */
export function claimsOfMemory({ before, standing, notRemembered }: MemoryLook): PageClaim[] {
  const claims = before === undefined || standing === undefined ? [] : [claimOfStanding(before, standing)];
  if (notRemembered === undefined) return claims;
  return [...claims, claimNotChecked('What this browser saw before', `It could not remember: ${notRemembered}`)];
}

function claimOfStanding(before: RememberedHead, standing: HeadStanding): PageClaim {
  const what = `The log goes on from what this browser saw at ${timeWords(before.seen)}, of ${numberWords(before.size)} entries`;
  switch (standing.stands) {
    case 'same':
      return claimChecked('The log shows the tree that this browser saw before', `Seen at ${timeWords(before.seen)}.`);
    case 'continues':
      return claimChecked(
        what,
        'The proof that the older tree is the beginning of the newer one was computed from the tiles of the log.',
      );
    case 'went-back':
      return claimFailed(what, 'It shows a smaller tree now: it went back, or a cache on the way is old.');
    case 'fork':
      return claimFailed(
        what,
        'It signed two histories: no tree begins with both. The evidence stands with the state of the log.',
      );
    case 'grew-after-freeze':
      return claimFailed(
        what,
        'It signed a larger tree after it had said that it is frozen. The evidence stands with the state of the log.',
      );
    case 'unclear':
      return claimNotChecked(what, standing.why);
  }
}
