/**
 * Signatures that are not logged yet. A key in a token gives another signature each time, so a second run after an outage
 * would log a second entry. So the first signature is kept beside the bundle until its proof is there.
 */
import { rm } from 'node:fs/promises';
import { equal } from '../../merkle/bytes.ts';
import { ClientError } from '../errors.ts';
import { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import { keyHint } from '../formats/key.ts';
import { signDigest } from '../submit/signed-digest.ts';
import type { KeySigner, MessageReader } from '../submit/signers/types.ts';
import { type Destination, waitingFor } from './destination.ts';
import { readWhole, writeWhole } from './files.ts';

const unlogged = (out: string): string => `${out}.unlogged`;

/**
 * A signature over `digest`. Where the key gives another signature each time, it is the one in an earlier bundle at `out`,
 * beside it, or in the queue.
 *
 * @param bundleOf makes the bundle without a log entry
 * @param message what `digest` is of, for a key that signs only whole messages
 */
export async function signOnce(
  digest: Uint8Array,
  signer: KeySigner,
  { out, destination }: { readonly out: string; readonly destination: Destination },
  bundleOf: (signed: Signed) => Bundle,
  message: MessageReader | undefined,
): Promise<Signed> {
  if (signer.repeatable) return await signDigest(digest, signer, message);
  const earlier = [await bundleAt(out), await bundleAt(unlogged(out)), ...(await waitingFor(destination, out))];
  for (const bundle of earlier) {
    const signature = bundle && signatureIn(bundle, signer);
    // A signature over another digest does not verify.
    if (signature !== undefined && signer.publicKey.verify(digest, signature)) {
      const { publicKey, certificate, chain } = signer;
      return { digest, signature, publicKey, certificate, chain };
    }
  }
  const signed = await signDigest(digest, signer, message);
  await writeWhole(unlogged(out), formatBundle(bundleOf(signed)));
  return signed;
}

/** Removes the kept signature, once the bundle is written. */
export async function forgetUnlogged(signer: KeySigner, out: string): Promise<void> {
  if (!signer.repeatable) await rm(unlogged(out), { force: true });
}

/** The bundle in a file; undefined where there is none. */
async function bundleAt(path: string): Promise<Bundle | undefined> {
  try {
    return parseBundle(await readWhole(path, MAX_BUNDLE, 'a bundle'));
  } catch (error) {
    if (error instanceof ClientError) return undefined;
    throw error;
  }
}

/** The signature in a bundle of the same key or certificate. */
function signatureIn({ content, signer }: Bundle, { publicKey, certificate }: KeySigner): Uint8Array | undefined {
  const same =
    signer.kind === 'public-key'
      ? certificate === undefined && signer.hint === keyHint(publicKey)
      : certificate !== undefined && equal(signer.certificate, certificate);
  return same ? content.signature : undefined;
}
