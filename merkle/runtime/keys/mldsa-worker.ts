/**
 * A thread that signs and verifies with ML-DSA-44. It answers a message with its signature, and a signature that verifies
 * with one byte; with no bytes where a signature is wrong.
 */
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { Piscina } from 'piscina';
import { letOthersFirst } from '../threads/priority.ts';
import { MLDSA_SIZE, MLDSA_TASK, type MldsaWorkerData } from './mldsa-task.ts';

const { own, niceness } = Piscina.workerData as MldsaWorkerData;
if (niceness > 0) letOthersFirst(niceness);

export default function run(task: ArrayBuffer): unknown {
  const kind = new Uint8Array(task)[0];
  const rest = new Uint8Array(task, 1);
  return Piscina.move(kind === MLDSA_TASK.sign ? sign(rest) : verify(rest));
}

function sign(message: Uint8Array): ArrayBuffer {
  if (own === undefined) return new ArrayBuffer(0);
  const signature = ml_dsa44.sign(message, own.secretKey);
  const good = ml_dsa44.verify(signature, message, own.publicKey);
  return good ? Uint8Array.from(signature).buffer : new ArrayBuffer(0);
}

function verify(task: Uint8Array): ArrayBuffer {
  const { publicKey, signature } = MLDSA_SIZE;
  const message = task.subarray(publicKey + signature);
  try {
    const good = ml_dsa44.verify(task.subarray(publicKey, publicKey + signature), message, task.subarray(0, publicKey));
    return new ArrayBuffer(good ? 1 : 0);
  } catch {
    return new ArrayBuffer(0);
  }
}
