/**
 * Finds the keys in log entries. A bundle signed with a key does not contain it, and a policy may have only its fingerprint.
 * An entry of every kind has the key, as SubjectPublicKeyInfo or as PEM around it, and is verified to be about exactly that
 * key later: here nothing is trusted but the fingerprint.
 */
import { decodeUtf8, encodeHex } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { parsePem, pemBytes } from '../../merkle/pem.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { parseStrictJson } from '../../merkle/rekor/strict-json.ts';
import type { TlogEntry } from '../formats/log-entry.ts';

/** A longer entry holds a whole payload, and is not searched. */
const MAX_BODY = 64 * 1024;
/** The SubjectPublicKeyInfo of RSA-4096 has 550 bytes, which PEM and base64 make 1,000 of. */
const MAX_KEY_TEXT = 2048;
const MAX_TEXTS = 256;

/** @param fingerprints SHA-256 of SubjectPublicKeyInfo, lower-case hex; undefined for all keys */
export function keysInEntries(
  entries: readonly Pick<TlogEntry, 'body'>[],
  fingerprints: readonly string[] | undefined,
  primitives: Primitives,
): KeyInfo[] {
  const found = new Map<string, KeyInfo>();
  for (const { body } of entries) {
    for (const text of textsOf(body)) {
      const spki = keyIn(text);
      if (spki === undefined) continue;
      const fingerprint = encodeHex(primitives.hash('sha256', spki));
      if (fingerprints?.includes(fingerprint) === false || found.has(fingerprint)) continue;
      try {
        found.set(fingerprint, parseSpki(spki));
      } catch (error) {
        if (!(error instanceof MerkleError)) throw error;
      }
    }
  }
  return [...found.values()];
}

function textsOf(body: Uint8Array): string[] {
  if (body.length > MAX_BODY) return [];
  try {
    const texts: string[] = [];
    collect(parseStrictJson(body, 'the entry', MAX_BODY), texts);
    return texts;
  } catch (error) {
    if (error instanceof MerkleError) return [];
    throw error;
  }
}

/** The reader of the text has bounded its depth. */
function collect(value: unknown, texts: string[]): void {
  if (texts.length >= MAX_TEXTS) return;
  if (typeof value === 'string' && value.length <= MAX_KEY_TEXT) texts.push(value);
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) collect(one, texts);
}

function keyIn(base64: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{40,}={0,2}$/.test(base64)) return undefined;
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  // A SubjectPublicKeyInfo is a SEQUENCE, and PEM begins with hyphens.
  if (bytes[0] === 0x30) return bytes;
  if (bytes[0] !== 0x2d) return undefined;
  try {
    const [block] = parsePem(decodeUtf8(bytes));
    return block?.label === 'PUBLIC KEY' ? pemBytes(block) : undefined;
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}
