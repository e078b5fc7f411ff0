/** What the page says about something, and how it knows: plain data, so that the worker hands it to the page. */
import { CodedError } from '../../../merkle/errors.ts';

export type PageClaim =
  | { readonly state: 'checked'; readonly what: string; readonly how?: string | undefined }
  | { readonly state: 'failed'; readonly what: string; readonly why: string }
  | { readonly state: 'not-checked'; readonly what: string; readonly why: string };

/** @param how what was computed or compared, for a person who asks */
export function claimChecked(what: string, how?: string): PageClaim {
  return { state: 'checked', what, how };
}

export function claimFailed(what: string, why: unknown): PageClaim {
  return { state: 'failed', what, why: reasonOf(why) };
}

export function claimNotChecked(what: string, why: unknown): PageClaim {
  return { state: 'not-checked', what, why: reasonOf(why) };
}

/** The message of an error, or the text. */
export function reasonOf(why: unknown): string {
  return why instanceof Error ? why.message : String(why);
}

/** The claim of what `check` returns, or that it failed. Errors that are no result of a check pass. */
export function claimOf(what: string, check: () => PageClaim): PageClaim {
  try {
    return check();
  } catch (error) {
    if (error instanceof CodedError) return claimFailed(what, error);
    throw error;
  }
}
