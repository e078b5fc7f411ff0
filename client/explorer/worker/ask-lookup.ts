/** Asks the verifiable index of a log for one key, and checks what it answers: presence and completeness, or absence. */
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import type { IndexKey } from '../../../merkle/index/keys.ts';
import { MAX_LOOKUP } from '../../../merkle/index/lookup.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { proveConsistency } from '../../../merkle/tile.ts';
import { ClientError } from '../../errors.ts';
import { type CheckedLookup, checkLookup } from '../../search/check-lookup.ts';
import type { LookupMemory, LookupTrust } from '../../search/lookup-trust.ts';
import { tilesOf } from '../../tiles/tree-proofs.ts';
import type { TreeHead } from '../../tiles/types.ts';
import { askPatiently, openInBrowser } from '../model/browser-files.ts';
import type { TaskContext } from './protocol.ts';

const LOOKUP_PATH = '/stele/v1/lookup';

/** The trees that lookups of this page have seen, by the log: an older one is no answer any more. */
const seen = new Map<string, LookupMemory>();

/**
 * @param head a tree of the log that this browser has verified
 * @throws ClientError: the index cannot be asked; `policy`: explorer.json does not fit together
 */
export async function askLookup(
  log: ExplorerLog,
  key: IndexKey,
  head: TreeHead,
  { signal }: TaskContext,
): Promise<CheckedLookup> {
  const { index, map } = log;
  if (index === undefined || map === undefined) throw new ClientError('usage', 'this log has no verifiable index here');
  const output = map.policy.logs[0]!.key;
  const trust: LookupTrust = {
    input: { origin: log.origin, keys: log.keys, ...(log.policy && { policy: log.policy }) },
    output: { origin: output.name, keys: map.policy.logs.map(({ key: own }) => own), policy: map.policy },
    ...(map.rebuilders && { rebuilders: map.rebuilders }),
  };
  const query = new URLSearchParams({ log: log.origin, kind: key.kind, value: key.value });
  const reply = await askPatiently(`${index}${LOOKUP_PATH}?${query}`, MAX_LOOKUP, signal);
  if (reply.status !== 200) {
    throw new ClientError(
      reply.status >= 500 ? 'unavailable' : 'refused',
      `the verifiable index answers with status ${reply.status}`,
    );
  }
  const place = `${log.origin} ${output.name}`;
  const checked = await checkLookup(reply.bytes, key, trust, {
    primitives: noblePrimitives,
    memory: { ...seen.get(place), log: { size: head.size, root: head.root } },
    prove: async (which, older, newer) => {
      const source = openInBrowser(which === 'input' ? log.url : map.outputLog);
      return await proveConsistency(older.size, newer.size, tilesOf(source, signal));
    },
  });
  if (checked.ok) seen.set(place, checked.memory);
  return checked;
}
