import { fastKeys } from '../../client/search/fast-keys.ts';
import { extractKeys } from '../../merkle/index/extract.ts';
import { keyHash } from '../../merkle/index/keys.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { hashedRekord, madeUpKey } from '../../test/support/fulcio.ts';
import { keylessBodies } from '../load/monitor-inputs.ts';
import type { Micro } from './micro.ts';

const COUNT = 1000;
const keyless = keylessBodies(COUNT);
const keyed = Array.from({ length: COUNT }, (_, i) => hashedRekord({ key: madeUpKey(`${i}`) }, `artifact ${i}`));
const keys = keyless.flatMap((body) => fastKeys(body));

function each(bodies: readonly Uint8Array[], read: (body: Uint8Array) => readonly unknown[]): () => number {
  return () => bodies.reduce((sum, body) => sum + read(body).length, 0);
}

export const extract: Micro[] = [
  { name: 'index: keys of an entry with a key', unit: 'entry', per: COUNT, run: each(keyed, fastKeys) },
  { name: 'index: keys of an entry with a certificate', unit: 'entry', per: COUNT, run: each(keyless, fastKeys) },
  {
    name: 'index: keys of an entry with a certificate, by the pure reader',
    unit: 'entry',
    per: COUNT,
    run: each(keyless, (body) => extractKeys(body)),
  },
  {
    name: 'index: hash of a key',
    unit: 'key',
    per: keys.length,
    run: () => keys.reduce((sum, key) => sum + keyHash(key, fastSha256)[0]!, 0),
  },
];
