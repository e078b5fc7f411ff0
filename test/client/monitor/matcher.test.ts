import { describe, expect, it } from 'vitest';
import type { FeedEntry } from '../../../client/follow/types.ts';
import { createMatcher } from '../../../client/monitor/matcher.ts';
import { readEntry } from '../../../client/monitor/rules/entry-reader.ts';
import { explain } from '../../../client/monitor/rules/explain.ts';
import type { Rule, RuleCondition } from '../../../client/monitor/rules/types.ts';
import {
  type CertificateOptions,
  fulcioCertificate,
  githubRun,
  hashedRekord,
  keyFingerprint,
  madeUpKey,
} from '../../support/fulcio.ts';

const GOOGLE = 'https://accounts.google.com';
const LOG = 'log.example.com';

const rule = (watch: RuleCondition, expected?: readonly RuleCondition[], more: Partial<Rule> = {}): Rule => ({
  name: 'r',
  watch: [watch],
  severity: 'alert',
  ...(expected && { expect: expected }),
  ...more,
});

const seen = (bodies: readonly Uint8Array[], log = LOG): FeedEntry[] =>
  bodies.map((body, index) => ({ log, index, leafHash: Buffer.alloc(32, index), body }));

const entryOf = (options: CertificateOptions, artifact?: string) =>
  hashedRekord({ certificate: fulcioCertificate(options) }, artifact);

/** The kinds of alert that a rule gives for one entry. */
async function kinds(one: Rule, body: Uint8Array): Promise<string[]> {
  return (await createMatcher([one]).match(seen([body]))).map(({ kind }) => kind);
}

describe('a rule without expect', () => {
  const alice = { names: ['alice@acme.com'], issuer: GOOGLE };

  it.each<[string, RuleCondition, CertificateOptions]>([
    ['e-mail', { identity: 'alice@acme.com' }, alice],
    ['pattern', { identity: { pattern: '.*@acme\\.com' } }, alice],
    ['issuer', { issuer: GOOGLE }, alice],
    ['issuer by pattern', { issuer: { pattern: 'https://accounts\\.(google|example)\\.com' } }, alice],
    ['SPIFFE ID', { identity: 'spiffe://acme.com/build' }, { names: ['spiffe://acme.com/build'] }],
    ['user name', { identity: 'alice!acme' }, { names: ['user:alice!acme'] }],
    ['DNS name', { identity: 'build.acme.com' }, { names: ['dns:build.acme.com'] }],
    ['user principal name', { identity: 'alice@acme.com' }, { names: ['upn:alice@acme.com'] }],
    ['IP address', { identity: '192.0.2.1' }, { names: ['ip:192.0.2.1'] }],
    ['one name of several', { identity: 'alice@acme.com' }, { names: ['bob@acme.com', 'alice@acme.com'] }],
    [
      'extension by name',
      { extensions: { sourceRepositoryURI: 'https://github.com/acme/app' } },
      githubRun('acme/app', 'r.yml', 'refs/heads/main'),
    ],
    [
      'extension by OID',
      { extensions: { '1.3.6.1.4.1.57264.1.14': { pattern: 'refs/heads/.*' } } },
      githubRun('acme/app', 'r.yml', 'refs/heads/main'),
    ],
    ['all at once', { identity: 'alice@acme.com', issuer: GOOGLE }, alice],
  ])('alerts on %s', async (_, watch, options) =>
    expect(await kinds(rule(watch), entryOf(options))).toEqual(['match']),
  );

  it.each<[string, RuleCondition, CertificateOptions]>([
    ['another name', { identity: 'alice@acme.com' }, { names: ['Alice@acme.com'], issuer: GOOGLE }],
    ['a name that only contains it', { identity: { pattern: 'alice@acme\\.com' } }, { names: ['malice@acme.com'] }],
    ['a name that goes on', { identity: { pattern: 'alice@acme\\.com' } }, { names: ['alice@acme.com.evil.org'] }],
    [
      'the right name of another issuer',
      { identity: 'alice@acme.com', issuer: GOOGLE },
      { names: ['alice@acme.com'], issuer: 'https://evil.example' },
    ],
    ['no issuer', { issuer: GOOGLE }, { names: ['alice@acme.com'] }],
    [
      'another extension',
      { extensions: { sourceRepositoryURI: 'https://github.com/acme/app' } },
      githubRun('acme/apple', 'r.yml', 'refs/heads/main'),
    ],
  ])('is silent about %s', async (_, watch, options) => expect(await kinds(rule(watch), entryOf(options))).toEqual([]));

  it('knows keys, bare and in certificates', async () => {
    const key = madeUpKey('k');
    const watch = { key: keyFingerprint(key) };
    expect(await kinds(rule(watch), hashedRekord({ key }))).toEqual(['match']);
    expect(await kinds(rule(watch), entryOf({ names: ['a@b.c'], seed: 'k' }))).toEqual(['match']);
    expect(await kinds(rule(watch), hashedRekord({ key: madeUpKey('l') }))).toEqual([]);
  });

  it('gives one find one ID, and another entry at the same index another', async () => {
    const matcher = createMatcher([rule({ issuer: GOOGLE })]);
    const [entry] = seen([entryOf({ names: ['a@b.c'], issuer: GOOGLE })]);
    const idOf = async (found: typeof entry) => (await matcher.match([found!])).map(({ id }) => id).join();
    const id = await idOf(entry);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await idOf({ ...entry! })).toBe(id);
    expect(await idOf({ ...entry!, leafHash: new Uint8Array(32).fill(1) })).not.toBe(id);
    expect(await idOf({ ...entry!, index: 9 })).not.toBe(id);
  });

  it('applies to its logs only', async () => {
    const matcher = createMatcher([rule({ issuer: GOOGLE }, undefined, { logs: ['other.example.com'] })]);
    const body = entryOf({ names: ['a@b.c'], issuer: GOOGLE });
    expect(await matcher.match(seen([body]))).toEqual([]);
    expect(await matcher.match(seen([body], 'other.example.com'))).toHaveLength(1);
  });
});

describe('a rule with expect', () => {
  const acme = rule({ identity: { pattern: '.*@acme\\.com' } }, [
    { identity: 'release@acme.com', issuer: GOOGLE },
    { identity: { pattern: 'bot-[0-9]+@acme\\.com' }, issuer: GOOGLE },
  ]);

  it.each<[string, CertificateOptions, string[]]>([
    ['silent about who is expected', { names: ['release@acme.com'], issuer: GOOGLE }, []],
    ['silent about the second who is expected', { names: ['bot-12@acme.com'], issuer: GOOGLE }, []],
    ['silent about what it does not watch', { names: ['mallory@evil.org'], issuer: GOOGLE }, []],
    ['loud about another issuer', { names: ['release@acme.com'], issuer: 'https://evil.example' }, ['unexpected']],
    ['loud about no issuer', { names: ['release@acme.com'] }, ['unexpected']],
    ['loud about another name', { names: ['mallory@acme.com'], issuer: GOOGLE }, ['unexpected']],
    [
      'loud about an expected name beside another',
      { names: ['release@acme.com', 'mallory@acme.com'], issuer: GOOGLE },
      ['unexpected'],
    ],
    [
      'loud about an expected name beside a foreign one',
      { names: ['release@acme.com', 'x@evil.org'], issuer: GOOGLE },
      ['unexpected'],
    ],
    [
      'loud about an expected name that is the user principal name of a directory',
      { names: ['upn:release@acme.com'], issuer: GOOGLE },
      ['unexpected'],
    ],
    [
      'loud about an expected name beside the same one of another kind',
      { names: ['release@acme.com', 'upn:release@acme.com'], issuer: GOOGLE },
      ['unexpected'],
    ],
  ])('is %s', async (_, options, want) => expect(await kinds(acme, entryOf(options))).toEqual(want));

  it.each<[string, string, string[]]>([
    ['URI', 'https://acme.com/build', []],
    ['e-mail', 'build@acme.com', []],
    ['DNS name', 'dns:build.acme.com', []],
    ['user name', 'user:build!acme.com', []],
    ['another name, of the type 1.3.6.1.4.1.311.20.2.3', 'upn:build@acme.com', ['unexpected']],
    ['IP address', 'ip:192.0.2.1', ['unexpected']],
  ])('expects names of four kinds: %s', async (kind, name, want) => {
    const any = rule({ identity: { pattern: '.*' } }, [{ identity: { pattern: '.*' } }]);
    const body = entryOf({ names: [name] });
    expect(await kinds(any, body)).toEqual(want);
    const shown = explain(any, readEntry(body)).signers[0]!;
    const holds = want.length === 0;
    expect(shown.watch[0]!.conditions[0]).toMatchObject({ field: 'identity', holds: true });
    expect(shown.expect![0]!.conditions[0]).toMatchObject({ field: 'identity', holds });
    expect(shown.expect![0]!.conditions[0]!.got).toEqual([expect.stringContaining(` (${kind})`)]);
  });

  it('watches a digest, and who may sign it', async () => {
    const digest = '0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8'; // of "x"… see below
    const body = entryOf({ names: ['release@acme.com'], issuer: GOOGLE }, 'app.tgz');
    const real = Buffer.from(JSON.parse(body.toString()).spec.hashedRekordV002.data.digest, 'base64').toString('hex');
    expect(await kinds(rule({ digest: real }, [{ identity: 'release@acme.com' }]), body)).toEqual([]);
    expect(await kinds(rule({ digest: real }, [{ identity: 'other@acme.com' }]), body)).toEqual(['unexpected']);
    expect(await kinds(rule({ digest: real }), hashedRekord({ key: madeUpKey('k') }, 'app.tgz'))).toEqual(['match']);
    expect(await kinds(rule({ digest }), body)).toEqual([]);
  });

  it('is loud about a bare key where an identity is expected', async () => {
    const body = hashedRekord({ key: madeUpKey('k') }, 'app.tgz');
    const digest = Buffer.from(JSON.parse(body.toString()).spec.hashedRekordV002.data.digest, 'base64').toString('hex');
    expect(await kinds(rule({ digest }, [{ identity: 'release@acme.com' }]), body)).toEqual(['unexpected']);
    expect(await kinds(rule({ digest }, [{ key: keyFingerprint(madeUpKey('k')) }]), body)).toEqual([]);
  });
});
