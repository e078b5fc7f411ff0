/** Signing without a key, with the built commands and a real log: `npm run build` first. */
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatTrustedRoot } from '../../../../client/trust/format-trusted-root.ts';
import { trustedRootOf } from '../../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../../merkle/note.ts';
import { der } from '../../../merkle/x509/make.ts';
import { type FulcioAuthority, startFulcioAuthority } from '../../../support/fulcio-authority.ts';
import type { Json } from '../../../support/instance.ts';
import { startIssuer, type TestIssuer } from '../../../support/issuer.ts';
import { tempDir } from '../../../support/log.ts';
import { type Ran, type ServeProcess, startServer, stele } from '../../../support/serve.ts';
import { startTimeAuthority, type TimeAuthority } from '../../../support/time-authority.ts';
import { TufMaker } from '../../../support/tuf-maker.ts';
import { startMirror } from '../../../support/tuf-mirror.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let issuer: TestIssuer;
let authority: FulcioAuthority;
let tsa: TimeAuthority;
const at = (name: string) => join(dir.path, name);

beforeAll(async () => {
  dir = await tempDir();
  issuer = await startIssuer({ audience: 'sigstore' });
  authority = await startFulcioAuthority();
  tsa = await startTimeAuthority();
  log = await startServer(at('log'));
  const key = parseVerifierKey(log.verifierKeys[0]!);
  const { tlogs } = JSON.parse(Buffer.from(formatTrustedRoot(trustedRootOf(log.url, key, 0, 'us'), '0.1')).toString());
  const mediaType = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';
  await writeFile(at('root.json'), JSON.stringify({ mediaType, tlogs, ...authority.trust(), ...tsa.trust }));
  const service = (url: string, majorApiVersion: number) => [
    { url, majorApiVersion, validFor: { start: '2026-01-01T00:00:00Z' }, operator: 'us' },
  ];
  const config = {
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    caUrls: service(authority.url, 1),
    oidcUrls: service('https://login.example.com', 1),
    rekorTlogUrls: service(log.url, 2),
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: service(tsa.url, 1),
    tsaConfig: { selector: 'ANY' },
  };
  await writeFile(at('config.json'), JSON.stringify(config));
  for (const name of ['one', 'two', 'three']) await writeFile(at(name), name);
  await writeFile(at('predicate.json'), '{"a":1}');
});
beforeEach(() => {
  authority.lie = {};
  authority.log = undefined;
  authority.asked.length = 0;
});
afterAll(async () => {
  await Promise.all([log.stop(), issuer.close(), authority.close(), tsa.close()]);
  await dir.remove();
});

/** Without what the machine of the tests, which may itself be of a build system, gives to its jobs. */
const QUIET = {
  SIGSTORE_ID_TOKEN: '',
  ACTIONS_ID_TOKEN_REQUEST_URL: '',
  BUILDKITE_AGENT_ACCESS_TOKEN: '',
  CIRCLE_OIDC_TOKEN_V2: '',
  GCE_METADATA_HOST: '',
  SPIFFE_ENDPOINT_SOCKET: '',
  GITHUB_ACTIONS: '',
  GITLAB_CI: '',
};
const cli = (args: readonly string[], env: NodeJS.ProcessEnv = {}, input?: string): Promise<Ran> =>
  stele(args, { cwd: dir.path, env: { ...QUIET, ...env }, ...(input === undefined ? {} : { input }) });
const services = ['--signing-config', 'config.json', '--trusted-root', 'root.json'];
const checkpoint = async () => (await (await fetch(`${log.url}/checkpoint`)).text()).split('\n')[1];

async function tokenFile(name: string, claims: object = {}): Promise<string> {
  await writeFile(at(name), `${issuer.token({ ...claims })}\n`, { mode: 0o600 });
  return name;
}

const verify = (file: string, ...more: string[]) =>
  cli([
    ...['verify', file, '--trusted-root', 'root.json', ...more],
    ...(more.includes('--bundle') ? [] : ['--bundle', `${file}.sigstore.json`]),
  ]);
const who = () => ['--identity', 'release@example.com', '--issuer', issuer.url];

describe('stele sign without a key', () => {
  it('signs with a token in a file, and the bundle verifies with its time stamp and its SCT', async () => {
    const { code, stdout, stderr } = await cli([
      'sign',
      'one',
      '--identity-token',
      await tokenFile('token'),
      ...services,
    ]);
    expect(stderr).toContain('using the identity token of token\n');
    expect(stderr).toContain(`certified the key of this run for release@example.com (e-mail, issuer ${issuer.url})`);
    expect(stderr).not.toContain('warning');
    expect(code).toBe(0);
    expect(stdout).toContain(`--identity release@example.com --issuer ${issuer.url} --trusted-root root.json`);
    expect(await verify('one', ...who(), '--require-sct', '--require-timestamps', '1')).toMatchObject({ code: 0 });
    expect(await verify('one', '--identity', 'other@example.com')).toMatchObject({ code: 1 });
    expect(existsSync(at('one.key.pem'))).toBe(false);
  });

  it('signs many files with one certificate, for which it asks once', async () => {
    const files = ['one', 'two', 'three'];
    const args = ['sign', ...files, '--identity-token', await tokenFile('token'), ...services, '--json'];
    const { code, stdout } = await cli(args);
    expect(code).toBe(0);
    const facts = JSON.parse(stdout) as Json;
    expect(facts.files[1].signer).toMatchObject({
      names: [{ type: 'email', value: 'release@example.com' }],
      issuer: issuer.url,
    });
    expect(authority.asked).toHaveLength(1);
    const certificates = await Promise.all(
      files.map(
        async (file) =>
          JSON.parse(await readFile(at(`${file}.sigstore.json`), 'utf8')).verificationMaterial.certificate,
      ),
    );
    expect(new Set(certificates.map(({ rawBytes }) => rawBytes)).size).toBe(1);
    for (const file of files) expect(await verify(file, ...who())).toMatchObject({ code: 0 });
  });

  it('says where the certificate is in the log', async () => {
    authority.log = { url: log.url, key: parseVerifierKey(log.verifierKeys[0]!) };
    const { code, stderr } = await cli(['sign', 'one', '--identity-token', await tokenFile('token'), ...services]);
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`, in the log ${log.origin} as entry \\d+\n`));
  });

  it('warns where no trusted root says which authorities count, and where nothing says when', async () => {
    const place = ['--certificate-authority', authority.url, '--log', log.url, '--log-key', log.verifierKeys[0]!];
    const { code, stderr } = await cli(['sign', 'two', ...place, '--identity-token', await tokenFile('token')]);
    expect(code).toBe(0);
    expect(stderr).toContain('without --trusted-root this command takes what');
    expect(stderr).toContain('without --tsa nothing in the bundle says');
    // A policy without a quorum gives no time either.
    await writeFile(at('no-quorum'), `log ${log.verifierKeys[0]}\nquorum none\n`);
    const bare = ['--certificate-authority', authority.url, '--log', log.url, '--policy', 'no-quorum'];
    const ran = await cli(['sign', 'two', ...bare, '--identity-token', await tokenFile('token')]);
    expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining('without --tsa nothing in the bundle says') });
  });

  it('takes the authorities of a trusted root, and the log of a key', async () => {
    const place = ['--certificate-authority', authority.url, '--log', log.url, '--log-key', log.verifierKeys[0]!];
    const args = ['sign', 'two', ...place, '--trusted-root', 'root.json', '--tsa', tsa.url];
    const { code, stderr } = await cli([...args, '--identity-token', await tokenFile('token')]);
    expect(stderr).not.toContain('warning');
    expect(code).toBe(0);
    authority.lie = { ct: null };
    const lied = await cli([...args, '--identity-token', await tokenFile('token')]);
    expect(lied).toMatchObject({ code: 1, stderr: expect.stringContaining('error [bad-sct]') });
  });

  it('attests', async () => {
    const what = ['attest', 'one', '--predicate', 'predicate.json', '--type', 'custom', '--out', 'one.sigstore.json'];
    const { code } = await cli([...what, '--identity-token', await tokenFile('token'), ...services]);
    expect(code).toBe(0);
    expect(await verify('one', ...who(), '--type', 'custom')).toMatchObject({ code: 0 });
  });

  it('records a step, and makes no link for layouts', async () => {
    const step = ['record', '-n', 'build', '-p', 'made', '--out', 'made.sigstore.json'];
    const how = ['--identity-token', await tokenFile('token'), ...services];
    const command = ['--', 'sh', '-c', 'echo made > made'];
    expect(await cli([...step, ...how, ...command])).toMatchObject({ code: 0 });
    expect(await verify('made', ...who(), '--type', 'link03')).toMatchObject({ code: 0 });
    // A step may take longer than a certificate is good for: nothing is asked for before there is something to sign.
    authority.asked.length = 0;
    const failed = await cli([...step, '--identity-token', await tokenFile('token'), ...services, '--', 'false']);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('error [command]') });
    expect(authority.asked).toHaveLength(0);
    const linked = await cli([...step, ...how, '--link-dir', 'links', ...command]);
    expect(linked).toMatchObject({ code: 2, stderr: expect.stringContaining('leave out --link-dir') });
  });

  it('signs the summary of a decision', async () => {
    const what = ['attest', 'one', '--predicate', 'predicate.json', '--type', 'custom', '--out', 'evidence.json'];
    expect(await cli([...what, '--identity-token', await tokenFile('token'), ...services])).toMatchObject({ code: 0 });
    const rules = 'rules: [{ name: reviewed, type: custom, signers: [release] }]';
    const signers = `signers: { release: { identity: release@example.com, issuer: '${issuer.url}' } }`;
    await writeFile(at('policy.yaml'), `version: 1\nname: releases\n${signers}\n${rules}\n`);
    const decide = ['decide', 'one', '--policy', 'policy.yaml', '--evidence', 'evidence.json', ...services];
    const uris = ['--resource-uri', 'https://example.com/one', '--verifier-id', 'https://example.com/verifier'];
    const summary = [...decide, '--vsa', 'vsa.json', ...uris];
    const deciding = await tokenFile('token', { email: 'verifier@example.com' });
    const ran = await cli([...summary, '--identity-token', deciding]);
    expect(ran.stderr).not.toContain('warning');
    expect(ran).toMatchObject({ code: 0 });
    const by = ['--identity', 'verifier@example.com', '--issuer', issuer.url, '--type', 'vsa'];
    expect(await verify('one', '--bundle', 'vsa.json', ...by)).toMatchObject({ code: 0 });
    // A quorum policy or a key of the log does not make it forget which authorities count.
    authority.lie = { ct: null };
    const named = ['--log', log.url, '--log-key', log.verifierKeys[0]!, '--certificate-authority', authority.url];
    const lied = await cli([
      ...['decide', 'one', '--policy', 'policy.yaml', '--evidence', 'evidence.json', '--trusted-root', 'root.json'],
      ...['--vsa', 'vsa.json', ...uris, ...named, '--tsa', tsa.url],
      ...['--identity-token', await tokenFile('token')],
    ]);
    expect(lied.stderr).toContain('no timestamp of a certificate-transparency log');
  });

  it('keeps an entry for later only with a time stamp', async () => {
    const later = ['sign', 'three', '--certificate-authority', authority.url];
    const token = ['--identity-token', await tokenFile('token')];
    for (const place of [['--no-log'], ['--queue', 'queue', '--log', log.url]]) {
      const ran = await cli([...later, ...token, ...place]);
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('give --tsa') });
    }
    expect(authority.asked).toHaveLength(0);
    const stamped = ['--tsa', tsa.url, '--trusted-root', 'root.json', '--out', 'unlogged.json'];
    expect(await cli([...later, ...token, '--no-log', ...stamped])).toMatchObject({ code: 0 });
    const submit = ['submit', 'unlogged.json', '--log', log.url, '--trusted-root', 'root.json'];
    expect(await cli(submit)).toMatchObject({ code: 0 });
    expect(await verify('three', '--bundle', 'unlogged.json', ...who())).toMatchObject({ code: 0 });
    const queued = ['--queue', 'queue', '--out', 'queued.json', ...services];
    expect(await cli(['sign', 'three', '--identity-token', await tokenFile('token'), ...queued])).toMatchObject({
      code: 0,
    });
    expect(await cli(['submit', '--flush', '--queue', 'queue'])).toMatchObject({ code: 0 });
    expect(await verify('three', '--bundle', 'queued.json', ...who())).toMatchObject({ code: 0 });
  });

  it.each([
    ['--key', 'key.pem'],
    ['--new-key', 'key.pem'],
    ['--agent-key', 'key.pub'],
    ['--certificate', 'chain.pem'],
    ['--public-out', 'key.pub'],
    ['--pkcs11-module', 'module.so'],
    ['--label', 'release'],
  ])('takes no %s', async (option, value) => {
    const ran = await cli(['sign', 'one', option, value, '--identity-token', await tokenFile('token'), ...services]);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining(`leave out ${option}`) });
    expect(authority.asked).toHaveLength(0);
  });

  it('logs nothing where the authority lies', async () => {
    const before = await checkpoint();
    authority.lie = { leaf: () => ({ names: [der(0x81, Buffer.from('other@example.com'))] }) };
    const ran = await cli(['sign', 'one', 'two', '--identity-token', await tokenFile('token'), ...services]);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('error [identity]') });
    expect(await checkpoint()).toBe(before);
  });

  it('takes the authority and all trust from a followed repository, also beside a policy', async () => {
    const policy = `log ${log.verifierKeys[0]}\nquorum none\n`;
    for (const [name, files] of [
      ['followed', {}],
      ['followed-policy', { policy }],
    ] as const) {
      const maker = new TufMaker();
      maker.target('trusted_root.json', await readFile(at('root.json'), 'utf8'));
      maker.target('signing_config.v0.2.json', await readFile(at('config.json'), 'utf8'));
      for (const [target, text] of Object.entries(files)) maker.target(target, text);
      maker.publish();
      const mirror = await startMirror(maker.files);
      await writeFile(at('tuf-root.json'), maker.root());
      const env = { STELE_TRUST: at(name) };
      expect(await cli(['trust', 'use', mirror.url, '--root', 'tuf-root.json'], env)).toMatchObject({ code: 0 });
      const sign = async (out: string) =>
        await cli(['sign', 'one', '--out', out, '--identity-token', await tokenFile('token')], env);
      authority.lie = {};
      const signed = await sign('followed.json');
      expect(signed.stderr).not.toContain('warning');
      expect(signed).toMatchObject({ code: 0 });
      expect(await cli(['verify', 'one', '--bundle', 'followed.json', ...who()], env)).toMatchObject({ code: 0 });
      authority.lie = { ct: null };
      expect(await sign('never.json')).toMatchObject({ code: 1, stderr: expect.stringContaining('error [bad-sct]') });
      await mirror.close();
    }
    expect(existsSync(at('never.json'))).toBe(false);
  });

  it('names a signing configuration without an authority that counts', async () => {
    const config = JSON.parse(await readFile(at('config.json'), 'utf8'));
    const sign = async (change: object) => {
      await writeFile(at('changed.json'), JSON.stringify({ ...config, ...change }));
      const token = ['--identity-token', await tokenFile('token')];
      return await cli(['sign', 'one', ...token, '--signing-config', 'changed.json', '--trusted-root', 'root.json']);
    };
    expect(await sign({ caUrls: [] })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('error [usage]: no cert'),
    });
    const [ca] = config.caUrls;
    const ended = { ...ca, validFor: { start: '2020-01-01T00:00:00Z', end: '2021-01-01T00:00:00Z' } };
    for (const one of [ended, { ...ca, majorApiVersion: 2 }]) {
      expect(await sign({ caUrls: [one] })).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('[signing-config]'),
      });
    }
    // The newest one counts, and there is no other one to fall back to.
    const newer = { ...ca, url: 'http://127.0.0.1:1', validFor: { start: '2026-02-01T00:00:00Z' } };
    const failed = await sign({ caUrls: [ca, newer] });
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('127.0.0.1:1') });
    expect(await sign({ caUrls: [ended, ca] })).toMatchObject({ code: 0 });
    const both = ['sign', 'one', '--keyless', ...services, '--certificate-authority', authority.url];
    expect(await cli(both)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('leave out --certificate-authority'),
    });
  });
});

describe('the identity token', () => {
  const sign = (env: NodeJS.ProcessEnv, ...more: string[]) =>
    cli(['sign', 'one', '--keyless', ...services, ...more], env);
  const secretIn = ({ stdout, stderr }: Ran, token: string) => {
    for (let from = 0; from + 16 <= token.length; from += 8) {
      if (`${stdout}${stderr}`.includes(token.slice(from, from + 16))) return true;
    }
    return false;
  };
  const answering = async (answer: (path: string, headers: NodeJS.Dict<string | string[]>) => [number, string]) => {
    const server = createServer((request, reply) => {
      const [status, body] = answer(request.url ?? '', request.headers);
      reply.writeHead(status).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const close = () => {
      server.close();
      server.closeAllConnections();
    };
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, close };
  };

  it('is taken by no value, and then not printed', async () => {
    const token = issuer.token();
    for (const value of [token, ` ${token}`, `Bearer ${token}`]) {
      const ran = await cli(['sign', 'one', `--identity-token=${value}`, ...services]);
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('takes the name of a file') });
      expect(secretIn(ran, token)).toBe(false);
    }
    expect(authority.asked).toHaveLength(0);
  });

  it('comes from standard input', async () => {
    const ran = await cli(['sign', 'one', '--identity-token', '-', ...services], {}, issuer.token());
    expect(ran).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('using the identity token of standard input'),
    });
  });

  it('comes from SIGSTORE_ID_TOKEN, after a file that is named', async () => {
    const token = issuer.token();
    const ran = await sign({ SIGSTORE_ID_TOKEN: token });
    expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining('of the variable SIGSTORE_ID_TOKEN') });
    expect(secretIn(ran, token)).toBe(false);
    const named = await tokenFile('token', { email: 'named@example.com' });
    await sign({ SIGSTORE_ID_TOKEN: token }, '--identity-token', named);
    expect(authority.asked.at(-1)!.claims.email).toBe('named@example.com');
  });

  it('comes from GitHub Actions, for the audience that is asked for', async () => {
    const token = issuer.token();
    const paths: string[] = [];
    const github = await answering((path, { authorization }) => {
      paths.push(path);
      return authorization === 'Bearer request-secret' ? [200, JSON.stringify({ value: token })] : [401, token];
    });
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://${github.host}/token?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-secret',
    };
    const ran = await sign(env);
    expect(ran).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('using the identity token of GitHub Actions'),
    });
    expect(await sign(env, '--audience', 'https://ca.example.com')).toMatchObject({ code: 0 });
    expect(paths).toEqual([
      '/token?api-version=2&audience=sigstore',
      '/token?api-version=2&audience=https%3A%2F%2Fca.example.com',
    ]);
    const wrong = await sign({ ...env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'another-secret' });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('GitHub Actions gave no identity token') });
    for (const secret of [token, 'another-secret']) expect(wrong.stderr).not.toContain(secret);
    github.close();
  });

  it.each([
    ['another status', 500, '{"value":"eyJhbGciOi"}'],
    ['HTML', 200, '<html>'],
    ['no value', 200, '{}'],
    ['a list', 200, '[]'],
    ['a megabyte', 200, 'a'.repeat(1024 * 1024)],
    ['a redirect', 302, ''],
    ['something else than a token', 200, '{"value":"hello"}'],
  ])('is not what GitHub Actions gives with %s', async (_, status, body) => {
    const github = await answering(() => [status, body]);
    const ran = await sign({
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://${github.host}/token`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-secret',
    });
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('error [identity-token]') });
    expect(ran.stderr).not.toMatch(/request-secret|hello|eyJ/);
    github.close();
  });

  it('is not asked for in clear elsewhere', async () => {
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: 'http://token.example.com/', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'secret' };
    expect(await sign(env)).toMatchObject({ code: 2, stderr: expect.stringContaining('is no https URL') });
  });

  it('comes from Buildkite', async () => {
    await mkdir(at('bin'), { recursive: true });
    await writeFile(at('buildkite.token'), issuer.token());
    const agent = (body: string) => writeFile(at('bin/buildkite-agent'), `#!/bin/sh\n${body}\n`);
    await agent(`[ "$*" = "oidc request-token --audience sigstore" ] && cat ${at('buildkite.token')}`);
    await chmod(at('bin/buildkite-agent'), 0o755);
    const env = { BUILDKITE_AGENT_ACCESS_TOKEN: 'x', PATH: `${at('bin')}:${process.env.PATH}` };
    expect(await sign(env)).toMatchObject({ code: 0, stderr: expect.stringContaining('of Buildkite') });
    const secret = issuer.token();
    await agent(`echo ${secret} >&2; exit 3`);
    const failed = await sign(env);
    expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining('ended with 3') });
    expect(secretIn(failed, secret)).toBe(false);
  });

  it('comes from CircleCI', async () => {
    const ran = await sign({ CIRCLE_OIDC_TOKEN_V2: issuer.token() });
    expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining('of CircleCI') });
  });

  it("comes from Google's metadata server", async () => {
    const google = await answering((path, headers) => {
      const right = headers['metadata-flavor'] === 'Google' && path.endsWith('/identity?audience=sigstore&format=full');
      return right ? [200, issuer.token()] : [403, ''];
    });
    const ran = await sign({ GCE_METADATA_HOST: google.host });
    expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining("of Google's metadata server") });
    google.close();
  });

  it.each([
    [{ GITHUB_ACTIONS: 'true' }, 'permissions: id-token: write'],
    [{ GITLAB_CI: 'true' }, 'SIGSTORE_ID_TOKEN: aud: sigstore'],
    [{}, 'get a token of https://login.example.com'],
  ])('is missing, and the error says how to get one: %s', async (env, advice) => {
    const ran = await sign(env);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('error [identity-token]') });
    expect(ran.stderr).toContain(advice);
  });

  it('is refused here where it has expired, and no file is written', async () => {
    const expired = await tokenFile('expired', { exp: Math.floor(Date.now() / 1000) - 1 });
    const before = await readdir(dir.path);
    const ran = await cli(['sign', 'one', '--out', 'never.json', '--identity-token', expired, ...services]);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('it expired at') });
    expect(await readdir(dir.path)).toEqual(before);
    expect(authority.asked).toHaveLength(0);
  });
});
