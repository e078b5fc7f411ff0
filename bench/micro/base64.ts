import { randomBytes } from 'node:crypto';
import { decodeBase64, encodeBase64 } from '../../merkle/bytes.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import { ENTRY_BYTES } from './inputs.ts';
import { type Micro, repeat } from './micro.ts';

const hash = randomBytes(32);
const entry = randomBytes(ENTRY_BYTES);
const text = encodeBase64(hash);

export const base64: Micro[] = [
  { name: 'base64 of a hash, Node', unit: 'hash', per: 1000, run: repeat(1000, () => toBase64(hash).length > 0) },
  { name: 'base64 of an entry, Node', unit: 'entry', per: 100, run: repeat(100, () => toBase64(entry).length > 0) },
  {
    name: 'encodeBase64 of a hash, merkle',
    unit: 'hash',
    per: 1000,
    run: repeat(1000, () => encodeBase64(hash).length > 0),
  },
  { name: 'decodeBase64 of a hash, merkle', unit: 'hash', per: 1000, run: repeat(1000, () => decodeBase64(text)) },
];
