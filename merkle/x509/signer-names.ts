/** The kinds of names that identify a signer, in certificates of Fulcio and of other authorities. */

import type { AlternativeName } from './certificate-names.ts';
import { shownOid } from './der-fields.ts';
import { FULCIO_USER_NAME } from './fulcio.ts';

/**
 * Whether a name can be the expected identity of a signer: a URI, an e-mail address, a DNS name, or Fulcio's user name.
 * Other kinds mean something else, even where they have the form of an e-mail address: the user principal name of a
 * directory (1.3.6.1.4.1.311.20.2.3) is an account there and no mailbox.
 */
export function isSignerName({ type, oid }: AlternativeName): boolean {
  return type === 'other' ? oid === FULCIO_USER_NAME : type !== 'ip';
}

/** The kind of a name for people. */
export function kindOfName({ type, oid }: AlternativeName): string {
  switch (type) {
    case 'uri':
      return 'URI';
    case 'email':
      return 'e-mail';
    case 'dns':
      return 'DNS name';
    case 'ip':
      return 'IP address';
    case 'other':
      if (oid === FULCIO_USER_NAME) return 'user name';
      return oid === undefined ? 'a name of another kind' : `another name, of the type ${shownOid(oid)}`;
  }
}
