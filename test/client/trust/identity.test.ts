import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { compileRule, type IdentityRule, matchIdentity } from '../../../client/trust/identity.ts';
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { type CertificateIdentity, identityOf } from '../../../merkle/x509/fulcio.ts';
import { type VectorBundle, vectorBundle } from '../../merkle/x509/vectors.ts';
import { bundleCases } from '../../support/vectors.ts';

const WORKFLOW = 'https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/v1';
const found: CertificateIdentity = {
  names: [
    { type: 'uri', value: WORKFLOW },
    { type: 'other', value: '#a0030c0141' },
    { type: 'other', oid: '1.3.6.1.4.1.57264.1.7', value: 'ann!example.com' },
  ],
  issuer: 'https://token.actions.githubusercontent.com',
  extensions: new Map([
    ['sourceRepositoryRef', 'refs/tags/v1'],
    ['1.3.6.1.4.1.57264.1.14', 'refs/tags/v1'],
    ['1.3.6.1.4.1.57264.1.99', 'new'],
  ]),
};

describe('identity rules', () => {
  it.each<[boolean, IdentityRule]>([
    [true, { identity: WORKFLOW }],
    [true, { identity: WORKFLOW, issuer: found.issuer! }],
    [true, { identity: 'ann!example.com' }],
    [true, { extensions: { sourceRepositoryRef: 'refs/tags/v1', '1.3.6.1.4.1.57264.1.99': 'new' } }],
    [
      true,
      {
        identity: { pattern: 'https://github\\.com/acme/[^/]+/.*' },
        issuer: { pattern: '.*\\.githubusercontent\\.com' },
      },
    ],
    [true, { identity: { pattern: 'ann|ann!example.com' } }],
    [false, { identity: WORKFLOW.toUpperCase() }],
    [false, { identity: WORKFLOW.slice(0, -1) }],
    [false, { identity: `${WORKFLOW} ` }],
    [false, { identity: '#a0030c0141' }],
    [false, { identity: { pattern: '#.*' } }],
    [false, { identity: WORKFLOW, issuer: 'https://accounts.example.com' }],
    [false, { identity: { pattern: 'https://github\\.com/acme' } }],
    [false, { identity: { pattern: 'v1' } }],
    [false, { issuer: { pattern: 'token' } }],
    [false, { identity: WORKFLOW, extensions: { sourceRepositoryRef: 'refs/tags/v2' } }],
    [false, { identity: WORKFLOW, extensions: { buildTrigger: 'push' } }],
    [false, { extensions: { '1.2.3': '' } }],
  ])('%s: %j', (expected, rule) => expect(matchIdentity(rule, found)).toBe(expected));

  const UPN = '1.3.6.1.4.1.311.20.2.3';
  it.each<[AlternativeName, boolean]>([
    [{ type: 'uri', value: 'ann@example.com' }, true],
    [{ type: 'email', value: 'ann@example.com' }, true],
    [{ type: 'dns', value: 'ann@example.com' }, true],
    [{ type: 'other', oid: '1.3.6.1.4.1.57264.1.7', value: 'ann@example.com' }, true],
    [{ type: 'other', oid: UPN, value: 'ann@example.com' }, false],
    [{ type: 'other', oid: '1.3.6.1.4.1.57264.1.8', value: 'ann@example.com' }, false],
    [{ type: 'other', value: 'ann@example.com' }, false],
    [{ type: 'ip', value: 'ann@example.com' }, false],
  ])('compare names of four kinds: %j', (name, expected) => {
    const identity = { names: [{ type: 'ip', value: '192.0.2.1' } as const, name], extensions: new Map() };
    for (const rule of [{ identity: 'ann@example.com' }, { identity: { pattern: 'ann@.*' } }]) {
      expect(compileRule(rule)(identity)).toEqual(expected ? { name } : undefined);
      expect(matchIdentity(rule, identity)).toBe(expected);
    }
    expect(matchIdentity({ identity: '192.0.2.1' }, identity)).toBe(false);
  });

  it('say which name matched, and none where no name is asked for', () => {
    expect(compileRule({ identity: 'ann!example.com' })(found)).toEqual({ name: found.names[2] });
    expect(compileRule({ issuer: found.issuer! })(found)).toEqual({});
  });

  it('match nothing without an issuer where one is asked for', () => {
    expect(matchIdentity({ issuer: { pattern: '.*' } }, { names: found.names, extensions: new Map() })).toBe(false);
  });

  it('match no line of many, and no text beyond bounds', () => {
    const named = (value: string): CertificateIdentity => ({ names: [{ type: 'uri', value }], extensions: new Map() });
    expect(matchIdentity({ identity: { pattern: '^good$' } }, named('good\nevil'))).toBe(false);
    expect(matchIdentity({ identity: { pattern: 'a*' } }, named('a'.repeat(4_096)))).toBe(true);
    expect(matchIdentity({ identity: { pattern: 'a*' } }, named('a'.repeat(4_097)))).toBe(false);
  });

  it.each<[string, IdentityRule]>([
    ['nothing', {}],
    ['no extension', { extensions: {} }],
    ['empty text', { identity: '' }],
    ['empty pattern', { issuer: { pattern: '' } }],
    ['look-behind', { identity: { pattern: '(?<=a)b' } }],
    ['back reference', { identity: { pattern: '(a)\\1' } }],
    ['open bracket', { identity: { pattern: '[' } }],
    ['repetition that explodes', { identity: { pattern: '(a{1000}){1000}' } }],
    ['many repetitions', { identity: { pattern: '(?:\\pL{0,1000})'.repeat(40) } }],
    ['repetitions of repetitions', { identity: { pattern: '(?:(?:[a-z]{2,30}/){30}x)*'.repeat(10) } }],
    ['repetitions behind a star', { identity: { pattern: '(?:a*){900}(?:b+){900}(?:c?){900}' } }],
    ['repetitions behind a quoted bracket', { identity: { pattern: `(?:${'ab'.repeat(200)}\\Q)\\E){900}` } }],
    ['nested too deep', { identity: { pattern: '('.repeat(500) + ')'.repeat(500) + '('.repeat(100) } }],
    ['longer than bounds', { identity: { pattern: 'a'.repeat(1_025) } }],
    ['unknown extension', { extensions: { sourceRepository: 'x' } }],
    ['inherited name', { extensions: { constructor: 'x' } }],
  ])('are refused: %s', (_, rule) => {
    expect(() => compileRule(rule)).toThrow(expect.objectContaining({ name: 'ClientError', code: 'usage' }));
  });

  it.each(['[0-9a-f]{40}', '[]{9999}]*', '\\{9999}*', '(?:[a-z0-9-]{1,39}/){2}[a-z]{1,100}', '.{1000}'])(
    'count %s as small',
    (pattern) => expect(compileRule({ identity: { pattern } })).toBeTypeOf('function'),
  );

  it('take time in proportion to the text', () => {
    const text = `${'x'.repeat(4_000)}!`;
    const start = performance.now();
    const evil: IdentityRule = { identity: { pattern: '(x+x+)+y' } };
    expect(matchIdentity(evil, { names: [{ type: 'uri', value: text }], extensions: new Map() })).toBe(false);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

describe.each(bundleCases())('identities of certificates: %s', (cases) => {
  it('are read with name, issuer and extensions', () => {
    const leaf = vectorBundle(cases.named('happy-path-v0.3-new-mediaType')).certificates[0]!;
    const identity = identityOf(leaf);
    expect(identity.issuer).toBe('https://token.actions.githubusercontent.com');
    const [trigger, repository] =
      cases.source === 'our own'
        ? ['push', 'stele-tests/release']
        : ['workflow_dispatch', 'sigstore-conformance/extremely-dangerous-public-oidc-beacon'];
    expect(identity.extensions.get('buildTrigger')).toBe(trigger);
    expect(identity.extensions.get('1.3.6.1.4.1.57264.1.2')).toBe(trigger);
    expect(identity.extensions.get('sourceRepositoryURI')).toBe(`https://github.com/${repository}`);
  });

  it('are read in every case', () => {
    let read = 0;
    for (const one of cases.all) {
      let certificates: VectorBundle['certificates'];
      try {
        ({ certificates } = vectorBundle(one));
      } catch (error) {
        if (error instanceof ClientError) throw error;
        continue; // not a bundle at all
      }
      for (const certificate of certificates) {
        identityOf(certificate);
        read++;
      }
    }
    expect(read).toBeGreaterThan(20);
  });
});
