import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { entries } from './inputs.ts';
import type { Micro } from './micro.ts';

const leaves = entries(1000).map(({ leafHash }) => leafHash);

export const range: Micro[] = [
  {
    name: 'CompactRange.append',
    unit: 'entry',
    per: leaves.length,
    run: () => {
      const tree = CompactRange.empty(fastSha256);
      for (const leaf of leaves) tree.append(leaf);
      return tree.root();
    },
  },
];
