/** A thread that signs with ML-DSA-44. It answers a message with its signature, or with no bytes where that is wrong. */
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { Piscina } from 'piscina';
import type { MldsaWorkerData } from './mldsa.ts';

const { secretKey, publicKey } = Piscina.workerData as MldsaWorkerData;

export default function sign(task: ArrayBuffer): unknown {
  const message = new Uint8Array(task);
  const signature = ml_dsa44.sign(message, secretKey);
  const good = ml_dsa44.verify(signature, message, publicKey);
  return Piscina.move(good ? Uint8Array.from(signature).buffer : new ArrayBuffer(0));
}
