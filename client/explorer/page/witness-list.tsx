/** The witnesses of the policy, and how old their cosignatures are: the shorter a bar, the fresher its witness. */
import type { WitnessLook } from '../model/looks.ts';
import { ageWords, timeWords } from '../model/time-words.ts';
import { shownText } from './page-claim.tsx';

const DAY = 86_400_000;
/** A bar is full at an age of 30 days, half full at a good hour. */
const FULL = Math.log1p(30 * DAY);

export function WitnessList({ witnesses, now }: { readonly witnesses: readonly WitnessLook[]; readonly now: number }) {
  return (
    <ul class="ages">
      {witnesses.map(({ name, cosigned, problem }) => {
        const age = cosigned === undefined ? undefined : Math.max(0, now - cosigned);
        return (
          <li key={name} class={age !== undefined && age > DAY ? 'old' : ''} data-witness={name}>
            <b>{shownText(name, 100)}</b>{' '}
            {cosigned === undefined || age === undefined ? (
              <span class="bad">
                {problem === undefined ? 'did not cosign' : `has a cosignature that does not count: ${problem}`}
              </span>
            ) : (
              <>
                cosigned <time dateTime={new Date(cosigned).toISOString()}>{ageWords(cosigned, now)}</time>{' '}
                <span class="quiet">({timeWords(cosigned)}, by its clock)</span>
                <svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                  <rect class="track" width="100" height="4" />
                  <rect class="bar" width={Math.max(0.5, Math.min(100, (Math.log1p(age) / FULL) * 100))} height="4" />
                </svg>
              </>
            )}
          </li>
        );
      })}
    </ul>
  );
}
