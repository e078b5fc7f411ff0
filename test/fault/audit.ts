/** What must hold after every restart. Throws where it does not. */
import { checkConsistency, checkHeads, type Head, readTree } from '../support/tlog-reader.ts';
import { type Client, each, type History, type Item } from './load.ts';

export interface AuditScope {
  /** Looked up one by one and sent again, acknowledged or not. */
  readonly items: readonly Item[];
  /** The log is asked for a consistency proof from each of these to the present one. */
  readonly heads: readonly Head[];
}

/**
 * Every acknowledged entry stands at its index, no entry stands twice, every tile follows from the entries, and every
 * checkpoint that anybody ever saw is a beginning of the present tree; these for all there is. In `scope`, the log says
 * the same when it is asked one by one.
 */
export async function audit(client: Client, history: History, scope: AuditScope): Promise<void> {
  const head = await client.checkpoint();
  const { entries, leafHashes } = await readTree((path) => client.get(path), head);
  if (new Set(leafHashes.map((hash) => hash.toString('latin1'))).size !== entries.length) {
    throw new Error('an entry stands in the log twice');
  }
  for (const { index, entry } of history.items) {
    if (index !== undefined && !entries[index]?.equals(entry!)) throw new Error(`acknowledged entry ${index} is lost`);
  }
  checkHeads(history.checkpoints.values(), leafHashes);

  await each(scope.heads, 8, async (seen) => {
    const reply = await client.get(`stele/v1/proofs/consistency?first=${seen.size}&second=${head.size}`);
    const { hashes } = JSON.parse(reply.toString()) as { hashes: string[] };
    checkConsistency(
      seen,
      head,
      hashes.map((hash) => Buffer.from(hash, 'base64')),
    );
  });
  const known = scope.items.filter(({ index }) => index !== undefined);
  await each(known, 16, async (item) => {
    const reply = JSON.parse((await client.get(`stele/v1/entries/${item.index}`)).toString());
    history.acknowledge(item, reply);
    if (!(await client.submit(item))) throw new Error(`acknowledged entry ${item.index} was not found as a duplicate`);
  });
  // What was never answered may be in the log or not; sent again, it is.
  const unknown = scope.items.filter(({ index }) => index === undefined);
  const batches = Array.from({ length: Math.ceil(unknown.length / 64) }, (_, i) => unknown.slice(64 * i, 64 * (i + 1)));
  await each(batches, 4, (batch) => client.submitAll(batch));
}
