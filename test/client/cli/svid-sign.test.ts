/** `--svid` of what signs, before a small Workload API and a real log: `npm run build` first. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatTrustedRoot } from '../../../client/trust/format-trusted-root.ts';
import { trustedRootOf } from '../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { issueSvid } from '../../merkle/spiffe/make-svid.ts';
import { issueCa } from '../../merkle/x509/make.ts';
import { startFulcioAuthority } from '../../support/fulcio-authority.ts';
import type { Json } from '../../support/instance.ts';
import { tempDir } from '../../support/log.ts';
import { type Ran, type ServeProcess, startServer, stele } from '../../support/serve.ts';
import { startTimeAuthority, type TimeAuthority } from '../../support/time-authority.ts';
import { WorkloadApiServer } from '../../support/workload-api.ts';

const BUILD = 'spiffe://example.org/build';
const TEST = 'spiffe://example.org/test';
let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let api: WorkloadApiServer;
let tsa: TimeAuthority;
const at = (name: string) => join(dir.path, name);

beforeAll(async () => {
  dir = await tempDir();
  log = await startServer(at('log'));
  tsa = await startTimeAuthority();
  api = await WorkloadApiServer.start({ socket: at('agent.sock'), identities: [{ id: BUILD }, { id: TEST }] });
  await writeFile(at('bundle.json'), api.bundle());
  const ours = trustedRootOf(log.url, parseVerifierKey(log.verifierKeys[0]!), 0, 'us');
  const { tlogs, mediaType } = JSON.parse(Buffer.from(formatTrustedRoot(ours, '0.1')).toString());
  await writeFile(at('root.json'), JSON.stringify({ mediaType, tlogs, ...tsa.trust }));
  for (const name of ['one', 'two']) await writeFile(at(name), name);
  await writeFile(at('predicate.json'), '{}');
});
afterAll(async () => {
  await Promise.all([log.stop(), tsa.close(), api.close()]);
  await dir.remove();
});

const cli = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> =>
  stele(args, { cwd: dir.path, env: { SPIFFE_ENDPOINT_SOCKET: api.address, ...env } });
const place = () => ['--log', log.url, '--log-key', log.verifierKeys[0]!, '--tsa', tsa.url];
const verify = (file: string, ...more: readonly string[]) =>
  cli([
    ...['verify', file, '--trusted-root', 'root.json', ...more],
    ...(more.includes('--spiffe-bundle') ? [] : ['--spiffe-bundle', 'example.org=bundle.json']),
    ...(more.includes('--bundle') ? [] : ['--bundle', `${file}.sigstore.json`]),
  ]);

describe('stele sign as a workload', () => {
  it.each<[string, () => string[], NodeJS.ProcessEnv]>([
    ['the URI of SPIFFE_ENDPOINT_SOCKET', () => [], {}],
    ['the bare path in SPIFFE_ENDPOINT_SOCKET', () => [], { SPIFFE_ENDPOINT_SOCKET: 'agent.sock' }],
    ['--workload-api', () => ['--workload-api', api.address], { SPIFFE_ENDPOINT_SOCKET: '' }],
  ])('takes its SVID from the Workload API at %s', async (_, more, env) => {
    const own = env.SPIFFE_ENDPOINT_SOCKET === 'agent.sock' ? { SPIFFE_ENDPOINT_SOCKET: at('agent.sock') } : env;
    const { code, stdout, stderr } = await cli(['sign', 'one', '--svid', ...more(), ...place()], own);
    expect(stderr).toContain(`signing as ${BUILD}, whose SVID is valid until 20`);
    expect(code).toBe(0);
    expect(stdout).toContain(`--spiffe-bundle example.org=BUNDLE.json --identity ${BUILD} --log-key`);
    expect(await verify('one', '--identity', BUILD)).toMatchObject({ code: 0 });
    expect(await verify('one', '--identity', TEST)).toMatchObject({ code: 1 });
  });

  it('chooses among several SVIDs, and signs many files', async () => {
    const { code, stdout } = await cli(['sign', 'one', 'two', '--svid-id', TEST, ...place(), '--json']);
    expect(code).toBe(0);
    const { files } = JSON.parse(stdout) as Json;
    expect(files[1].signer).toMatchObject({ names: [{ type: 'uri', value: TEST }], issuer: null });
    for (const file of ['one', 'two']) expect(await verify(file, '--identity', TEST)).toMatchObject({ code: 0 });
    const missing = await cli(['sign', 'one', '--svid-id', 'spiffe://example.org/other', ...place()]);
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('error [svid]') });
  });

  it('attests', async () => {
    const what = ['attest', 'one', '--predicate', 'predicate.json', '--type', 'custom', '--out', 'one.att.json'];
    expect(await cli([...what, '--svid', ...place()])).toMatchObject({ code: 0 });
    expect(await verify('one', '--bundle', 'one.att.json', '--identity', BUILD, '--type', 'custom')).toMatchObject({
      code: 0,
    });
  });

  it('takes an SVID in files, and puts the certificates above it into the bundle', async () => {
    const team = issueCa('team', api.authority());
    const { certificate, keys } = issueSvid(team, BUILD, { from: '2026-01-01T00:00:00Z', to: '2040-01-01T00:00:00Z' });
    const chain = [certificate, team.certificate].map(({ der }) => formatPem('CERTIFICATE', der)).join('');
    await writeFile(at('svid.pem'), chain);
    await writeFile(at('svid.key'), keys.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    const files = ['--svid-cert', 'svid.pem', '--svid-key', 'svid.key'];
    expect(await cli(['sign', 'two', ...files, ...place()])).toMatchObject({ code: 0 });
    const bundle = JSON.parse(await readFile(at('two.sigstore.json'), 'utf8'));
    expect(bundle.mediaType).toBe('application/vnd.dev.sigstore.bundle+json;version=0.2');
    expect(bundle.verificationMaterial.x509CertificateChain.certificates).toHaveLength(2);
    expect(await verify('two', '--identity', BUILD)).toMatchObject({ code: 0 });
    // The way over a bundle that is logged later keeps them too.
    expect(await cli(['sign', 'two', ...files, '--no-log', '--tsa', tsa.url, '--out', 'later.json'])).toMatchObject({
      code: 0,
    });
    const submit = ['submit', 'later.json', '--log', log.url, '--log-key', log.verifierKeys[0]!];
    expect(await cli(submit)).toMatchObject({ code: 0 });
    expect(await verify('two', '--bundle', 'later.json', '--identity', BUILD)).toMatchObject({ code: 0 });
    // As any other certificate it stays refused: --certificate says nothing of SPIFFE.
    const plain = await cli(['sign', 'two', '--key', 'svid.key', '--certificate', 'svid.pem', ...place()]);
    expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining('is not for code signing') });
  });

  it('logs nothing where the Workload API is away or lies', async () => {
    const sign = (env: NodeJS.ProcessEnv = {}) =>
      cli(['sign', 'one', '--svid', ...place(), '--out', 'never.json'], env);
    expect(await sign({ SPIFFE_ENDPOINT_SOCKET: at('nothing.sock') })).toMatchObject({ code: 2 });
    expect(await sign({ SPIFFE_ENDPOINT_SOCKET: '' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--workload-api'),
    });
    api.spoil = (svids) => svids.map((one) => ({ ...one, spiffeId: 'spiffe://example.org/somebody' }));
    expect(await sign()).toMatchObject({ code: 2 });
    api.spoil = (svids) => svids;
    await expect(readFile(at('never.json'))).rejects.toThrow('ENOENT');
  });

  it.each([
    [['--key', 'key.pem']],
    [['--certificate', 'svid.pem']],
    [['--keyless']],
    [['--svid-cert', 'svid.pem']],
    [['--workload-api', '/run/a.sock', '--svid-cert', 'svid.pem', '--svid-key', 'svid.key']],
  ])('takes no %s beside', async (more) => {
    expect(await cli(['sign', 'one', '--svid', ...more, ...place()])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('error [usage]'),
    });
  });
});

describe('stele sign without a key', () => {
  it('takes a JWT-SVID from the Workload API', async () => {
    const authority = await startFulcioAuthority();
    authority.lie = { issuer: 'spiffe://example.org' };
    const { code, stderr } = await cli(['sign', 'one', '--certificate-authority', authority.url, ...place()]);
    expect(stderr).toContain('using the identity token of the SPIFFE Workload API');
    expect(stderr).toContain(`for ${BUILD} (URI, issuer spiffe://example.org)`);
    expect(code).toBe(0);
    expect(authority.asked[0]!.claims).toMatchObject({ sub: BUILD, aud: expect.anything() });
    await authority.close();
  });
});
