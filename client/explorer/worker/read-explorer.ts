/** Reads `explorer.json` beside the page. */

import { MerkleError } from '../../../merkle/errors.ts';
import { type ExplorerConfig, MAX_EXPLORER_CONFIG, parseExplorerConfig } from '../../../merkle/explorer-config.ts';
import { ClientError } from '../../errors.ts';
import { askPatiently } from '../model/browser-files.ts';
import type { TaskContext } from './protocol.ts';

/**
 * @param url of the file
 * @throws ClientError `missing`, `malformed`; of `askPatiently`
 */
export async function readExplorer(
  { url }: { readonly url: string },
  { signal }: TaskContext,
): Promise<ExplorerConfig> {
  const { status, bytes } = await askPatiently(url, MAX_EXPLORER_CONFIG, signal, { retries: 1 }, 'no-store');
  if (status !== 200) {
    const why = `explorer.json is not beside this page (status ${status}): it names the logs that the page shows, and their keys`;
    throw new ClientError('missing', why);
  }
  try {
    return parseExplorerConfig(bytes, url);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('malformed', cause.message, { cause });
  }
}
