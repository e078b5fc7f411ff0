/** From the digest of an image to its attested SBOM to a decision: three images, in each format, with a log of this test. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Decision } from '../../../../merkle/runtime/policy/types.ts';
import { APP, FORMATS, type Sample } from '../../../merkle/runtime/policy/sbom/sbom-samples.ts';
import { SteleIn } from '../../../support/stele-in.ts';

let stele: SteleIn;
const REPOSITORY = 'registry.example.com/team';
const TYPES = { 'SPDX-2.3': 'spdxjson', 'SPDX-3.0.1': 'spdx', 'CycloneDX-1.6': 'cyclonedx' };

const POLICY = `version: 1
name: what is inside
artifacts: [ '${REPOSITORY}/**' ]
signers:
  scanner: { keyFile: scanner.pub }
rules:
  - name: known contents
    type: [ spdxjson, cyclonedx ]
    signers: [ scanner ]
    sbom:
      root: stated
      forbid:
        - { purl: pkg:npm/logger, range: 'vers:npm/>=1.0.0|<1.4.0', reason: it runs what it logs }
      licenses: { allow: [ MIT, Apache-2.0 ] }
    conditions:
      - sbom.packages.exists(p, p.name == 'framework')
`;

/** An image of this name: its digest is that of a manifest. */
function image(name: string, logger: string): { readonly sha256: string; readonly sample: Sample } {
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', name });
  stele.write(`${name}.manifest`, manifest);
  const sha256 = createHash('sha256').update(manifest).digest('hex');
  const packages = APP.packages.map((one) => {
    return one.name === 'logger' ? { ...one, version: logger, purl: `pkg:npm/logger@${logger}` } : one;
  });
  return { sha256, sample: { ...APP, root: { ...APP.root, sha256 }, packages } };
}

const IMAGES: Record<string, ReturnType<typeof image>> = {};

beforeAll(async () => {
  stele = await SteleIn.start();
  const how = ['--log', stele.log.url, '--log-key', stele.log.vkey];
  for (const name of ['scanner', 'stranger']) {
    stele.write(name, name);
    await stele.done('sign', name, ...how, '--new-key', `${name}.pem`, '--public-out', `${name}.pub`);
  }
  Object.assign(IMAGES, { web: image('web', '1.4.2'), api: image('api', '1.3.9'), job: image('job', '1.4.2') });
  stele.write('policy.yaml', POLICY);
  for (const [format, , make] of FORMATS) {
    for (const [name, { sample }] of Object.entries(IMAGES)) {
      const out = `evidence/${format}/${name}`;
      mkdirSync(stele.path(out), { recursive: true });
      stele.write('sbom.json', JSON.stringify(make(sample)));
      const attest = ['attest', `${name}.manifest`, '--predicate', 'sbom.json', '--type', TYPES[format]];
      await stele.done(...attest, ...how, '--key', 'scanner.pem', '--out', `${out}/sbom.sigstore.json`);
    }
  }
  const attest = ['attest', 'job.manifest', '--predicate', 'sbom.json', '--type', 'cyclonedx'];
  await stele.done(...attest, ...how, '--key', 'stranger.pem', '--out', 'by-stranger.json');
  const logged = JSON.parse(readFileSync(stele.path('evidence/CycloneDX-1.6/job/sbom.sigstore.json'), 'utf8'));
  logged.verificationMaterial.tlogEntries = [];
  stele.write('unlogged.json', JSON.stringify(logged));
  logged.dsseEnvelope.signatures[0].sig = Buffer.alloc(64, 1).toString('base64');
  stele.write('unsigned.json', JSON.stringify(logged));
}, 120_000);

afterAll(() => stele.end());

async function decide(
  name: string,
  evidence: string,
): Promise<{ readonly status: number; readonly decision: Decision }> {
  const artifact = `${REPOSITORY}/${name}@sha256:${IMAGES[name]!.sha256}`;
  const trust = ['--policy', 'policy.yaml', '--quorum-policy', 'quorum'];
  const { status, out } = await stele.run('decide', artifact, ...trust, '--evidence', evidence, '--json');
  return { status, decision: JSON.parse(out) };
}

const digestOf = (file: string) =>
  `sha256:${createHash('sha256')
    .update(readFileSync(stele.path(file)))
    .digest('hex')}`;

describe.each(FORMATS)('images with SBOMs in %s', (format) => {
  const file = (name: string) => `evidence/${format}/${name}/sbom.sigstore.json`;

  it('are allowed, by an SBOM that the scanner signed and the log holds', async () => {
    const { status, decision } = await decide('web', `evidence/${format}/web`);
    expect(status).toBe(0);
    expect(decision).toMatchObject({
      verdict: 'allow',
      rules: [{ holds: true, evidence: [{ digest: digestOf(file('web')), signers: ['scanner'], holds: true }] }],
    });
  });

  it('are denied by the range of a package, with the package, its path and why', async () => {
    const { status, decision } = await decide('api', `evidence/${format}/api`);
    expect(status).toBe(1);
    const [rule] = decision.rules;
    expect(rule!.evidence).toMatchObject([{ digest: digestOf(file('api')), holds: false }]);
    expect(rule!.evidence[0]!.reasons).toEqual([
      {
        code: 'forbidden-package',
        message:
          'pkg:npm/logger@1.3.9 (app > framework > logger): the policy forbids pkg:npm/logger in vers:npm/>=1.0.0|<1.4.0: it runs what it logs',
      },
    ]);
  });

  it('are denied with the SBOM of another image', async () => {
    const { status, decision } = await decide('job', `evidence/${format}/web`);
    expect(status).toBe(1);
    expect(decision.refused).toEqual([expect.objectContaining({ code: 'digest-mismatch' })]);
  });
});

describe('an image', () => {
  it.each([
    ['whose SBOM is in no log', 'unlogged.json'],
    ['whose SBOM nobody signed', 'unsigned.json'],
  ])('%s is denied', async (_, file) => {
    const { status, decision } = await decide('job', file);
    expect(status).toBe(1);
    expect(decision.rules).toMatchObject([{ holds: false, reasons: [{ code: 'no-evidence' }] }]);
    expect(decision.refused).toEqual([
      expect.objectContaining({ digest: digestOf(file), message: expect.any(String) }),
    ]);
  });

  it('whose SBOM is by a stranger is denied', async () => {
    const { status, decision } = await decide('job', 'by-stranger.json');
    expect(status).toBe(1);
    expect(JSON.stringify(decision)).toMatch(/"code":"(?:signer|bad-signature)"/);
  });

  it('without an SBOM is denied', async () => {
    mkdirSync(stele.path('empty'), { recursive: true });
    expect(await decide('job', 'empty')).toMatchObject({ status: 1, decision: { verdict: 'deny' } });
  });
});
