import { packAnswers, packBatch, unpackAnswers, unpackBatch } from '../../server/ingest/packed.ts';
import { ANSWER, BODY } from './inputs.ts';
import type { Micro } from './micro.ts';

const BODIES = 64;
const bodies = Array.from({ length: BODIES }, () => ({ body: BODY, encoding: 'json' as const }));
const answers = bodies.map(() => ANSWER);

export const packed: Micro[] = [
  { name: 'ingest: pack and unpack the bodies', unit: 'entry', per: BODIES, run: () => unpackBatch(packBatch(bodies)) },
  {
    name: 'ingest: pack and unpack the answers',
    unit: 'entry',
    per: BODIES,
    run: () => unpackAnswers(packAnswers(answers), BODIES),
  },
];
