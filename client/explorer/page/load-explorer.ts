/** Reads `explorer.json` beside the page. */
import { type ExplorerConfig, MAX_EXPLORER_CONFIG, parseExplorerConfig } from '../../../merkle/explorer-config.ts';
import { boundedBody } from '../worker/web-body.ts';

/** @throws Error that a person can read */
export async function loadExplorer(): Promise<ExplorerConfig> {
  const url = new URL('explorer.json', document.baseURI).href;
  let response: Response;
  try {
    response = await fetch(url, { cache: 'no-cache', credentials: 'omit', redirect: 'error' });
  } catch (cause) {
    throw new Error('explorer.json beside this page cannot be fetched: the server does not answer', { cause });
  }
  if (!response.ok) {
    throw new Error(
      `explorer.json is not beside this page (status ${response.status}): it names the logs and their keys`,
    );
  }
  const body = await boundedBody(response, MAX_EXPLORER_CONFIG);
  if (body === undefined) throw new Error(`explorer.json is longer than ${MAX_EXPLORER_CONFIG} bytes`);
  return parseExplorerConfig(body, url);
}
