/** Signatures over digests, and the files that carry a signature with its proof. */
import { formatTlogProof } from '../../merkle/tlog-proof.ts';
import { ClientError } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import { keyHint } from '../formats/key.ts';
import { type LogEntry, tlogEntry } from '../formats/log-entry.ts';
import { checkSignerCertificate } from './signers/certificate-check.ts';
import type { DigestSigner, MessageReader } from './signers/types.ts';

/**
 * Signs `digest`, of `signer.publicKey.digestSize` bytes, and verifies the signature: a token may be broken, and a log
 * gives no entry back.
 *
 * @param message what `digest` is of, for a key that signs only whole messages
 * @throws ClientError `bad-signature`; `bad-certificate` where verifiers would refuse the signer's certificate today; and
 *   what the signer throws
 */
export async function signDigest(digest: Uint8Array, signer: DigestSigner, message?: MessageReader): Promise<Signed> {
  const { publicKey, certificate, chain } = signer;
  if (certificate !== undefined) checkSignerCertificate(certificate, publicKey, [Date.now()]);
  const signature = await signer.sign(digest, message);
  if (!publicKey.verify(digest, signature)) {
    throw new ClientError('bad-signature', 'the key gave a signature that its own public key refuses: it was not used');
  }
  return { digest, signature, publicKey, certificate, ...(chain === undefined ? {} : { chain }) };
}

/** A bundle of a file's signature: v0.3, or v0.2 where a chain comes with the certificate. Without `entry` it is one that is yet to be logged. */
export function messageBundle(
  signed: Signed,
  entry: LogEntry | undefined,
  timestamps: readonly Uint8Array[] = [],
): Bundle {
  const { digest, signature, publicKey, certificate, chain = [] } = signed;
  return {
    version: chain.length === 0 ? '0.3' : '0.2',
    content: { kind: 'message', digest: { algorithm: publicKey.digest, value: digest }, signature },
    signer:
      certificate === undefined
        ? { kind: 'public-key', hint: keyHint(publicKey) }
        : { kind: 'certificate', certificate, chain },
    entries: entry === undefined ? [] : [tlogEntry(entry)],
    timestamps,
  };
}

/** The proof of a logged file as c2sp.org/tlog-proof. Its extra data is the entry, from which the leaf is made. */
export function tlogProofOf({ entry }: { readonly entry: LogEntry }): Uint8Array {
  const { index, hashes, checkpoint, body } = entry;
  return formatTlogProof({ extra: body, index, hashes, checkpoint });
}
