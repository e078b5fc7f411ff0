/** What the page says about something, and how it knows: plain data, so that a worker hands it to the page. */
import { CodedError } from '../../../merkle/errors.ts';

export type PageClaim =
  | { readonly state: 'checked'; readonly what: string; readonly how?: string | undefined }
  | { readonly state: 'failed'; readonly what: string; readonly why: string }
  | { readonly state: 'not-checked'; readonly what: string; readonly why: string };

export function isChecked(what: string, how?: string): PageClaim {
  return { state: 'checked', what, how };
}

/** @param why a text, or an error whose message is for people */
export function hasFailed(what: string, why: string | CodedError<string, unknown>): PageClaim {
  return { state: 'failed', what, why: typeof why === 'string' ? why : why.message };
}

export function isUnchecked(what: string, why: string): PageClaim {
  return { state: 'not-checked', what, why };
}

/** The claim of what `check` returns, or that it failed. Errors that are no result of a check pass. */
export function claimOf(what: string, check: () => PageClaim): PageClaim {
  try {
    return check();
  } catch (error) {
    if (error instanceof CodedError) return hasFailed(what, error);
    throw error;
  }
}
