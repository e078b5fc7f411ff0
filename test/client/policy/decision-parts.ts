/** A log with a witness, and evidence in it, all of it made here. */
import { formatBundle } from '../../../client/formats/bundle.ts';
import type { DecisionBasis } from '../../../client/policy/decision-basis.ts';
import { FakeLog } from '../../support/fake-log.ts';
import {
  attestation,
  digestsOf,
  hex,
  messageBundle,
  type TestKey,
  testKey,
  testWitness,
  text,
  witnessed,
} from '../verify/verify-parts.ts';

export const FILE = text('the app');
export const ARTIFACT = { name: 'app', digest: { sha256: hex(digestsOf(FILE).sha256) } };
export const NOW = Date.UTC(2026, 7, 1);

export const log = new FakeLog();
export const release = testKey();
export const reviewer = testKey('P-384');
const witness = testWitness('witness.example.com');
export const quorumPolicy = text(`log ${log.vkey}\nwitness w ${witness.vkey}\nquorum w\n`);
export const logOnly = text(`log ${log.vkey}\nquorum none\n`);

export const fingerprintOf = (key: TestKey) => hex(digestsOf(key.info.spki).sha256);

export const review = (predicate: object, file = FILE, type = 'https://example.com/review/v1') =>
  text(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'app', digest: { sha256: hex(digestsOf(file).sha256) } }],
      predicateType: type,
      predicate,
    }),
  );

/** The file of a bundle whose entry the witness cosigned at `at`, in milliseconds. */
export const cosigned = async (bundle: ReturnType<typeof messageBundle>, at: number) =>
  formatBundle(await witnessed(bundle, [[witness, at / 1000]]));

export const pieceOf = (source: string, bytes: Uint8Array) => ({ source, bytes });
export const signed = (key = release, file = FILE) => formatBundle(messageBundle(file, key, log));
export const attested = (payload: Uint8Array, key = reviewer) => formatBundle(attestation(FILE, key, log, payload));

export const POLICY = `version: 1
name: test
signers:
  release: { fingerprint: ${fingerprintOf(release)} }
  reviewer: { fingerprint: ${fingerprintOf(reviewer)} }
rules:
  - { name: signed, type: signature, signers: [release] }
  - name: reviewed
    type: https://example.com/review/v1
    signers: [reviewer]
    conditions: [ "predicate.result == 'good'" ]
`;

export const basisOf = (policy = POLICY, quorum = logOnly): DecisionBasis => ({
  policy: { file: 'policy.yaml', bytes: text(policy) },
  keyFiles: {},
  quorumPolicy: quorum,
});
