import { integrate as step } from '../../server/tree/snapshot.ts';
import { entries, snapshotOfSize } from './inputs.ts';
import type { Micro } from './micro.ts';

const before = snapshotOfSize(70_100);
const batch = entries(1000);

export const integrate: Micro[] = [
  { name: 'integrate 1,000', unit: 'entry', per: 1000, run: () => step(before, batch) },
];
