/** The thread that signs requests: see requests.ts. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { hashedRekordRequest, makeSigner, type TestSigner, toJson } from '../../test/support/requests.ts';
import type { MakeRequests } from './requests.ts';

const { count, key } = workerData as MakeRequests;

const shared = key === undefined ? undefined : signerOf(key);
const parts: Buffer[] = [];
for (let i = 0; i < count; i++) {
  const body = toJson(hashedRekordRequest(shared ?? makeSigner('p256')));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  parts.push(length, body);
}
parentPort?.postMessage(Buffer.concat(parts));

function signerOf(pem: string): TestSigner {
  const privateKey = createPrivateKey(pem);
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { ...makeSigner('p256'), privateKey, spki, sign: (artifact) => sign('sha256', artifact, privateKey) };
}
