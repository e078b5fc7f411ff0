/** `stele decide --lock`, with attestations about packages that a log of this test holds. */
import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Decision } from '../../../../merkle/runtime/policy/types.ts';
import { SteleIn } from '../../../support/stele-in.ts';

let stele: SteleIn;
const digest = (fill: number) => Buffer.alloc(64, fill);
const integrity = (fill: number) => `sha512-${digest(fill).toString('base64')}`;

const POLICY = `version: 1
name: dependencies
artifacts: [ 'pkg:npm/**' ]
signers:
  builder: { keyFile: builder.pub }
rules:
  - name: built by our builder
    type: https://example.com/build/v1
    signers: [builder]
    conditions: [ "predicate.good" ]
`;

async function attest(file: string, name: string, fill: number, good: boolean): Promise<void> {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name, digest: { sha512: digest(fill).toString('hex') } }],
    predicateType: 'https://example.com/build/v1',
    predicate: { good },
  };
  stele.write('statement.json', JSON.stringify(statement));
  const how = ['--log', stele.log.url, '--log-key', stele.log.vkey, '--key', 'builder.pem'];
  await stele.done('attest', '--statement', 'statement.json', ...how, '--out', `evidence/${file}`);
}

function lock(packages: Record<string, object>): void {
  stele.write(
    'package-lock.json',
    JSON.stringify({ lockfileVersion: 3, packages: { '': {}, ...packages } }, undefined, 2),
  );
}

beforeAll(async () => {
  stele = await SteleIn.start();
  stele.write('first', 'first');
  const made = ['--new-key', 'builder.pem', '--public-out', 'builder.pub'];
  await stele.done('sign', 'first', '--log', stele.log.url, '--log-key', stele.log.vkey, ...made);
  mkdirSync(stele.path('evidence'));
  await attest('a.json', 'pkg:npm/a@1.0.0', 1, true);
  await attest('b.json', 'pkg:npm/%40scope/b@1.0.0', 2, true);
  await attest('bad.json', 'pkg:npm/bad@1.0.0', 3, false);
  stele.write('policy.yaml', POLICY);
}, 60_000);

afterAll(() => stele.end());

const A = { 'node_modules/a': { version: '1.0.0', integrity: integrity(1) } };
const B = { 'node_modules/@scope/b': { version: '1.0.0', integrity: integrity(2) } };
const TRUST = ['--policy', 'policy.yaml', '--quorum-policy', 'quorum', '--evidence', 'evidence'];
const decide = (...more: readonly string[]) => stele.run('decide', '--lock', 'package-lock.json', ...TRUST, ...more);

describe('stele decide --lock', () => {
  it('allows a lock file whose packages are all allowed, each once', async () => {
    lock({ ...A, ...B, 'node_modules/c/node_modules/a': A['node_modules/a'] });
    const { status, out, err } = await decide();
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toContain('ALLOW pkg:npm/a@1.0.0: allowed by the policy "dependencies"');
    expect(out).toContain('ALLOW pkg:npm/%40scope/b@1.0.0');
    expect(out).toContain('2 artifacts allowed, 0 denied');
  });

  it('denies with the verdict for each package', async () => {
    lock({
      ...A,
      'node_modules/bad': { version: '1.0.0', integrity: integrity(3) },
      'node_modules/unknown': { version: '1.0.0', integrity: integrity(4) },
      'node_modules/git': { version: '1.0.0', resolved: 'git+ssh://git@example.com/x.git#abc' },
    });
    const { status, out } = await decide('--json', '--sarif', 'out.sarif', '--junit', 'out.xml');
    expect(status).toBe(1);
    const decisions = JSON.parse(out) as readonly (Decision & { readonly name: string; readonly ok: boolean })[];
    expect(decisions.map(({ name, ok }) => [name, ok])).toEqual([
      ['pkg:npm/a@1.0.0', true],
      ['pkg:npm/bad@1.0.0', false],
      ['pkg:npm/unknown@1.0.0', false],
      ['pkg:npm/git@1.0.0', false],
    ]);
    expect(decisions[1]!.rules[0]!.evidence[0]!.reasons).toEqual([expect.objectContaining({ code: 'condition' })]);
    expect(decisions[2]!.rules[0]!.reasons).toEqual([expect.objectContaining({ code: 'no-evidence' })]);
    expect(decisions[3]!.reasons).toEqual([expect.objectContaining({ code: 'lock' })]);
    const sarif = JSON.parse(readFileSync(stele.path('out.sarif'), 'utf8'));
    const places = sarif.runs[0].results.map(
      (one: { locations: { physicalLocation: object }[] }) => one.locations[0]!.physicalLocation,
    );
    expect(places.at(-1)).toEqual({ artifactLocation: { uri: 'package-lock.json' }, region: { startLine: 17 } });
    const xml = readFileSync(stele.path('out.xml'), 'utf8');
    expect(xml).toContain('tests="4" failures="3"');
    expect(xml).toContain(
      '<testcase classname="dependencies" name="pkg:npm/a@1.0.0" file="package-lock.json" line="5"/>',
    );
  });

  it('does not take evidence of other bytes for a package of the same name', async () => {
    lock({ 'node_modules/a': { version: '1.0.0', integrity: integrity(9) } });
    expect(await decide()).toMatchObject({ status: 1, out: expect.stringContaining('DENY: pkg:npm/a@1.0.0') });
  });

  it('denies a package where one of the digests that may be installed is not allowed', async () => {
    lock({ 'node_modules/a': { version: '1.0.0', integrity: `${integrity(1)} ${integrity(9)}` } });
    expect(await decide()).toMatchObject({ status: 1, out: expect.stringContaining('1 artifact allowed, 1 denied') });
  });

  it('holds packages to the hosts that are named', async () => {
    const resolved = 'https://registry.example.com/a.tgz';
    lock({ 'node_modules/a': { version: '1.0.0', integrity: integrity(1), resolved } });
    expect(await decide('--lock-host', 'registry.example.com')).toMatchObject({ status: 0 });
    const { status, out } = await decide('--lock-host', 'other.example.com');
    expect([status, out]).toEqual([1, expect.stringContaining('[lock]')]);
  });

  it.each([
    [['app', '--lock', 'package-lock.json', ...TRUST], 'leave the artifacts out'],
    [['--lock', 'other.json', ...TRUST], 'has not the name of a lock file'],
    [['--lock', 'none/package-lock.json', ...TRUST], 'none/package-lock.json'],
    [['--lock', 'package-lock.json', '--layout', 'x', '--layout-key', 'y', '--links', 'z'], 'give one'],
    [['app', '--lock-host', 'x', ...TRUST], 'give --lock too'],
    [['--lock', 'package-lock.json', '--registry', ...TRUST], '--registry finds evidence of images'],
    [['--lock', 'empty/package-lock.json', ...TRUST], 'names no package'],
    [TRUST, 'name the artifact'],
  ])('cannot try: %j', async (args, why) => {
    mkdirSync(stele.path('empty'), { recursive: true });
    stele.write('empty/package-lock.json', '{ "lockfileVersion": 3, "packages": { "": {} } }');
    stele.write('other.json', '{}');
    lock(A);
    const { status, err } = await stele.run('decide', ...args);
    expect({ status, err }).toEqual({ status: 2, err: expect.stringContaining(why) });
  });
});
