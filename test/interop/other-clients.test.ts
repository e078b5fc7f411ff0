/** The table "Beside cosign and sigstore-go" of docs/client.md: what each of the three programs does with the same bundle. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleJson, FILE, messageOf, recordOf } from '../support/bundle-json.ts';
import { Instance, type Json, OWN_IDENTITY, OWN_ISSUER, signedBy } from '../support/instance.ts';
import { tempDir } from '../support/log.ts';
import { run, stele } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { vectorFolder } from '../support/vectors.ts';

const instance = new Instance('sigstore.example');
const stranger = new Instance('other.example');
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

/** A bundle of FILE in a log of Rekor v1, and its trusted root, both to be changed. */
function good(version: '0.1' | '0.2' | '0.3' = '0.3', stamps: (signature: Buffer) => Buffer[] = () => []) {
  const signer = instance.signer();
  const signature = signedBy(signer, FILE);
  const entry = instance.logged1('hashedrekord', '0.0.1', recordOf(signer, signature));
  const bundle: Json = bundleJson(version, signer, messageOf(signature), [entry], stamps(signature));
  return { bundle, root: structuredClone(instance.trustedRoot()) as Json };
}

type Verdicts = readonly [stele: boolean, cosign: boolean, sigstoreGo: boolean];
interface Row {
  readonly make: () => { bundle: Json; root: Json };
  readonly verdicts: Verdicts;
  /** Flags of Stele, cosign and sigstore-go. */
  readonly flags?: readonly [string[], string[], string[]];
}

const superfluous = (version: '0.1' | '0.2', from: Instance) => () => {
  const made = good(version);
  const chain = made.bundle.verificationMaterial.x509CertificateChain.certificates;
  for (const { certificate } of [instance.intermediate, from.root]) chain.push({ rawBytes: base64(certificate.der) });
  return made;
};
/** The bundle alone has the intermediate. */
const intermediateOfBundle = () => {
  const made = good('0.2');
  made.root.certificateAuthorities[0].certChain.certificates.shift();
  const chain = made.bundle.verificationMaterial.x509CertificateChain.certificates;
  chain.push({ rawBytes: base64(instance.intermediate.certificate.der) });
  return made;
};
const withoutCt = () => {
  const made = good();
  made.root.ctlogs = [];
  return made;
};
const ignored: Row['flags'] = [['--insecure-ignore-sct'], ['--insecure-ignore-sct'], ['-requireCTlog=false']];

const ROWS: Readonly<Record<string, Row>> = {
  'good evidence': { make: () => good(), verdicts: [true, true, true] },
  'v0.1 with the root': { make: superfluous('0.1', instance), verdicts: [true, true, true] },
  'v0.2 with the root of another authority': { make: superfluous('0.2', stranger), verdicts: [true, true, true] },
  'v0.2 with the intermediate that the trusted root lacks': {
    make: intermediateOfBundle,
    verdicts: [true, false, false],
  },
  'no certificate-transparency log in the trusted root': { make: withoutCt, verdicts: [true, false, false] },
  'the same, where none is asked for': { make: withoutCt, verdicts: [true, true, true], flags: ignored },
  'a stamp of an unknown authority': {
    make: () => good('0.3', (signature) => [stranger.stamp(signature)]),
    verdicts: [true, true, true],
  },
};

const missing = lacking('cosign', 'sigstore-go-verification');

describe.skipIf(skips('what cosign and sigstore-go do', missing))('what cosign and sigstore-go do beside Stele', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  const at = (name: string) => join(dir.path, name);
  beforeAll(async () => {
    dir = await tempDir();
    await mkdir(at('home'));
    await writeFile(at('file'), FILE);
  });
  afterAll(() => dir.remove());

  /** Whether each program takes the bundle in the file `bundle`. */
  async function verdicts(bundle: string, root: string, flags: NonNullable<Row['flags']>): Promise<boolean[]> {
    const who = ['--certificate-identity', OWN_IDENTITY, '--certificate-oidc-issuer', OWN_ISSUER];
    const whoGo = ['-expectedSAN', OWN_IDENTITY, '-expectedIssuer', OWN_ISSUER];
    const own = ['--identity', OWN_IDENTITY, '--issuer', OWN_ISSUER];
    const env = { ...process.env, HOME: at('home') };
    const ran = [
      await stele(['verify', at('file'), '--bundle', bundle, '--trusted-root', root, ...own, ...flags[0]]),
      await run(
        'cosign',
        ['verify-blob', '--bundle', bundle, '--trusted-root', root, ...who, ...flags[1], at('file')],
        { env },
      ),
      await run('sigstore-go-verification', [
        '-trustedrootJSONpath',
        root,
        ...whoGo,
        ...flags[2],
        '-artifact',
        at('file'),
        bundle,
      ]),
    ];
    return ran.map(({ code }) => code === 0);
  }

  it.each(Object.entries(ROWS))('%s', async (_, { make, verdicts: expected, flags = [[], [], []] }) => {
    const { bundle, root } = make();
    await writeFile(at('bundle.json'), JSON.stringify(bundle));
    await writeFile(at('root.json'), JSON.stringify(root));
    expect(await verdicts(at('bundle.json'), at('root.json'), flags)).toEqual(expected);
  });

  it('several bundles in a file', async () => {
    const { bundle, root } = good();
    await writeFile(at('root.json'), JSON.stringify(root));
    await writeFile(at('two.jsonl'), `${JSON.stringify(good().bundle)}\n${JSON.stringify(bundle)}\n`);
    await writeFile(at('answer.json'), JSON.stringify({ attestations: [{ bundle }] }));
    for (const name of ['two.jsonl', 'answer.json']) {
      expect([name, await verdicts(at(name), at('root.json'), [[], [], []])]).toEqual([name, [true, false, false]]);
    }
  });

  it('a digest in the place of the file', async () => {
    const { bundle, root } = good();
    await writeFile(at('bundle.json'), JSON.stringify(bundle));
    await writeFile(at('root.json'), JSON.stringify(root));
    const hex = createHash('sha256').update(FILE).digest('hex');
    const how = ['--bundle', at('bundle.json'), '--trusted-root', at('root.json')];
    const own = ['--identity', OWN_IDENTITY, '--issuer', OWN_ISSUER];
    expect(await stele(['verify', `sha256:${hex}`, ...how, ...own])).toMatchObject({ code: 0 });
    const who = ['--certificate-identity', OWN_IDENTITY, '--certificate-oidc-issuer', OWN_ISSUER];
    const env = { ...process.env, HOME: at('home') };
    expect(await run('cosign', ['verify-blob', ...how, ...who, `sha256:${hex}`], { env })).toMatchObject({ code: 0 });
    const go = ['-trustedrootJSONpath', at('root.json'), '-expectedSAN', OWN_IDENTITY, '-expectedIssuer', OWN_ISSUER];
    const digest = ['-artifact-digest', hex, '-artifact-digest-algorithm', 'sha256'];
    expect(await run('sigstore-go-verification', [...go, ...digest, at('bundle.json')])).toMatchObject({ code: 0 });
  });

  it('the published bundle with a root is refused for its identity', async ({ skip }) => {
    const folder = vectorFolder('sigstore-bundles');
    skip(folder === undefined, 'TEST_VECTORS names no published test data');
    const of = (name: string) => join(folder!, 'bundle-with-root-cert_fail', name);
    const root = join(folder!, 'trusted_root.json');
    const how = ['verify', of('artifact'), '--bundle', of('bundle.sigstore.json'), '--trusted-root', root];
    const { code, stderr } = await stele([
      ...how,
      '--identity',
      'https://github.com/',
      '--issuer',
      'https://x.example',
    ]);
    expect(code).toBe(1);
    // The message names the identity that the published certificate is for.
    const identity = /\[identity\]: the certificate is for (\S+@\S+), /.exec(stderr)?.[1];
    const names = ['--identity', identity!, '--issuer', 'https://github.com/login/oauth'];
    expect((await stele([...how, ...names])).code).toBe(0);
    const go = ['-trustedrootJSONpath', root, '-expectedSAN', identity!, '-expectedIssuer', names[3]!];
    const other = await run('sigstore-go-verification', [
      ...go,
      '-artifact',
      of('artifact'),
      of('bundle.sigstore.json'),
    ]);
    expect(other.code).not.toBe(0);
    expect(other.stderr + other.stdout).toContain('checkpoint');
  });
});
