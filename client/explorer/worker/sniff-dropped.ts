/** What a dropped file is, by what it holds and not by its name. */
import { MAX_TLOG_PROOF } from '../../../merkle/tlog-proof.ts';
import { MAX_BUNDLE } from '../../formats/bundle.ts';

export type EvidenceForm = 'bundle' | 'tlog-proof';

/** What a file is, by its first bytes: evidence, or any other file. */
export async function sniffDropped({ file }: { readonly file: Blob }): Promise<EvidenceForm | 'file'> {
  const head = new Uint8Array(await file.slice(0, 512).arrayBuffer());
  const text = new TextDecoder().decode(head);
  if (text.startsWith('c2sp.org/tlog-proof@') && file.size <= MAX_TLOG_PROOF) return 'tlog-proof';
  if (!/^\uFEFF?\s*\{/.test(text) || file.size > MAX_BUNDLE) return 'file';
  const all = new Uint8Array(await file.arrayBuffer());
  return /"mediaType"\s*:\s*"application\/vnd\.dev\.sigstore\.bundle/.test(new TextDecoder().decode(all))
    ? 'bundle'
    : 'file';
}
