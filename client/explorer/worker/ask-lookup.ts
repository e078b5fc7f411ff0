/** Asks the verifiable index of a log for one key, and checks what it answers: presence and completeness, or absence. */
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import type { IndexKey } from '../../../merkle/index/keys.ts';
import { MAX_LOOKUP } from '../../../merkle/index/lookup.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { proveConsistency } from '../../../merkle/tile.ts';
import { ClientError } from '../../errors.ts';
import { type CheckedLookup, checkLookup } from '../../search/check-lookup.ts';
import type { LookupTrust } from '../../search/lookup-trust.ts';
import { lookupUrl } from '../../search/search-json.ts';
import { tilesOf } from '../../tiles/tree-proofs.ts';
import type { TreeHead } from '../../tiles/types.ts';
import { askPatiently, openInBrowser } from '../model/browser-files.ts';
import type { TaskContext } from './protocol.ts';
import { readLookup, rememberLookup } from './seen-store.ts';

export interface AskedLookup {
  readonly lookup: CheckedLookup;
  /** Why this browser could not remember the trees, or could not read what it remembered. */
  readonly notRemembered: string | undefined;
}

/**
 * @param head a tree of the log that this browser has verified
 * @throws ClientError: the index cannot be asked; `policy`: explorer.json does not fit together
 */
export async function askLookup(
  log: ExplorerLog,
  key: IndexKey,
  head: TreeHead,
  { signal }: TaskContext,
): Promise<AskedLookup> {
  const { index, map } = log;
  if (index === undefined || map === undefined) throw new ClientError('usage', 'this log has no verifiable index here');
  const output = map.policy.logs[0]!.key;
  const trust: LookupTrust = {
    input: { origin: log.origin, keys: log.keys, ...(log.policy && { policy: log.policy }) },
    output: { origin: output.name, keys: map.policy.logs.map(({ key: own }) => own), policy: map.policy },
    ...(map.rebuilders && { rebuilders: map.rebuilders }),
  };
  // Read before the index is asked: what another lookup sees meanwhile may be newer than this answer.
  const [memory, notRead] = await tried(() => readLookup(log.origin, output.name), {});
  const reply = await askPatiently(lookupUrl(index, log.origin, key), MAX_LOOKUP, signal);
  if (reply.status !== 200) {
    throw new ClientError(
      reply.status >= 500 ? 'unavailable' : 'refused',
      `the verifiable index answers with status ${reply.status}`,
    );
  }
  const lookup = await checkLookup(reply.bytes, key, trust, {
    primitives: noblePrimitives,
    memory: { ...memory, log: { size: head.size, root: head.root } },
    prove: async (which, older, newer) => {
      const source = openInBrowser(which === 'input' ? log.url : map.outputLog);
      return await proveConsistency(older.size, newer.size, tilesOf(source, signal));
    },
  });
  if (!lookup.ok || notRead !== undefined) return { lookup, notRemembered: notRead };
  const [, notKept] = await tried(() => rememberLookup(log.origin, output.name, lookup.memory), undefined);
  return { lookup, notRemembered: notKept };
}

/** What `work` gives, or `otherwise` and why the browser keeps nothing. */
async function tried<T>(work: () => Promise<T>, otherwise: T): Promise<readonly [value: T, why: string | undefined]> {
  try {
    return [await work(), undefined];
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'state') throw error;
    return [otherwise, error.message];
  }
}
