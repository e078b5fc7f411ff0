/** What the files of decision policies and of access policies have in common. */

export const POLICY_VERSION = 1;
/** Largest file, in bytes. */
export const MAX_POLICY_FILE = 1024 * 1024;
export const NAME_ALLOWED = 'a name of 1 to 100 characters, without control characters';
export const MAX_CONDITIONS = 32;
export const CONDITIONS_ALLOWED = `a list of 1 to ${MAX_CONDITIONS} expressions in CEL, each a text or { cel: …, message: … }`;
/** Visible, and no control character. */
export const NAME = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]{1,100}$/u;
