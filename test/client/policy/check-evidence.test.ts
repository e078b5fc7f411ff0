/** Verification of evidence: whose keys are found, what is refused, and what a decision sees. */
import { describe, expect, it } from 'vitest';
import { formatBundle } from '../../../client/formats/bundle.ts';
import { hashesOfEvidence, readEvidence, verifyBundles } from '../../../client/policy/check-evidence.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { parseTrustedRoots } from '../../../client/trust/trusted-root.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { FILE as OWN_FILE } from '../../support/bundle-json.ts';
import { ownCases, STAMPED } from '../../support/own-cases.ts';
import { attestation, digestsOf, messageBundle, testKey, text } from '../verify/verify-parts.ts';
import {
  attested,
  cosigned,
  FILE,
  fingerprintOf,
  log,
  logOnly,
  NOW,
  pieceOf,
  quorumPolicy,
  release,
  review,
  reviewer,
  signed,
} from './decision-parts.ts';

const primitives = nodePrimitives();
const byFingerprint = { keys: [], fingerprints: [release, reviewer].map(fingerprintOf), identities: false };
const whole = { ...byFingerprint, keys: [release.info.spki, reviewer.info.spki] };

function check(
  bytes: Uint8Array,
  keys: typeof whole | typeof byFingerprint = byFingerprint,
  quorum = logOnly,
  file = FILE,
) {
  const trust = { policy: parseTrustPolicy(quorum) };
  const bundles = readEvidence([pieceOf('piece', bytes)], primitives);
  return verifyBundles(bundles, digestsOf(file), trust, keys, NOW, primitives);
}

describe('verifyBundles', () => {
  it.each([
    ['by its fingerprint alone', byFingerprint],
    ['by the whole key', whole],
  ])('finds the key of a bundle that names none, %s', (_, keys) => {
    expect(check(signed(), keys)).toMatchObject([
      {
        source: 'piece',
        signer: { kind: 'key', fingerprint: fingerprintOf(release) },
        entries: [{ quorum: false }],
        times: [],
      },
    ]);
  });

  it('gives the statement, its subject, and its predicate with every digit', () => {
    const payload = text(
      new TextDecoder().decode(review({})).replace('"predicate":{}', '"predicate":{"n":9007199254740993}'),
    );
    const [found] = check(attested(payload));
    expect(found).toMatchObject({
      signer: { fingerprint: fingerprintOf(reviewer) },
      statement: { type: 'https://in-toto.io/Statement/v1', predicateType: 'https://example.com/review/v1' },
      subject: { name: 'app' },
    });
    const statement = found !== undefined && 'statement' in found ? found.statement : undefined;
    expect(statement?.predicate()).toEqual({ n: 9007199254740993n });
  });

  it('says when the quorum had cosigned, and that it had', async () => {
    const at = NOW - 60_000;
    const bytes = await cosigned(messageBundle(FILE, release, log), at);
    expect(check(bytes, byFingerprint, quorumPolicy)).toMatchObject([
      { entries: [{ quorum: true, witnesses: ['w'] }], times: [{ kind: 'witness', time: at, by: 'w' }] },
    ]);
    expect(check(signed(), byFingerprint, quorumPolicy)).toMatchObject([{ code: 'quorum' }]);
  });

  it.each([
    ['of another artifact', () => signed(), text('another'), 'digest-mismatch'],
    ['by a key that the policy does not know', () => signed(testKey()), FILE, 'bad-signature'],
    [
      'without a log entry',
      () => formatBundle({ ...messageBundle(FILE, release, log), entries: [] }),
      FILE,
      'bad-signature',
    ],
    ['that is no bundle', () => text('{}'), FILE, 'malformed'],
    ['that is empty', () => new Uint8Array(), FILE, 'malformed'],
  ] as const)('refuses evidence %s', (_, bytes, file, code) => {
    const [found, ...more] = check(bytes(), byFingerprint, logOnly, file);
    expect(more).toEqual([]);
    expect(found).toMatchObject({ source: 'piece', code });
  });

  it('refuses evidence that was never logged, whatever the policy knows', () => {
    const bytes = formatBundle({ ...messageBundle(FILE, release, log), entries: [] });
    expect(check(bytes, whole)).toMatchObject([{ code: 'bad-proof' }]);
  });

  it('refuses an entry about another signature', () => {
    const other = attestation(FILE, reviewer, log, review({ result: 'bad' }));
    const bytes = formatBundle({
      ...attestation(FILE, reviewer, log, review({ result: 'good' })),
      entries: other.entries,
    });
    expect(check(bytes)).toMatchObject([{ code: 'entry-mismatch' }]);
  });

  it('takes each bundle of a file for itself, and names its line and digest', () => {
    const lines = [signed(), text('{}'), attested(review({}))].map((line) =>
      new TextDecoder().decode(line).replaceAll('\n', ''),
    );
    const found = check(text(`${lines.join('\n')}\n`));
    expect(found.map((one) => [one.source, 'code' in one])).toEqual([
      ['piece line 1', false],
      ['piece line 2', true],
      ['piece line 3', false],
    ]);
    expect(new Set(found.map(({ digest }) => digest)).size).toBe(3);
    expect(found[0]!.digest).toBe(`sha256:${Buffer.from(digestsOf(text(lines[0]!)).sha256).toString('hex')}`);
  });

  it('asks for the hashes that its keys sign', () => {
    const bundles = readEvidence([pieceOf('a', signed(reviewer))], primitives);
    expect([...hashesOfEvidence(bundles, byFingerprint, primitives)].sort()).toEqual(['sha256', 'sha384']);
  });
});

describe('verifyBundles of a bundle with a certificate', () => {
  const one = ownCases().find(({ name, refused, key }) => !refused && key === undefined && /v0\.3/.test(name))!;
  const verify = (keys: object, roots?: Uint8Array) =>
    verifyBundles(
      readEvidence([pieceOf('piece', one.bundle)], primitives),
      digestsOf(OWN_FILE),
      roots === undefined ? { policy: parseTrustPolicy(logOnly) } : { trustedRoot: parseTrustedRoots(roots) },
      { ...byFingerprint, ...keys },
      STAMPED + 86_400_000,
      primitives,
    );

  it('verifies the certificate, and gives its identity, whosever it is', () => {
    const [found] = verify({ identities: true }, one.trustedRoot);
    expect(found).toMatchObject({
      signer: { kind: 'certificate', identity: { issuer: one.issuer, names: [{ value: one.identity }] } },
    });
    expect(found).not.toHaveProperty('code');
  });

  it('refuses it where no authority is trusted', () => {
    expect(verify({ identities: true })).toMatchObject([{ code: 'usage' }]);
  });
});
