/** The thread of decider.ts. */
import { Piscina } from 'piscina';
import { type DecisionBasis, OpenedBasis } from './decision-basis.ts';
import { type DecisionReply, packReplies, unpackDecisionRequests } from './decision-packs.ts';

const basis = await OpenedBasis.open(Piscina.workerData as DecisionBasis);

export default function work(task: ArrayBuffer): unknown {
  const replies = unpackDecisionRequests(task).map(({ artifact, pieces, now }): DecisionReply => {
    const answer = basis.decide(artifact, pieces, now);
    return 'verdict' in answer ? { decision: JSON.stringify(answer) } : { missing: answer };
  });
  return Piscina.move(packReplies(replies));
}
