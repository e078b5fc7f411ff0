/** The mail addresses that the monitor accepts: a part of RFC 5321 section 4.1.2 that needs no quoting in any header. */

const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** A dot-atom, "@" and a domain name, in ASCII: no display name, comment, quoting, list or line end can hide in it. */
export function isMailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  const domain = text.slice(at + 1);
  if (at < 1 || local.length > 64 || domain.length > 253) return false;
  return LOCAL.test(local) && domain.split('.').every((label) => LABEL.test(label));
}
