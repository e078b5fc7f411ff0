/**
 * Finds the uid of a review that is too long, cut off or malformed, so that also that review gets a denial that counts. Nothing
 * else is read from such a review.
 */
import type { Addressee } from './types.ts';

/** Bytes of a review that are looked at. An API server writes the uid within the first two hundred. */
export const HEAD_BYTES = 16 * 1024;

/** The one version that is judged. */
export const REVIEW_VERSION = 'admission.k8s.io/v1';
const VERSION = /^admission\.k8s\.io\/[a-z0-9]{1,32}$/;
/** An API server makes uids of 36 characters. */
const MAX_UID = 128;
/** A string of JSON without escapes, or a character between strings. */
const TOKEN = /"([^"\\]{0,200})"|"|[{}[\],:]/g;

/** The version and the uid that stand in the first bytes of a review; an empty uid where none does. */
export function headOf(bytes: Uint8Array): Addressee {
  const text = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString('latin1');
  const path: string[] = [];
  let name: string | undefined;
  let isValue = false;
  let apiVersion = REVIEW_VERSION;
  for (const [token, content] of text.matchAll(TOKEN)) {
    if (content !== undefined) {
      if (isValue) {
        if (path.length === 1 && name === 'apiVersion' && isReviewVersion(content)) apiVersion = content;
        if (path.length === 2 && path[1] === 'request' && name === 'uid' && isUid(content))
          return { apiVersion, uid: content };
      } else name = content;
    } else if (token === ':') isValue = true;
    else if (token === ',') isValue = false;
    else if (token === '{' || token === '[') {
      path.push(isValue ? (name ?? '') : '');
      isValue = token === '[';
      name = undefined;
    } else if (token === '}' || token === ']') {
      path.pop();
      isValue = false;
    }
    // A string with escapes or of great length: what follows cannot be told apart any more.
    else break;
  }
  return { apiVersion, uid: '' };
}

/** Whether an answer may repeat the version. */
export function isReviewVersion(value: unknown): value is string {
  return typeof value === 'string' && VERSION.test(value);
}

export function isUid(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) && value.length <= MAX_UID;
}
