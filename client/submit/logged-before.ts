/** The entry at an index, by the public files of its log: for logs that answer a duplicate with 409 and its index alone. */

import { MAX_ENTRY, parseBundle } from '../../merkle/bundle.ts';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { logId, type VerifierKey } from '../../merkle/note.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { openSigned } from '../follow/signed-head.ts';
import { parseJson, string } from '../formats/json.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { openSource } from '../tiles/tiles.ts';
import { proveLeaf, tilesOf } from '../tiles/tree-proofs.ts';
import type { LogRequestOptions } from './types.ts';

/**
 * The entry, proven against the newest checkpoint; undefined where that checkpoint does not cover it yet.
 *
 * @param log as `parseLogUrl` gives it
 * @param keys the trusted keys of the log
 * @throws ClientError `bad-reply` where the files do not show the entry, `bad-checkpoint`, and those of `openSource`
 */
export async function entryInTiles(
  log: string,
  index: number,
  keys: readonly VerifierKey[],
  options: Pick<LogRequestOptions, 'fetch' | 'signal' | 'attemptTimeout'>,
): Promise<LogEntry | undefined> {
  const { fetch, signal, attemptTimeout } = options;
  const source = openSource(log, {
    ...(fetch && { fetch }),
    ...(attemptTimeout !== undefined && { timeoutMs: attemptTimeout }),
  });
  try {
    const head = openSigned(keys, decodeUtf8(await source.checkpoint(signal, true)));
    if (index >= head.size) return undefined;
    const bundle = Math.floor(index / TILE_WIDTH);
    const width = Math.min(TILE_WIDTH, head.size - bundle * TILE_WIDTH);
    const body = parseBundle(await source.entries(bundle, width, signal), width)[index % TILE_WIDTH]!;
    const hashes = await proveLeaf(head, index, leafHash(body, fastSha256), tilesOf(source, signal), fastSha256);
    const { kind, apiVersion } = (parseJson(body, 'the entry', MAX_ENTRY) ?? {}) as Record<string, unknown>;
    return {
      index,
      logId: logId(head.keys[0]!),
      kind: string(kind, 'kind'),
      version: string(apiVersion, 'apiVersion'),
      integratedTime: 0,
      body,
      treeSize: head.size,
      root: head.root,
      hashes,
      checkpoint: head.note,
    };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    if (cause.code === 'unknown-key') {
      throw new ClientError('bad-checkpoint', `the checkpoint at ${log} is not signed by the trusted key of the log`, {
        cause,
      });
    }
    throw new ClientError('bad-reply', `the files at ${log} do not show entry ${index}: ${cause.message}`, { cause });
  } finally {
    await source.close();
  }
}
