import { scanJson } from '../../merkle/rekor/strict-json.ts';
import { readJson } from '../../server/ingest/request-json.ts';
import { BODY } from './inputs.ts';
import { type Micro, repeat } from './micro.ts';

const text = BODY.toString('latin1');

export const json: Micro[] = [
  { name: 'ingest: scan a request', unit: 'request', per: 100, run: repeat(100, () => scanJson(text, 16).tooDeep) },
  {
    name: 'ingest: scan, parse and read a request',
    unit: 'request',
    per: 100,
    run: repeat(100, () => readJson(BODY).hashedRekordRequestV002?.digest),
  },
];
