/** `stele verify --spiffe-bundle`: signatures of workloads, by the time of witnesses. Run `npm run build` first. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { x509Key } from '../../../merkle/spiffe/make-svid.ts';
import { stele } from '../../../support/serve.ts';
import { bundleFileOf, foreignCa, SVID, svidCa, svidPolicy, svidSigned } from '../../verify/svid-parts.ts';

const FILE = encodeUtf8('a file of a workload');
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stele-spiffe-'));
  const put = (name: string, bytes: Uint8Array | string) => writeFileSync(join(dir, name), bytes);
  put('app', FILE);
  put('policy', svidPolicy);
  put('org.json', bundleFileOf(svidCa));
  put('net.json', bundleFileOf(foreignCa));
  put('empty.json', bundleFileOf());
  put('domains.json', JSON.stringify({ trust_domains: { 'example.org': { keys: [x509Key(svidCa)] } } }));
  const { bundle, tlogProof } = await svidSigned(FILE);
  put('app.sigstore.json', bundle);
  put('app.tlog-proof', tlogProof);
});
afterAll(() => rmSync(dir, { recursive: true }));

const verify = (...args: readonly string[]) => stele(['verify', 'app', '--policy', 'policy', ...args], { cwd: dir });
const ORG = ['--spiffe-bundle', 'example.org=org.json'];
const WHO = ['--identity', SVID];

describe('stele verify --spiffe-bundle', () => {
  it('takes an expired SVID by the time of the witnesses, and says who vouched', async () => {
    const { code, stdout, stderr } = await verify('--witness-time', ...WHO, ...ORG);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`  identity      ${SVID} (URI)\n`);
    expect(stdout).toContain('leads to an authority of the SPIFFE bundle\n                by spiffe://example.org\n');
    expect(stdout).toContain(
      'certificate transparency: not asked, the certificate is an X.509-SVID, and no log holds those',
    );
    expect(stdout).not.toContain('no issuer was required');
  });

  it('gives the SPIFFE ID to programs', async () => {
    const { stdout } = await verify('--witness-time', '--json', '--identity', 'spiffe://example.org/build/**', ...ORG);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      signer: { kind: 'certificate', spiffeId: SVID, trustDomain: 'example.org', issuer: null, extensions: {} },
      times: [{ kind: 'witness', time: '2026-08-01T12:01:00.000Z' }],
    });
  });

  it('takes a tlog-proof, and a file that names its trust domains beside another', async () => {
    const domains = ['--spiffe-bundle', 'domains.json', '--spiffe-bundle', 'example.net=net.json'];
    for (const proof of [['--witness-time'], ['--tlog-proof', 'app.tlog-proof']]) {
      const shown = await verify(...proof, ...WHO, ...domains, '--json');
      expect(shown).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(shown.stdout)).toMatchObject({ signer: { spiffeId: SVID, trustDomain: 'example.org' } });
    }
    const { stdout } = await verify('--tlog-proof', 'app.tlog-proof', ...WHO, ...domains);
    expect(stdout).toContain('by the SPIFFE bundle of example.org; the certificate was valid at 2026-08-01');
    const { code, stderr } = await verify(
      '--tlog-proof',
      'app.tlog-proof',
      ...WHO,
      '--spiffe-bundle',
      'example.org=net.json',
    );
    expect(code).toBe(1);
    expect(stderr).toContain('[bad-certificate]');
  });

  it.each<[string, readonly string[], number, string]>([
    ['no time', [...WHO, ...ORG], 1, '[bad-timestamp]'],
    [
      'another authority',
      ['--witness-time', ...WHO, '--spiffe-bundle', 'example.org=net.json'],
      1,
      '[bad-certificate]',
    ],
    [
      'another trust domain',
      ['--witness-time', ...WHO, '--spiffe-bundle', 'example.net=org.json'],
      1,
      '[bad-certificate]',
    ],
    [
      'an empty bundle',
      ['--witness-time', ...WHO, '--spiffe-bundle', 'example.org=empty.json'],
      1,
      'no X.509 authority',
    ],
    ['another ID', ['--witness-time', '--identity', 'spiffe://example.org/deploy/**', ...ORG], 1, '[identity]'],
    ['an issuer', ['--witness-time', ...WHO, '--issuer', 'https://id.example.org', ...ORG], 1, 'proves no issuer'],
    ['a required promise', ['--witness-time', ...WHO, '--require-sct', ...ORG], 1, '[bad-sct]'],
    ['no bundle and no trusted root', ['--witness-time', ...WHO], 2, '--spiffe-bundle of its trust domain'],
    [
      'a bundle without its trust domain',
      ['--witness-time', ...WHO, '--spiffe-bundle', 'org.json'],
      2,
      '[spiffe-bundle]',
    ],
    ['a bundle that is none', ['--witness-time', ...WHO, '--spiffe-bundle', 'example.org=app'], 2, '[spiffe-bundle]'],
    ['a bundle that is missing', ['--witness-time', ...WHO, '--spiffe-bundle', 'example.org=gone.json'], 2, '[file]'],
    [
      'a name that is no trust domain',
      ['--witness-time', ...WHO, '--spiffe-bundle', 'Example=org.json'],
      2,
      '[spiffe-bundle]',
    ],
    [
      'a pattern of every trust domain',
      ['--witness-time', '--identity', 'spiffe://*/build/main', ...ORG],
      2,
      '[usage]',
    ],
    [
      'a bundle for a key',
      ['--key', 'app.pub.pem', ...ORG],
      2,
      '--spiffe-bundle is about the certificate of an identity',
    ],
  ])('refuses %s', async (_, args, status, message) => {
    const { code, stdout, stderr } = await verify(...args);
    expect({ code, stdout }).toEqual({ code: status, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('is not for a leaf, a ceremony or evidence', async () => {
    const leaf = [
      'verify',
      '--leaf-hash',
      '00'.repeat(32),
      '--tlog-proof',
      'app.tlog-proof',
      '--policy',
      'policy',
      ...ORG,
    ];
    expect(await stele(leaf, { cwd: dir })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--leaf-hash does not look at --spiffe-bundle'),
    });
  });
});
