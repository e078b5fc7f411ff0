/** The worker of the pool that extracts keys. */
import { move } from 'piscina';
import { extractBatch } from './extract-batch.ts';

export default function extract(task: ArrayBuffer): unknown {
  return move(extractBatch(task));
}
