/**
 * Certificates of Stele's authority before the real judges: OpenSSL, Go's crypto/x509, and cosign with a trusted root of ours. Stele
 * certifies no name that OpenSSL or Go refuses, and verifies none.
 */
import { spawnSync } from 'node:child_process';
import { createHash, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { intermediateProfile, leafProfile, rootProfile } from '../../client/ca/certificates/extensions.ts';
import { makeCertificate, newSerial } from '../../client/ca/certificates/make-certificate.ts';
import { makeRequest, readRequest } from '../../client/ca/root/authority-request.ts';
import { formatPem } from '../../merkle/pem.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { softwareSigner } from '../../merkle/runtime/keys/keyfile.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import { verifyChain } from '../../merkle/x509/certificate-chain.ts';
import type { AlternativeName } from '../../merkle/x509/certificate-names.ts';
import { generalName, NAMES } from '../merkle/x509/constraint-cases.ts';
import { issueCa, issueDer, type issueLeaf, newKeys, SIGNING, spkiOf } from '../merkle/x509/make.ts';
import { listOf, makeSct } from '../merkle/x509/make-sct.ts';
import { der as derOf } from '../support/der.ts';
import { tempDir } from '../support/log.ts';
import { run, type ServeProcess, startServer, stele } from '../support/serve.ts';
import { have, lacking, skips } from '../support/skip.ts';
import { startMirror } from '../support/tuf-mirror.ts';
import { type Authority, startAuthority } from './authority.ts';
import { buildJudge } from './go-judge.ts';
import { addInteropTools } from './tools.ts';

addInteropTools();

const NOW = Math.floor(Date.now() / 1000) * 1000;
const HOUR = 3_600_000;
const TEAM = {
  uri: ['example.com', 'build.example.net'],
  dns: ['example.com'],
  email: ['example.com', 'ann@example.net'],
};

/** Beside the names of constraint-cases.ts: what a team might be tricked with. */
const MORE = [
  'uri:spiffe://build.example.net/ns/a',
  'uri:spiffe://BUILD.example.net/ns/a',
  'uri:spiffe://build.example.net./ns/a',
  'uri:spiffe://a.build.example.net/ns/a',
  'uri:spiffe://notbuild.example.net/ns/a',
  'uri:spiffe://build.example.net/ns/../a',
  'uri:spiffe://build.example.net/ns:a',
  'uri:spiffe://xn--bcher-kva.example.com/a',
  'uri:https://invalid/a',
  'dns:invalid',
  'dns:a.b.example.com',
  'email:ann@example.net',
  'email:Ann@example.net',
  'email:ann@invalid',
];
const CASES = [...NAMES, ...MORE];
const pem = (...ders: readonly Uint8Array[]) => ders.map((one) => formatPem('CERTIFICATE', one)).join('');

interface Chain {
  readonly root: Certificate;
  readonly team: Certificate;
  readonly keys: ReturnType<typeof newKeys>;
}

async function newChain(names = TEAM): Promise<Chain> {
  const [rootKeys, keys] = [newKeys(), newKeys()];
  const signer = softwareSigner(rootKeys.privateKey);
  const times = { notBefore: NOW - HOUR, notAfter: NOW + 24 * HOUR };
  const self = {
    subject: { commonName: 'root' },
    publicKey: signer.publicKey,
    issuer: { signer },
    serial: newSerial(),
    ...times,
  };
  const root = parseCertificate(await makeCertificate({ ...self, extensions: rootProfile() }));
  const team = await makeCertificate({
    subject: { commonName: 'team' },
    publicKey: spkiOf(keys.publicKey),
    issuer: { certificate: root, signer },
    serial: newSerial(),
    ...times,
    extensions: intermediateProfile(names),
  });
  return { root, team: parseCertificate(team), keys };
}

const certify = async ({ team, keys }: Chain, name: AlternativeName, more: object = {}) =>
  await makeCertificate({
    subject: {},
    publicKey: spkiOf(newKeys().publicKey),
    issuer: { certificate: team, signer: softwareSigner(keys.privateKey) },
    serial: newSerial(),
    notBefore: NOW - 60_000,
    notAfter: NOW + HOUR,
    extensions: leafProfile(name),
    ...more,
  });

/** A leaf that nobody checked: what a thief of the team's key makes. */
const forged = ({ keys }: Chain, more: Parameters<typeof issueLeaf>[1]) =>
  issueDer({
    by: { name: 'team', keys },
    subject: Buffer.from('3000', 'hex'),
    keyUsage: 0x80,
    usages: [SIGNING],
    ...more,
  }).der;

function byStele({ root, team }: Chain, leaf: Uint8Array): boolean {
  try {
    verifyChain(parseCertificate(leaf), { intermediates: [team], roots: [root] }, NOW, nodePrimitives());
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(skips('certificates before OpenSSL', lacking('openssl')))('certificates before OpenSSL and Go', () => {
  const judge = buildJudge('certificate-chains');
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let chain: Chain;

  beforeAll(async () => {
    dir = await tempDir();
    chain = await newChain();
    writeFileSync(join(dir.path, 'root.pem'), pem(chain.root.der));
    writeFileSync(join(dir.path, 'team.pem'), pem(chain.team.der));
  });
  afterAll(() => dir?.remove());

  /** By the index of the leaf. */
  const byOpenssl = (leaves: readonly Uint8Array[]): boolean[] => {
    const files = leaves.map((leaf, at) => {
      const path = join(dir.path, `leaf-${at}.pem`);
      writeFileSync(path, pem(leaf));
      return path;
    });
    const args = ['verify', '-CAfile', join(dir.path, 'root.pem'), '-untrusted', join(dir.path, 'team.pem'), ...files];
    const { stdout } = spawnSync('openssl', args, { encoding: 'utf8', maxBuffer: 1 << 26 });
    const good = new Set(stdout.split('\n'));
    return files.map((path) => good.has(`${path}: OK`));
  };
  const byGo = (leaves: readonly Uint8Array[]): boolean[] | undefined => {
    if (typeof judge === 'string') return undefined;
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const first = { root: base64(chain.root.der), intermediate: base64(chain.team.der), time: NOW / 1000 };
    const input = [first, ...leaves.map((leaf) => ({ leaf: base64(leaf) }))]
      .map((line) => JSON.stringify(line))
      .join('\n');
    const { stdout, status, stderr } = spawnSync(judge.program, { input, encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line === 'ok');
  };

  it('the root and the authority hold by strict rules', () => {
    const args = ['verify', '-x509_strict', '-CAfile', join(dir.path, 'root.pem'), join(dir.path, 'team.pem')];
    expect(spawnSync('openssl', args, { encoding: 'utf8' }).stdout).toMatch(/: OK$/m);
  });

  it('Stele verifies no name that one of them refuses, and certifies fewer still', async () => {
    const leaves = CASES.map((name) => forged(chain, { names: [generalName(name)] }));
    const openssl = byOpenssl(leaves);
    const go = byGo(leaves) ?? openssl;
    const certified: string[] = [];
    for (const [at, text] of CASES.entries()) {
      const verified = byStele(chain, leaves[at]!);
      if (verified) expect({ text, openssl: openssl[at], go: go[at] }).toEqual({ text, openssl: true, go: true });
      const [type, value] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)];
      if (type !== 'uri' && type !== 'dns' && type !== 'email') continue;
      const made = await certify(chain, { type, value: value }).then(
        () => true,
        () => false,
      );
      if (made) {
        certified.push(text);
        expect(verified, text).toBe(true);
      }
    }
    // Some names of each kind hold, so that the test is about more than refusals; and each judge refuses some.
    expect(certified).toEqual(
      expect.arrayContaining([
        'uri:https://example.com/x',
        'dns:a.b.example.com',
        'email:ann@example.net',
        'uri:spiffe://build.example.net/ns/a',
      ]),
    );
    expect(certified).not.toEqual(expect.arrayContaining(['uri:https://www.example.com/x']));
    expect(openssl.filter((one) => !one).length).toBeGreaterThan(20);
    expect(go.filter((one) => !one).length).toBeGreaterThan(20);
  });

  it.skipIf(skips('names that Go alone takes', typeof judge === 'string' ? judge : undefined))(
    'the two read a domain differently, and Stele takes what both take',
    () => {
      const leaf = forged(chain, { names: [generalName('uri:https://www.example.com/x')] });
      expect([byOpenssl([leaf])[0], byGo([leaf])![0], byStele(chain, leaf)]).toEqual([false, true, false]);
    },
  );

  it('what was certified, holds', async () => {
    const names: AlternativeName[] = [
      { type: 'uri', value: 'spiffe://build.example.net/ns/a' },
      { type: 'uri', value: 'https://example.com/owner/repo/.github/workflows/a.yml@refs/heads/main' },
      { type: 'email', value: 'ann@example.net' },
      { type: 'dns', value: 'www.example.com' },
    ];
    const leaves = await Promise.all(names.map((name) => certify(chain, name)));
    expect(byOpenssl(leaves)).toEqual([true, true, true, true]);
    expect(byGo(leaves) ?? [true, true, true, true]).toEqual([true, true, true, true]);
    expect(leaves.map((leaf) => byStele(chain, leaf))).toEqual([true, true, true, true]);
  });

  it('an authority below the team, and a leaf with a common name of another host, are refused', () => {
    const below = issueCa('below', { name: 'team', keys: chain.keys, certificate: chain.team });
    const leaf = issueDer({
      by: below,
      names: [generalName('uri:https://example.com/x')],
      keyUsage: 0x80,
      usages: [SIGNING],
    }).der;
    writeFileSync(join(dir.path, 'team.pem'), pem(chain.team.der, below.certificate.der));
    const taken = byOpenssl([leaf]);
    writeFileSync(join(dir.path, 'team.pem'), pem(chain.team.der));
    expect(taken).toEqual([false]);
    const named = issueDer({
      by: { name: 'team', keys: chain.keys },
      name: 'www.example.org',
      keyUsage: 0x80,
      usages: [SIGNING],
      names: [generalName('uri:https://example.com/x')],
    }).der;
    expect([byOpenssl([named])[0], byStele(chain, named)]).toEqual([false, false]);
  });

  it('requests are read by both', async () => {
    const signer = softwareSigner(newKeys().privateKey);
    const own = join(dir.path, 'own.csr');
    writeFileSync(own, await makeRequest(signer, 'team'));
    const { stderr, status } = spawnSync('openssl', ['req', '-in', own, '-verify', '-noout'], { encoding: 'utf8' });
    expect(stderr).toMatch(/verify OK/);
    expect(status).toBe(0);
    const theirs = join(dir.path, 'theirs.csr');
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(dir.path, 'k.pem')];
    spawnSync('openssl', ['req', '-new', ...key, '-subj', '/CN=x', '-addext', 'subjectAltName=DNS:x', '-out', theirs]);
    expect(readRequest(readFileSync(theirs))).toHaveLength(91);
  });
});

const unable = lacking('openssl') ?? (have('cosign') ? undefined : 'cosign is not on PATH');

describe.skipIf(skips('certificates before cosign', unable))('certificates before cosign', () => {
  const ISSUER = 'https://issuer.example.com';
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let stamps: Authority;
  let chain: Chain;
  const ctKeys = newKeys();
  const at = (...names: string[]) => join(dir.path, ...names);
  const trust = (name = 'trusted_root.json') => at('trust', name);

  beforeAll(async () => {
    dir = await tempDir();
    server = await startServer(at('data'));
    mkdirSync(at('tsa'));
    stamps = await startAuthority(at('tsa'));
    chain = await newChain();
    writeFileSync(at('chain.pem'), pem(chain.team.der, chain.root.der));
    writeFileSync(at('ct.pub.pem'), ctKeys.publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(at('blob'), 'what is signed');
    const log = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
    expect(await stele(['trust', 'files', at('trust'), ...log])).toMatchObject({ code: 0 });
    const added = await stele([
      ...[
        'ca',
        'trust',
        at('trust'),
        '--chain',
        at('chain.pem'),
        '--url',
        'https://ca.example.com',
        '--ct-key',
        at('ct.pub.pem'),
      ],
      ...['--tsa', stamps.tsaUrl, '--tsa-chain', stamps.tsaChain, '--oidc', ISSUER],
    ]);
    expect(added, added.stderr).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/trusted_root\.json, trusted_root\.v0\.2/),
    });
  }, 60_000);
  afterAll(async () => {
    await stamps?.close();
    await server?.stop();
    await dir?.remove();
  });

  const issuerExtension = { oid: '1.3.6.1.4.1.57264.1.8', critical: false, value: derOf(0x0c, Buffer.from(ISSUER)) };

  /** A bundle for the blob: signed by the leaf, logged, stamped. */
  const bundleOf = async (name: string, leaf: Uint8Array, key: KeyObject): Promise<string> => {
    const [certificate, signature, digest] = [
      at(`${name}.pem`),
      at(`${name}.sig`),
      createHash('sha256').update('what is signed'),
    ];
    writeFileSync(certificate, pem(leaf));
    writeFileSync(signature, sign('sha256', Buffer.from('what is signed'), key));
    const out = at(`${name}.sigstore.json`);
    const how = [
      '--digest',
      digest.digest('hex'),
      '--signature',
      signature,
      '--certificate',
      certificate,
      '--out',
      out,
    ];
    const logged = await stele(['submit', ...how, '--log', server.url, '--log-key', server.verifierKeys[0]!]);
    expect(logged, logged.stderr).toMatchObject({ code: 0 });
    const bundle = JSON.parse(readFileSync(out, 'utf8'));
    const stamp = await stamps.timestamp(readFileSync(signature));
    bundle.verificationMaterial.timestampVerificationData = {
      rfc3161Timestamps: [{ signedTimestamp: stamp.toString('base64') }],
    };
    writeFileSync(out, JSON.stringify(bundle));
    return out;
  };
  const signed = async (name: string, value: string): Promise<string> => {
    const keys = newKeys();
    const extensions = [...leafProfile({ type: 'uri', value }), issuerExtension];
    const timestamps = async (tbs: Uint8Array) => ({
      oid: '1.3.6.1.4.1.11129.2.4.2',
      value: derOf(0x04, listOf(makeSct(tbs, { keys: ctKeys, time: NOW, issuer: chain.team.spki }))),
    });
    const leaf = await certify(
      chain,
      { type: 'uri', value },
      { publicKey: spkiOf(keys.publicKey), extensions, timestamps },
    );
    return await bundleOf(name, leaf, keys.privateKey);
  };
  const who = (value: string) => ['--certificate-identity', value, '--certificate-oidc-issuer', ISSUER];
  const cosign = (bundle: string, value: string, root = trust()) =>
    run('cosign', ['verify-blob', '--bundle', bundle, '--trusted-root', root, ...who(value), at('blob')], {
      env: { HOME: dir.path },
    });
  const bySteleCli = (bundle: string, value: string, root = trust()) =>
    stele(['verify', at('blob'), '--bundle', bundle, '--trusted-root', root, '--identity', value, '--issuer', ISSUER]);

  it.each(['spiffe://build.example.net/ns/a', 'https://example.com/x@refs/heads/main'])(
    'both verify %s with no insecure flag',
    async (value) => {
      const bundle = await signed('good', value);
      const [one, other] = [await cosign(bundle, value), await bySteleCli(bundle, value)];
      expect(one, one.stderr).toMatchObject({ code: 0 });
      expect(other, other.stderr).toMatchObject({ code: 0 });
      expect((await cosign(bundle, 'https://example.com/other')).code).not.toBe(0);
      expect(await bySteleCli(bundle, 'https://example.com/other')).toMatchObject({ code: 1 });
    },
  );

  it('both refuse a name outside of the constraints, and a leaf without a timestamp of the CT key', async () => {
    const keys = newKeys();
    const outside = 'spiffe://other.example.net/ns/a';
    const sct = (tbs: Uint8Array, ct = ctKeys) => ({
      oid: '1.3.6.1.4.1.11129.2.4.2',
      value: derOf(0x04, listOf(makeSct(tbs, { keys: ct, time: NOW, issuer: chain.team.spki }))),
    });
    const wish = { keys, from: new Date(NOW - 60_000).toISOString(), to: new Date(NOW + HOUR).toISOString() };
    const bare = {
      ...wish,
      names: [generalName(`uri:${outside}`)],
      extensions: [{ oid: issuerExtension.oid, value: Buffer.from(issuerExtension.value) }],
    };
    const serial = Buffer.alloc(8, 7);
    const first = parseCertificate(forged(chain, { ...bare, serial }));
    const leaf = forged(chain, {
      ...bare,
      serial,
      extensions: [...bare.extensions, sct(first.tbs)].map((one) => ({ oid: one.oid, value: Buffer.from(one.value) })),
    });
    const bundle = await bundleOf('outside', leaf, keys.privateKey);
    const said = await cosign(bundle, outside);
    expect(said.code).not.toBe(0);
    expect(said.stderr).toMatch(/constraint|not permitted|verif/i);
    expect(await bySteleCli(bundle, outside)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/may not certify/),
    });
    const value = 'spiffe://build.example.net/ns/b';
    const unstamped = await certify(
      chain,
      { type: 'uri', value },
      { publicKey: spkiOf(keys.publicKey), extensions: [...leafProfile({ type: 'uri', value }), issuerExtension] },
    );
    const second = await bundleOf('no-sct', unstamped, keys.privateKey);
    expect((await cosign(second, value)).code).not.toBe(0);
    expect(await bySteleCli(second, value)).toMatchObject({ code: 1, stderr: expect.stringMatching(/bad-sct/) });
  });

  it('a client that follows the repository learns of an authority, and of its revocation', async () => {
    const value = 'spiffe://build.example.net/ns/a';
    const bundle = await signed('followed', value);
    const done = async (...args: string[]) => {
      const ran = await stele(args, { cwd: dir.path });
      expect(ran, `${args.join(' ')}: ${ran.stderr}`).toMatchObject({ code: 0 });
    };
    await done('keygen', '--algorithm', 'ecdsa-p256', '--out', 'holder.pem');
    await done('keygen', '--algorithm', 'ecdsa-p256', '--out', 'online.pem');
    const role = (holder: string) => `{ holders: [${holder}], threshold: 1, expires: 30d }`;
    writeFileSync(
      at('plan.yaml'),
      `holders: { holder: holder.pub.pem, online: online.pub.pem }
root: ${role('holder')}
targets: ${role('holder')}
snapshot: ${role('online')}
timestamp: ${role('online')}
`,
    );
    const files = () => {
      const names = readdirSync(at('repository', 'public'), { recursive: true, withFileTypes: true });
      const paths = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
      return new Map(paths.map((path) => [relative(at('repository', 'public'), path), readFileSync(path)]));
    };
    const publish = async (trusted: string) => {
      await done('trust', 'stage', 'repository', trusted);
      await done('trust', 'sign', 'repository', '--key', 'holder.pem', '--yes');
      await done('trust', 'publish', 'repository', '--key', 'online.pem');
    };
    await done('trust', 'init', 'repository', '--plan', 'plan.yaml');
    await publish('trust');
    const mirror = await startMirror(files());
    try {
      await done('trust', 'use', mirror.url, '--root', 'repository/public/1.root.json', '--trust', 'followed');
      const verify = () =>
        stele(['verify', 'blob', '--bundle', bundle, '--trust', 'followed', '--identity', value, '--issuer', ISSUER], {
          cwd: dir.path,
        });
      const before = await verify();
      expect(before, before.stderr).toMatchObject({ code: 0 });
      spawnSync('cp', ['-r', at('trust'), at('ended')]);
      await done('ca', 'revoke', 'ended', '--chain', 'chain.pem', '--at', new Date(NOW - 30_000).toISOString());
      await publish('ended');
      mirror.files = files();
      await done('trust', 'update', '--trust', 'followed');
      expect(await verify()).toMatchObject({ code: 1 });
    } finally {
      await mirror.close();
    }
  });

  it('both refuse what was signed after the revocation, and take what was signed before', async () => {
    const value = 'spiffe://build.example.net/ns/a';
    const bundle = await signed('revoked', value);
    for (const [name, time, code] of [
      ['before', NOW - 30_000, 1],
      ['after', NOW + 30 * 60_000, 0],
    ] as const) {
      spawnSync('cp', ['-r', at('trust'), at(name)]);
      const end = new Date(time).toISOString();
      const ended = await stele(['ca', 'revoke', at(name), '--chain', at('chain.pem'), '--at', end]);
      expect(ended, ended.stderr).toMatchObject({ code: 0 });
      const root = at(name, 'trusted_root.json');
      expect((await cosign(bundle, value, root)).code === 0, `cosign ${name}`).toBe(code === 0);
      expect((await bySteleCli(bundle, value, root)).code, `stele ${name}`).toBe(code);
      expect(
        JSON.parse(readFileSync(at(name, 'signing_config.v0.2.json'), 'utf8')).caUrls[0].validFor.end,
      ).toBeDefined();
    }
  });
});
