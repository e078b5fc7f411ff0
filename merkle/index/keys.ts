/** The keys of an index over a log: docs/index.md, "Keys" and "Key hashes". */
import { encodeUtf8 } from '../bytes.ts';
import { type Sha256, sha256 } from '../rfc6962.ts';

/** The kinds of keys, in the order of the specification. */
export const KEY_KINDS = ['digest', 'key', 'identity', 'issuer', 'issuer-identity', 'extension', 'kind'] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

/** What an entry is found by. `value` is well-formed text of at most `MAX_KEY_VALUE` bytes of UTF-8; it may be empty. */
export interface IndexKey {
  readonly kind: KeyKind;
  /**
   * `digest`: `sha256:` (or `sha384:`, `sha512:`) and lower-case hex. `key`: SHA-256 of the SubjectPublicKeyInfo in lower-case hex.
   * `issuer-identity`: see `issuerIdentity`. `extension`: an OID, `=` and a text. Others: the text as the entry has it.
   */
  readonly value: string;
}

/** The version of the rules by which `extractKeys` reads an entry. It never changes: other rules would be `v2`. */
export const EXTRACTOR = 'v1';

/** Longest value of a key in bytes. No entry of 65,535 bytes has a longer one. */
export const MAX_KEY_VALUE = 131_072;

/** The value of a key of the kind `issuer-identity`. The length of the issuer stands first, so that no two pairs share a value. */
export function issuerIdentity(issuer: string, identity: string): string {
  return `${utf8Length(issuer)}:${issuer}${identity}`;
}

/**
 * The place of a key in the map, 32 bytes: SHA-256(0x04 ‖ uint8 length of kind ‖ kind ‖ uint32 length of value ‖ value).
 * @throws MerkleError `bad-utf8` if the value holds half of a surrogate pair
 */
export function keyHash({ kind, value }: IndexKey, hash: Sha256 = sha256): Uint8Array {
  const bytes = encodeUtf8(value);
  const data = new Uint8Array(6 + kind.length + bytes.length);
  data[0] = 4;
  data[1] = kind.length;
  for (let i = 0; i < kind.length; i++) data[2 + i] = kind.charCodeAt(i);
  let at = 2 + kind.length;
  data[at++] = bytes.length >>> 24;
  data[at++] = bytes.length >>> 16;
  data[at++] = bytes.length >>> 8;
  data[at++] = bytes.length;
  data.set(bytes, at);
  return hash(data);
}

/** Whether `kind` is the kind of a key. */
export function isKeyKind(kind: string): kind is KeyKind {
  return (KEY_KINDS as readonly string[]).includes(kind);
}

function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // A surrogate pair has two units and four bytes: each unit adds one.
    if (code >= 0x80) length += code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return length;
}
