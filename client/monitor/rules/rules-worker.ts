/** The worker of the matcher's pool. */
import { Piscina } from 'piscina';
import { matchBatch, packHits, unpackBatch } from './batch.ts';
import { RuleEngine } from './engine.ts';
import { type IssuingAuthority, Trust } from './issuer-trust.ts';
import type { Rule } from './types.ts';

export interface MatchWorkerData {
  readonly rules: readonly Rule[];
  readonly authorities?: readonly IssuingAuthority[];
}

const { rules, authorities } = Piscina.workerData as MatchWorkerData;
const trust = authorities && new Trust(authorities);
const engine = new RuleEngine(rules, trust);

export default function match(batch: ArrayBuffer): unknown {
  return Piscina.move(packHits(matchBatch(engine, unpackBatch(batch), trust)));
}
