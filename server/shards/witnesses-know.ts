/**
 * Whether the witnesses of the policy know a shard that has not begun. If they did not, no checkpoint of it would get a quorum,
 * and the log before it would have ended already.
 *
 * A new log must show no empty tree to a witness (docs/operation.md, "Witnesses"). So the question is a request that no witness
 * can follow: `add-checkpoint` with the signed empty tree and an old size of 1. c2sp.org/tlog-witness has the order of a witness's
 * checks: an unknown origin is 404, a signature by no key of the log is 403, and an old size beyond the checkpoint is 400. Nothing
 * is stored in any of these cases.
 */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { type PolicyWitness, quorumMet } from '../../merkle/policy.ts';
import { EMPTY_ROOT } from '../../merkle/rfc6962.ts';
import { openConfiguredOutgoing } from '../../merkle/runtime/identity/outgoing.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { formatAddCheckpoint } from '../../merkle/witness.ts';
import type { Config } from '../config/load.ts';
import { checkWitnessIds, endpointsOf, readPolicy } from '../cosign/policy.ts';
import { type Failed, isFailed, type Reply, WitnessClient } from '../cosign/witness-client.ts';
import type { FurtherShard } from './chain.ts';
import { openShardSigner } from './prepare-shard.ts';

interface WitnessAnswer {
  /** Its name in the policy. */
  readonly witness: string;
  /** Absent where the witness gave no answer that says so. */
  readonly knows?: boolean;
  /** The rest of a sentence that begins with the witness. */
  readonly text: string;
}

export interface WitnessesKnow {
  readonly witnesses: readonly WitnessAnswer[];
  /** Whether the witnesses that know the shard are enough for the quorum of the policy. */
  readonly quorum: boolean;
}

/** @throws ServerError `policy`; what opening the keys throws */
export async function askWitnessesOf(config: Config, shard: FurtherShard, logger: Logger): Promise<WitnessesKnow> {
  if (config.policy === undefined) return { witnesses: [], quorum: true };
  const policy = await readPolicy(config.policy);
  if (policy.witnesses.length === 0) return { witnesses: [], quorum: true };
  checkWitnessIds(policy, config.outgoing.witnessIds);
  const { signer } = await openShardSigner(config, shard, policy, { logger });
  const outgoing = await openConfiguredOutgoing(config.outgoing, logger);
  const client = new WitnessClient(outgoing);
  try {
    const note = encodeUtf8(await signer.sign({ size: 0, root: EMPTY_ROOT }));
    const body = formatAddCheckpoint({ oldSize: 1, proof: [], note });
    const knowing = new Set<PolicyWitness>();
    const witnesses = await Promise.all(
      endpointsOf(policy, signer.keys).map(async (endpoint) => {
        const { name, witnesses: behind } = endpoint;
        const call = {
          method: 'POST',
          endpoint,
          path: 'add-checkpoint',
          body,
          timeoutMs: config.publish.witnessTimeout,
        } as const;
        const answer = answerOf(await client.call(call));
        if (answer.knows === true) for (const witness of behind) knowing.add(witness);
        return { witness: name, ...answer };
      }),
    );
    return { witnesses, quorum: quorumMet(policy, (witness) => knowing.has(witness)) };
  } finally {
    client.close();
    await outgoing?.close();
    await signer.close();
  }
}

function answerOf(reply: Reply | Failed): Omit<WitnessAnswer, 'witness'> {
  if (isFailed(reply)) return { text: reply.text };
  switch (reply.status) {
    case 404:
      return { knows: false, text: 'does not know this log: its operator must add the verifier key' };
    case 403:
      return { knows: false, text: 'does not know the keys that this log signs with' };
    case 200:
    case 400:
    case 409:
    case 422:
      return { knows: true, text: 'knows this log' };
    default:
      return { text: `answered ${reply.status}` };
  }
}
