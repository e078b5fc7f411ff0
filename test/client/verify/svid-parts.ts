/** Files that a workload signed with its X.509-SVID, in a log with a witness. */
import { formatBundle } from '../../../client/formats/bundle.ts';
import { tlogEntry } from '../../../client/formats/log-entry.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { formatTlogProof } from '../../../merkle/tlog-proof.ts';
import { domainCa, issueSvid, x509Key } from '../../merkle/spiffe/make-svid.ts';
import type { Authority, Wish } from '../../merkle/x509/make.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { signedBy } from '../../support/instance.ts';
import { digestsOf, testWitness, witnessed } from './verify-parts.ts';

export const SVID = 'spiffe://example.org/build/main';
export const svidCa = domainCa('example.org');
export const foreignCa = domainCa('example.net');
export const svidLog = new FakeLog();
const witness = testWitness('witness.example.com');
export const svidPolicy = encodeUtf8(`log ${svidLog.vkey}\nwitness w ${witness.vkey}\nquorum w\n`);

/** When the witness cosigned, and the hour of an SVID around it. */
export const SIGNED_AT = Date.parse('2026-08-01T12:01:00Z');
const HOUR: Wish = { from: '2026-08-01T12:00:00Z', to: '2026-08-01T13:00:00Z' };

export const bundleFileOf = (...authorities: readonly Authority[]): Uint8Array =>
  encodeUtf8(JSON.stringify({ keys: authorities.map((one) => x509Key(one)) }));

/** The bundle and the tlog-proof of a file that an SVID signed and the witness cosigned at `at`. */
export async function svidSigned(
  file: Uint8Array,
  { by = svidCa, id = SVID, at = SIGNED_AT, ...wish }: Wish & { by?: Authority; id?: string; at?: number } = {},
): Promise<{ readonly bundle: Uint8Array; readonly tlogProof: Uint8Array }> {
  const { certificate, keys } = issueSvid(by, id, { ...HOUR, ...wish });
  const { der } = certificate;
  const signature = signedBy(keys, file);
  const digest = digestsOf(file).sha256;
  const body = formatHashedRekord({
    ...{ digestAlgorithm: 'SHA2_256', digest, signature, keyDetails: 'PKIX_ECDSA_P256_SHA_256' },
    verifier: { certificate: der },
  });
  const bundle = await witnessed(
    {
      version: '0.3',
      content: { kind: 'message', digest: { algorithm: 'SHA2_256', value: digest }, signature },
      signer: { kind: 'certificate', certificate: der, chain: [] },
      entries: [tlogEntry(svidLog.add(body))],
      timestamps: [],
    },
    [[witness, at / 1000]],
  );
  const { index, proof } = bundle.entries[0]!;
  const { hashes, checkpoint } = proof!;
  const tlogProof = formatTlogProof({ extra: body, index, hashes, checkpoint: checkpoint! });
  return { bundle: formatBundle(bundle), tlogProof: tlogProof };
}
