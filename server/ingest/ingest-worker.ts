/** The worker of the ingest pool. */
import { Piscina } from 'piscina';
import { digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { letOthersFirst } from '../../merkle/runtime/threads/priority.ts';
import { type IngestLimits, ingestBody } from './ingest-body.ts';
import { packAnswers, unpackBatch } from './packed.ts';

export interface IngestWorkerData {
  readonly limits: IngestLimits;
  readonly force: 'noble' | undefined;
}

/**
 * The threads that commit and publish need little time, but need it at once; a verification can wait. If all cores are busy,
 * verifying threads of normal priority delay each step of a commit by a time slice. Measured with 256 clients on 2 cores:
 * with this niceness a commit takes 3.8 ms instead of 5.3 to 6.5, a publication 3.1 ms instead of 4.4 to 5.0, and the log
 * enters 11 % more entries per second. A niceness of 3 gains 8 %; with 10 and 19 the slowest replies are later.
 */
letOthersFirst(5);

const { limits, force } = Piscina.workerData as IngestWorkerData;
const verifier = digestVerifier(force);

export default function ingestBatch(batch: ArrayBuffer): unknown {
  const answers = unpackBatch(batch).map(({ body, encoding }) => ingestBody(body, encoding, limits, verifier));
  return Piscina.move(packAnswers(answers));
}
