/** What runs in each thread of the ingest pool. */
import { Piscina } from 'piscina';
import { digestVerifier } from '../../merkle/runtime/digest.ts';
import { type IngestLimits, ingestBody } from './body.ts';
import { packAnswers, unpackBatch } from './packed.ts';

export interface IngestWorkerData {
  readonly limits: IngestLimits;
  readonly force: 'noble' | undefined;
}

const { limits, force } = Piscina.workerData as IngestWorkerData;
const verifier = digestVerifier(force);

export default function ingestBatch(batch: ArrayBuffer): unknown {
  const answers = unpackBatch(batch).map(({ body, encoding }) => ingestBody(body, encoding, limits, verifier));
  return Piscina.move(packAnswers(answers));
}
