/**
 * Verifies many bundles on all cores: threads take the bundles in packs, and results come in the order of the requests.
 *
 * A pack costs one round trip, 25 to 77 µs. A bundle with two cosignatures takes some hundred µs. Each thread remembers the
 * checkpoints that it has verified.
 */
import { availableParallelism } from 'node:os';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { createPool, TASKS_PER_THREAD, workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import { ClientError } from '../../errors.ts';
import { inOrder } from '../../in-order.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { compileRule } from '../../trust/identity.ts';
import { parseLastCheckpoint } from '../../trust/last-checkpoint.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import { parseSpiffeBundles } from '../../trust/spiffe-bundles.ts';
import { parseTrustedRoots } from '../../trust/trusted-root.ts';
import { packRequests, unpackResults } from './packed.ts';
import type { ManyRequest, ManyResult, ManyTrust } from './types.ts';

const PACK = 32;

export interface ManyOptions extends ManyTrust {
  /** Default: one for each core. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/**
 * Verifies the bundles of `requests`; the results come in their order, each as soon as it and all before it are there.
 *
 * @throws ClientError for what is wrong with `options`: `trusted-root`, `spiffe-bundle`, `policy`, `log-key`, `trust`, `key`,
 * `usage`; `cancelled`.
 * RuntimeError `pool`
 * @example
 * for await (const result of verifyMany(requests, { policy, trustedRoot })) if (!result.ok) console.error(result.message);
 */
export async function* verifyMany(
  requests: Iterable<ManyRequest>,
  { threads = availableParallelism(), signal, ...trust }: ManyOptions,
): AsyncGenerator<ManyResult> {
  checkTrust(trust);
  const pool = createPool({ file: workerUrl('client/verify/many/verify-worker'), threads, workerData: trust });
  try {
    const packs = packsOf(requests);
    const next = () => {
      const { value: pack } = packs.next();
      return pack === undefined ? undefined : () => pool.run(packRequests(pack));
    };
    for await (const answer of inOrder(next, () => threads * TASKS_PER_THREAD)) {
      if (signal?.aborted) throw new ClientError('cancelled', 'the verification was cancelled');
      yield* unpackResults(answer);
    }
  } finally {
    await pool.close();
  }
}

/** Reports a wrong option once, before a thread starts: a thread could only fail. */
function checkTrust({
  trustedRoot,
  policy,
  logKey,
  key,
  identity,
  spiffeBundles,
  lastCheckpoints = [],
}: ManyTrust): void {
  if (trustedRoot !== undefined) parseTrustedRoots(trustedRoot);
  if (policy !== undefined) parseTrustPolicy(policy);
  if (logKey !== undefined) parseLogKey(logKey);
  if (key !== undefined) withClientErrors(() => parseSpki(key));
  if (identity !== undefined) compileRule(identity);
  if (spiffeBundles !== undefined) parseSpiffeBundles(spiffeBundles);
  for (const file of lastCheckpoints) parseLastCheckpoint(file);
}

function* packsOf(requests: Iterable<ManyRequest>): Generator<ManyRequest[], undefined> {
  let pack: ManyRequest[] = [];
  for (const request of requests) {
    pack.push(request);
    if (pack.length < PACK) continue;
    yield pack;
    pack = [];
  }
  if (pack.length > 0) yield pack;
  return undefined;
}
