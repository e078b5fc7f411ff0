/** What runs in each thread of the matcher's pool. */
import { Piscina } from 'piscina';
import { matchBatch, packAnswer, unpackBatch } from './batch.ts';
import { RuleEngine } from './engine.ts';
import type { Rule } from './types.ts';

export interface MatchWorkerData {
  readonly rules: readonly Rule[];
}

const { rules } = Piscina.workerData as MatchWorkerData;
const engine = new RuleEngine(rules);

export default function match(batch: ArrayBuffer): unknown {
  return Piscina.move(packAnswer(matchBatch(engine, unpackBatch(batch))));
}
