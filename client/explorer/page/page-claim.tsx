/**
 * What the page says about something, and how it knows. Nothing is shown as true that was not checked here.
 *
 *     <ClaimLine claim={claimChecked('The log signed this checkpoint')} />
 *     <ClaimLine claim={claimFailed('The quorum of witnesses', 'two of three are missing')} />
 *     <ClaimLine claim={claimNotChecked('The certificate', 'explorer.json has no trusted root')} />
 *
 * All texts are shown as text. A text of others goes through `shownText` first.
 */
import type { ComponentChildren } from 'preact';
import { printable } from '../../../merkle/printable.ts';
import type { PageClaim } from '../model/claims.ts';

/** A text of others for the page: control characters and marks that turn the direction are escaped, and it is cut at `most`. */
export function shownText(text: string, most = 500): string {
  const cut = text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text;
  return printable(cut);
}

const WORDS = { checked: 'Checked', failed: 'Failed', 'not-checked': 'Not checked' } as const;
const MARKS = { checked: '✓', failed: '✗', 'not-checked': '?' } as const;

export function ClaimLine({ claim, children }: { readonly claim: PageClaim; readonly children?: ComponentChildren }) {
  const { state, what } = claim;
  const more = state === 'checked' ? claim.how : claim.why;
  return (
    <div class={`claim ${state}`} data-claim={state} {...(state === 'failed' && { role: 'alert' })}>
      <span class="mark" aria-hidden="true">
        {MARKS[state]}
      </span>
      <div>
        <p>
          <b class="state">{WORDS[state]}:</b> {what}
        </p>
        {more !== undefined && <p class="why">{more}</p>}
        {children}
      </div>
    </div>
  );
}

/** Several claims, those that failed first. */
export function ClaimList({ claims, label }: { readonly claims: readonly PageClaim[]; readonly label: string }) {
  const order = ['failed', 'not-checked', 'checked'];
  const sorted = claims.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  return (
    <ul class="claims" aria-label={label}>
      {sorted.map((claim, i) => (
        <li key={`${i} ${claim.what}`}>
          <ClaimLine claim={claim} />
        </li>
      ))}
    </ul>
  );
}
