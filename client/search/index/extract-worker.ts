/** The worker of the extraction's pool. */
import { Piscina } from 'piscina';
import { answerTask, type ExtractWorkerData, keyReader } from './extraction.ts';

const read = keyReader((Piscina.workerData as ExtractWorkerData).kinds);

export default function extract(task: ArrayBuffer): unknown {
  return Piscina.move(answerTask(task, read));
}
