import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { CheckpointSigner } from '../../server/log/sign.ts';
import type { Micro } from './micro.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const signer: Signer = {
  algorithm: 'ed25519',
  publicKey: publicKey.export({ format: 'der', type: 'spki' }),
  sign: async (message) => sign(null, message, privateKey),
  close: async () => {},
};
const checkpoints = new CheckpointSigner('log.example.com', [signer]);
const root = randomBytes(32);
let size = 0;

export const note: Micro[] = [
  {
    name: 'sign a checkpoint, Ed25519',
    unit: 'checkpoint',
    per: 1,
    run: () => checkpoints.sign({ size: ++size, root }),
  },
];
