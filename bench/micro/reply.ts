import { randomBytes } from 'node:crypto';
import { EntryEncoder } from '../../server/http/entry.ts';
import type { LoggedEntry } from '../../server/types.ts';
import { ENTRY_BYTES } from './inputs.ts';
import { type Micro, repeat } from './micro.ts';

const encoder = new EntryEncoder({ logId: randomBytes(32), entries: 'signed' });
const proof = {
  treeSize: 70_100,
  root: randomBytes(32),
  hashes: Array.from({ length: 16 }, () => randomBytes(32)),
  checkpoint: `log.example.com\n70100\n${randomBytes(32).toString('base64')}\n\n— log.example.com ${randomBytes(68).toString('base64')}\n`,
};
const entry: LoggedEntry = { index: 70_000, body: randomBytes(ENTRY_BYTES), proof, duplicate: false };

export const reply: Micro[] = [
  {
    name: 'reply as JSON, 16 hashes',
    unit: 'entry',
    per: 100,
    run: repeat(100, () => encoder.json(entry)),
  },
  { name: 'reply in binary, 16 hashes', unit: 'entry', per: 100, run: repeat(100, () => encoder.protobuf(entry)) },
];
