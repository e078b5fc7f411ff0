/**
 * The keys of an entry: docs/index.md, "Extractor v1". The rules of v1 never change (test/merkle/index/vectors).
 *
 * An entry that is exactly of a known form is read by that form. In every other entry that may be one of Rekor's, all base64 is
 * searched for keys, names and digests: what makes a strict reader give up must not hide an entry.
 */
import { MAX_ENTRY } from '../bundle.ts';
import { encodeHex } from '../bytes.ts';
import { parseStrictJson } from '../rekor/strict-json.ts';
import { type Sha256, sha256 } from '../rfc6962.ts';
import { type AsciiOf, type DerKeys, isPairable, MAX_PAIR_NAMES, readCertificate, readSpki } from './der-keys.ts';
import { type EntryParts, entryParts } from './entry-parts.ts';
import { type IndexKey, issuerIdentity, type KeyKind } from './keys.ts';
import { sweep } from './sweep.ts';

/** Most issuers of one certificate that give keys of the kind `issuer-identity`. */
const MAX_PAIR_ISSUERS = 2;
const FEW_KEYS = 40;

/**
 * The keys of an entry of any bytes, at least one, in the order of the specification; none is there twice. Never throws.
 * A body of more than 65,535 bytes is no entry of a log, and has the key `kind` = `unreadable` alone.
 */
export function extractKeys(body: Uint8Array, hash: Sha256 = sha256): readonly IndexKey[] {
  const found = new FoundKeys(hash);
  if (body.length > MAX_ENTRY) {
    found.add('kind', 'unreadable');
    return found.keys;
  }
  if (!mayBeObject(body)) {
    found.add('kind', 'opaque');
    return found.keys;
  }
  const entry = read(body);
  const kind = entry !== undefined && Object.hasOwn(entry, 'kind') ? entry.kind : undefined;
  if (typeof kind === 'string' && kind.isWellFormed()) found.add('kind', kind);
  const parts = entry === undefined ? undefined : partsOf(entry);
  if (parts === undefined || !found.wellFormed(parts)) {
    found.add('kind', 'unreadable');
    sweep(body, {
      digest: (hex) => found.add('digest', `sha${4 * hex.length}:${hex}`),
      der: (keys) => found.der(keys),
    });
  }
  return found.keys;
}

/** Gathers keys in their order, each once. */
export class FoundKeys {
  readonly keys: IndexKey[] = [];
  readonly #hash: Sha256;
  readonly #ascii: AsciiOf | undefined;
  /** Only for an entry with more than a few keys. */
  #seen: Set<string> | undefined;

  constructor(hash: Sha256, ascii?: AsciiOf) {
    this.#hash = hash;
    this.#ascii = ascii;
  }

  add(kind: KeyKind, value: string): void {
    if (!this.#has(kind, value)) this.keys.push({ kind, value });
  }

  /** A list finds a repeated key among a few faster than a set. */
  #has(kind: KeyKind, value: string): boolean {
    const { keys } = this;
    if (this.#seen === undefined && keys.length > FEW_KEYS) {
      this.#seen = new Set(keys.map((key) => `${key.kind} ${key.value}`));
    }
    if (this.#seen === undefined) {
      for (const key of keys) if (key.kind === kind && key.value === value) return true;
      return false;
    }
    const { size } = this.#seen;
    return this.#seen.add(`${kind} ${value}`).size === size;
  }

  /** Adds the keys of all parts if each signer is well-formed, and otherwise none. */
  wellFormed({ digests, signers }: EntryParts): boolean {
    const read: DerKeys[] = [];
    for (const { der, isCertificate } of signers) {
      const keys = isCertificate ? readCertificate(der, this.#ascii) : readSpki(der);
      if (keys === undefined) return false;
      read.push(keys);
    }
    for (const digest of digests) this.add('digest', digest);
    for (const keys of read) this.der(keys);
    return true;
  }

  der({ spkis, names, issuers, extensions }: DerKeys): void {
    for (const spki of spkis) this.add('key', encodeHex(this.#hash(spki)));
    for (const name of names) this.add('identity', name);
    for (const issuer of issuers) this.add('issuer', issuer);
    for (const issuer of [...new Set(issuers)].slice(0, MAX_PAIR_ISSUERS)) {
      if (!isPairable(issuer)) continue;
      for (const name of names.slice(0, MAX_PAIR_NAMES)) this.add('issuer-identity', issuerIdentity(issuer, name));
    }
    for (const extension of extensions) this.add('extension', extension);
  }
}

/** Whether the first byte after a byte order mark and JSON's white space opens an object. */
function mayBeObject(body: Uint8Array): boolean {
  let at = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  while (body[at] === 0x20 || body[at] === 0x09 || body[at] === 0x0a || body[at] === 0x0d) at++;
  return body[at] === 0x7b;
}

/** The members of the entry; undefined for text that is not one JSON object, is nested deeper than 32, or repeats a member. */
function read(body: Uint8Array): { readonly [name: string]: unknown } | undefined {
  try {
    return parseStrictJson(body, 'the entry', MAX_ENTRY) as { readonly [name: string]: unknown };
  } catch {
    return undefined;
  }
}

function partsOf(entry: { readonly [name: string]: unknown }): EntryParts | undefined {
  try {
    return entryParts(entry);
  } catch {
    return undefined;
  }
}
