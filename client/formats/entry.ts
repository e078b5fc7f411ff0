/**
 * `hashedrekord` 0.0.2 of Rekor v2: what is sent to the log and what the log makes of it (docs of rekor-tiles 2.3.0,
 * `CreateEntryRequest` and RFC 8785).
 *
 *   {"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":…},
 *    "signature":{"content":…,"verifier":{"keyDetails":…,"publicKey":{"rawBytes":…}}}}}}
 *
 * with `x509Certificate` in the place of `publicKey` where a certificate signed.
 */
import { encodeBase64, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { ClientError } from '../errors.ts';
import { bytes, malformed, object, parseJson, string } from './json.ts';
import type { PublicKey } from './key.ts';

/** A digest, signed: of a file, or of the pre-authentication encoding of an attestation. */
export interface Signed {
  /** Of `publicKey.digestSize` bytes. */
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: PublicKey;
  /** Certificate of that key, DER: logged instead of the key. */
  readonly certificate?: Uint8Array | undefined;
}

/** What an entry says, with nothing verified. */
export interface EntryParts {
  /** `SHA2_256`, `SHA2_384` or `SHA2_512`, or whatever stands there. */
  readonly digestAlgorithm: string;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyDetails: string;
  /** SubjectPublicKeyInfo or certificate, DER. */
  readonly verifier: { readonly publicKey: Uint8Array } | { readonly certificate: Uint8Array };
}

/** Longest entry: its length stands before it in two bytes. */
export const MAX_ENTRY = 65_535;

/** The JSON object of POST /api/v2/log/entries. */
export function createEntryRequest(signed: Signed): string {
  return JSON.stringify({
    hashedRekordRequestV002: {
      digest: encodeBase64(signed.digest),
      signature: { content: encodeBase64(signed.signature), verifier: verifier(partsOf(signed)) },
    },
  });
}

/** The entry that the log must have made of it, byte by byte. */
export function canonicalEntry(signed: Signed): Uint8Array {
  return formatEntry(partsOf(signed));
}

/**
 * The canonical form of an entry.
 *
 * The members stand here in the order of RFC 8785, and no value needs an escape, so that JSON.stringify writes its form.
 */
export function formatEntry(parts: EntryParts): Uint8Array {
  return encodeUtf8(
    JSON.stringify({
      apiVersion: '0.0.2',
      kind: 'hashedrekord',
      spec: {
        hashedRekordV002: {
          data: { algorithm: parts.digestAlgorithm, digest: encodeBase64(parts.digest) },
          signature: { content: encodeBase64(parts.signature), verifier: verifier(parts) },
        },
      },
    }),
  );
}

/**
 * The parts of a canonical entry, with nothing verified. Taken only where `formatEntry` gives the same bytes again.
 *
 * @throws ClientError `malformed` naming the field; `unsupported` for another kind or version of entry
 */
export function parseEntry(entry: Uint8Array): EntryParts {
  const what = 'the entry';
  const top = object(parseJson(entry, what, MAX_ENTRY), what, ['apiVersion', 'kind', 'spec']);
  if (top.kind !== 'hashedrekord' || top.apiVersion !== '0.0.2') {
    throw new ClientError('unsupported', 'the entry is not a hashedrekord 0.0.2; other kinds are not checked here');
  }
  const spec = object(object(top.spec, 'spec', ['hashedRekordV002']).hashedRekordV002, 'spec', ['data', 'signature']);
  const data = object(spec.data, 'data', ['algorithm', 'digest']);
  const signature = object(spec.signature, 'signature', ['content', 'verifier']);
  const by = object(signature.verifier, 'verifier', ['keyDetails', 'publicKey', 'x509Certificate']);
  const raw = (name: string) => bytes(object(by[name], name, ['rawBytes']).rawBytes, `${name}.rawBytes`);
  const parts: EntryParts = {
    digestAlgorithm: string(data.algorithm, 'data.algorithm'),
    digest: bytes(data.digest, 'data.digest'),
    signature: bytes(signature.content, 'signature.content'),
    keyDetails: string(by.keyDetails, 'verifier.keyDetails'),
    verifier:
      by.x509Certificate === undefined ? { publicKey: raw('publicKey') } : { certificate: raw('x509Certificate') },
  };
  if (!equal(formatEntry(parts), entry)) throw malformed(what, 'is not in its canonical form (RFC 8785)');
  return parts;
}

function partsOf({ digest, signature, publicKey, certificate }: Signed): EntryParts {
  return {
    digestAlgorithm: publicKey.digest,
    digest,
    signature,
    keyDetails: publicKey.details,
    verifier: certificate === undefined ? { publicKey: publicKey.spki } : { certificate },
  };
}

function verifier({ keyDetails, verifier: by }: EntryParts): object {
  return 'publicKey' in by
    ? { keyDetails, publicKey: { rawBytes: encodeBase64(by.publicKey) } }
    : { keyDetails, x509Certificate: { rawBytes: encodeBase64(by.certificate) } };
}
