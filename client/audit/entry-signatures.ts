/**
 * The signature inside an entry: `hashedrekord` 0.0.2 of Rekor v2 over the digest that it names, with the key or the
 * certificate's key that it holds. Who holds that key, and whether a certificate is anybody's, is not looked at.
 */
import { equal } from '../../merkle/bytes.ts';
import { DIGEST_ALGORITHM } from '../../merkle/rekor/hashes.ts';
import { findKeyDetails, loggedKeyDetailsOf } from '../../merkle/rekor/key-details.ts';
import { type DigestVerifier, digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { readPublicKey } from '../../merkle/runtime/crypto/public-key.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { certificateKey } from '../../merkle/runtime/x509/certificate-key.ts';
import { ClientError } from '../errors.ts';
import { type EntryParts, parseEntry } from '../formats/entry.ts';

/** The beginning of every canonical entry of this kind; others are not parsed. */
const START = new TextEncoder().encode('{"apiVersion":"0.0.2","kind":"hashedrekord",');

/** What is wrong with the entry, in words that follow "entry N: "; or whether its signature was checked. */
export type EntryCheck = 'verified' | 'not-checked' | { readonly wrong: string };

/** A checker for this thread. */
export function entryChecker(): (entry: Uint8Array) => EntryCheck {
  const verifier = digestVerifier();
  return (entry) => {
    if (entry.length < START.length || !equal(entry.subarray(0, START.length), START)) return 'not-checked';
    try {
      return check(canonicalParts(entry) ?? parseEntry(entry), verifier);
    } catch (cause) {
      if (cause instanceof ClientError || cause instanceof RuntimeError) return { wrong: cause.message };
      throw cause;
    }
  };
}

/** The one form of such an entry (RFC 8785), which needs no JSON parser: 5 µs, where `parseEntry` takes 28. */
const CANONICAL = new RegExp(
  '^\\{"apiVersion":"0\\.0\\.2","kind":"hashedrekord","spec":\\{"hashedRekordV002":\\{' +
    '"data":\\{"algorithm":"([A-Z0-9_]+)","digest":"([A-Za-z0-9+/=]*)"\\},' +
    '"signature":\\{"content":"([A-Za-z0-9+/=]*)","verifier":\\{"keyDetails":"([A-Z0-9_]+)",' +
    '"(publicKey|x509Certificate)":\\{"rawBytes":"([A-Za-z0-9+/=]*)"\\}\\}\\}\\}\\}\\}$',
);

/** Undefined where the entry has another form, or base64 that is not the only one: `parseEntry` says what is wrong. */
function canonicalParts(entry: Uint8Array): EntryParts | undefined {
  const text = Buffer.from(entry.buffer, entry.byteOffset, entry.length).toString('latin1');
  const [, digestAlgorithm, digest, content, keyDetails, form, raw] = CANONICAL.exec(text) ?? [];
  if (raw === undefined) return undefined;
  const [digestBytes, signature, rawBytes] = [fromBase64(digest!), fromBase64(content!), fromBase64(raw)];
  if (digestBytes === undefined || signature === undefined || rawBytes === undefined) return undefined;
  const verifier = form === 'publicKey' ? { publicKey: rawBytes } : { certificate: rawBytes };
  return { digestAlgorithm: digestAlgorithm!, digest: digestBytes, signature, keyDetails: keyDetails!, verifier };
}

function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function check(parts: EntryParts, verifier: DigestVerifier): EntryCheck {
  const details = findKeyDetails(parts.keyDetails);
  if (details === undefined || details.signs !== 'digest') return 'not-checked';
  if (parts.digestAlgorithm !== DIGEST_ALGORITHM[details.hash!]) {
    return { wrong: `a key of the kind ${parts.keyDetails} does not sign the digest that the entry names` };
  }
  const { verifier: by } = parts;
  const key = readPublicKey('publicKey' in by ? by.publicKey : certificateKey(by.certificate));
  if (loggedKeyDetailsOf(key) !== details) return { wrong: `its key is not of the kind ${parts.keyDetails}` };
  return verifier.verifyDigest(key, parts.digest, parts.signature)
    ? 'verified'
    : { wrong: 'its signature does not verify over its digest with its key' };
}
