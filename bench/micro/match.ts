import { RuleEngine } from '../../client/monitor/rules/engine.ts';
import { readEntry } from '../../client/monitor/rules/entry-reader.ts';
import { quickIdentity } from '../../merkle/runtime/x509/quick-identity.ts';
import { parseCertificate } from '../../merkle/x509/certificate.ts';
import { identityOf } from '../../merkle/x509/fulcio.ts';
import { hundredRules, keylessBodies } from '../load/monitor-inputs.ts';
import type { Micro } from './micro.ts';

const COUNT = 1000;
const bodies = keylessBodies(COUNT);
const read = bodies.map(readEntry);
const certificates = read.map(({ signers }) => parseCertificate(signers[0]!.certificate!));
const engine = new RuleEngine(hundredRules());

function each<T>(items: readonly T[], work: (item: T) => { length: number }): () => number {
  return () => items.reduce((used, item) => used + work(item).length, 0);
}

export const match: Micro[] = [
  {
    name: 'monitor: parse a certificate',
    unit: 'certificate',
    per: COUNT,
    run: each(certificates, ({ der }) => parseCertificate(der).spki),
  },
  {
    name: 'monitor: identity of a certificate',
    unit: 'certificate',
    per: COUNT,
    run: each(certificates, (certificate) => identityOf(certificate).names),
  },
  {
    name: 'monitor: quick identity of a certificate',
    unit: 'certificate',
    per: COUNT,
    run: each(certificates, ({ der }) => quickIdentity(Buffer.from(der.buffer, der.byteOffset, der.length))!.names),
  },
  {
    name: 'monitor: read an entry with its certificate',
    unit: 'entry',
    per: COUNT,
    run: each(bodies, (body) => readEntry(body).signers),
  },
  {
    name: 'monitor: compare an entry with 100 rules',
    unit: 'entry',
    per: COUNT,
    run: each(read, (entry) => engine.match(entry, 'log.example.com')),
  },
];
