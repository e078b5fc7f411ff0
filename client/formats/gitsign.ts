/**
 * A signature of gitsign as a bundle (sigstore/gitsign, "Bundles and CMS"): the bundle's file is the signed attributes of the
 * CMS signature, and the log entry, which gitsign keeps without its body, is rebuilt.
 */
import { encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatPem } from '../../merkle/pem.ts';
import { formatHashedRekord } from '../../merkle/rekor/hashedrekord.ts';
import { DIGEST_ALGORITHM } from '../../merkle/rekor/hashes.ts';
import { signedKeyDetailsOf } from '../../merkle/rekor/key-details.ts';
import type { CmsSignature } from '../../merkle/runtime/policy/git/cms-signature.ts';
import { keyOf } from '../../merkle/x509/signature-algorithms.ts';
import { ClientError } from '../errors.ts';
import type { Bundle } from './bundle.ts';
import type { TlogEntry } from './log-entry.ts';
import { readLogEntryProtobuf } from './log-entry-protobuf.ts';

/**
 * @param digest of `message` by `hash` of the signature
 * @throws ClientError `malformed`; `unsupported` for an entry of another kind
 */
export function gitsignBundle(cms: CmsSignature, digest: Uint8Array): Bundle {
  const { certificate, hash, signature, logEntry, timestamp } = cms;
  return {
    version: '0.3',
    content: { kind: 'message', digest: { algorithm: DIGEST_ALGORITHM[hash], value: digest }, signature },
    signer: { kind: 'certificate', certificate: certificate.der, chain: [] },
    entries: logEntry === undefined ? [] : [withBody(readLogEntryProtobuf(logEntry), cms, digest)],
    timestamps: timestamp === undefined ? [] : [timestamp],
  };
}

function withBody(entry: Omit<TlogEntry, 'body'>, cms: CmsSignature, digest: Uint8Array): TlogEntry {
  const kind = `${entry.kind} ${entry.version}`;
  if (kind === 'hashedrekord 0.0.1') return { ...entry, body: hashedRekord001(cms, digest) };
  if (kind === 'hashedrekord 0.0.2') return { ...entry, body: hashedRekord002(cms, digest) };
  throw new ClientError('unsupported', 'the log entry in the signature is no hashedrekord 0.0.1 or 0.0.2');
}

/** RFC 8785 form: Rekor v1 hashes that. */
function hashedRekord001({ certificate, hash, signature }: CmsSignature, digest: Uint8Array): Uint8Array {
  const pem = encodeBase64(encodeUtf8(formatPem('CERTIFICATE', certificate.der)));
  const data = `{"hash":{"algorithm":"${hash}","value":"${encodeHex(digest)}"}}`;
  const signed = `{"content":"${encodeBase64(signature)}","publicKey":{"content":"${pem}"}}`;
  return encodeUtf8(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":${data},"signature":${signed}}}`);
}

function hashedRekord002({ certificate, hash, signature }: CmsSignature, digest: Uint8Array): Uint8Array {
  const details = signedKeyDetailsOf(keyOf(certificate), hash);
  if (details === undefined) throw new ClientError('unsupported', 'no log takes a signature by such a key and hash');
  return formatHashedRekord({
    digestAlgorithm: DIGEST_ALGORITHM[hash],
    digest,
    signature,
    keyDetails: details.name,
    verifier: { certificate: certificate.der },
  });
}
