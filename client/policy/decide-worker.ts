/** The thread of decider.ts. */
import { Piscina } from 'piscina';
import { type DecisionBasis, OpenedBasis } from './decision-basis.ts';
import { packReplies, unpackDecisionRequests } from './decision-packs.ts';

const basis = await OpenedBasis.open(Piscina.workerData as DecisionBasis);

export default function work(task: ArrayBuffer): unknown {
  const requests = unpackDecisionRequests(task);
  return Piscina.move(packReplies(requests.map(({ artifact, pieces, now }) => basis.decide(artifact, pieces, now))));
}
