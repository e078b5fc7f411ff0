import { randomBytes } from 'node:crypto';
import { leafHash, nodeHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { ENTRY_BYTES } from './inputs.ts';
import { type Micro, repeat } from './micro.ts';

const [left, right, entry] = [randomBytes(32), randomBytes(32), randomBytes(ENTRY_BYTES)];

export const hash: Micro[] = [
  {
    name: 'nodeHash, node:crypto',
    unit: 'node',
    per: 1000,
    run: repeat(1000, () => nodeHash(left, right, fastSha256)),
  },
  { name: 'nodeHash, noble', unit: 'node', per: 1000, run: repeat(1000, () => nodeHash(left, right)) },
  { name: 'leafHash, node:crypto', unit: 'entry', per: 1000, run: repeat(1000, () => leafHash(entry, fastSha256)) },
];
