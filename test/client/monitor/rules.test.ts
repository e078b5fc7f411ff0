import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import type { FeedEntry } from '../../../client/follow/types.ts';
import { createMatcher } from '../../../client/monitor/matcher.ts';
import { PatternSet } from '../../../client/monitor/rules/engine.ts';
import { readEntry } from '../../../client/monitor/rules/entry-reader.ts';
import { escaped, requiredLiteral } from '../../../client/monitor/rules/text.ts';
import type { Rule, RuleCondition } from '../../../client/monitor/rules/types.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import { quickIdentity } from '../../../merkle/runtime/x509/quick-identity.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { FULCIO_EXTENSIONS, identityOf } from '../../../merkle/x509/fulcio.ts';
import { fulcioCertificate, githubRun, hashedRekord, keyFingerprint, madeUpKey } from '../../support/fulcio.ts';

const seen = (body: Uint8Array, index = 0): FeedEntry => ({
  log: 'log.example.com',
  index,
  leafHash: Buffer.alloc(32, index),
  body,
});
const rule = (watch: RuleCondition, name = 'r'): Rule => ({ name, severity: 'alert', watch: [watch] });

async function alertsOf(watch: RuleCondition, body: Uint8Array): Promise<{ alerts: Alert[]; unreadable: boolean }> {
  const matcher = createMatcher([rule(watch)]);
  return { alerts: await matcher.match([seen(body)]), unreadable: readEntry(body).problem !== undefined };
}

const alice = fulcioCertificate({ names: ['alice@acme.com'], issuer: 'https://accounts.google.com' });

describe('an entry that cannot be read', () => {
  /** A certificate whose first bytes are damaged, so that it does not parse; the name is still in its bytes. */
  const broken = Buffer.from(alice);
  broken[0] = 0x31;

  it('alerts where the bytes hold what a rule watches', async () => {
    const { alerts, unreadable } = await alertsOf(
      { identity: 'alice@acme.com' },
      hashedRekord({ certificate: broken }),
    );
    expect(alerts).toMatchObject([{ kind: 'unreadable', rule: 'r', entry: { index: 0 } }]);
    expect(alerts[0]?.summary).toMatch(/cannot be read: the certificate does not have/);
    expect(unreadable).toBe(true);
  });

  it('alerts where the bytes hold the fixed part of a pattern', async () => {
    const { alerts } = await alertsOf(
      { identity: { pattern: '[a-z]+@acme\\.com' } },
      hashedRekord({ certificate: broken }),
    );
    expect(alerts).toMatchObject([{ kind: 'unreadable' }]);
  });

  it('is silent where they do not', async () => {
    const { alerts, unreadable } = await alertsOf({ identity: 'bob@acme.com' }, hashedRekord({ certificate: broken }));
    expect([alerts, unreadable]).toEqual([[], true]);
  });

  it.each<[string, Uint8Array]>([
    ['bytes that are no JSON', Buffer.from([0, 1, 2, 255])],
    ['JSON of no known kind', Buffer.from('{"kind":"alpine","apiVersion":"0.0.1","spec":{}}')],
    ['a list', Buffer.from('[]')],
    ['nothing', Buffer.alloc(0)],
    ['a canonical entry that goes on', Buffer.concat([hashedRekord({ certificate: alice }), Buffer.from('}')])],
    [
      'a member given twice',
      Buffer.from(
        hashedRekord({ certificate: alice }).toString().replace('{"apiVersion"', '{"apiVersion":"0.0.1","apiVersion"'),
      ),
    ],
    [
      'base64 that is none',
      Buffer.from(hashedRekord({ certificate: alice }).toString().replace('"rawBytes":"M', '"rawBytes":"*')),
    ],
    ['deep nesting', Buffer.from(`{"a":${'['.repeat(10_000)}`)],
  ])('never fails the batch: %s', async (_, body) => {
    const matcher = createMatcher([rule({ identity: 'zoe@acme.com' })]);
    const good = hashedRekord({ certificate: fulcioCertificate({ names: ['zoe@acme.com'] }) });
    expect(await matcher.match([seen(body), seen(good, 1)])).toMatchObject([{ kind: 'match', entry: { index: 1 } }]);
    expect([readEntry(body).problem, readEntry(good).problem]).toEqual([expect.any(String), undefined]);
  });

  it('finds a watched name in the certificate of an entry of an unknown kind', async () => {
    const pem = `-----BEGIN CERTIFICATE-----\n${alice.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
    const body = Buffer.from(
      JSON.stringify({ kind: 'tuf', apiVersion: '0.0.9', spec: { key: Buffer.from(pem).toString('base64') } }),
    );
    expect((await alertsOf({ identity: 'alice@acme.com' }, body)).alerts).toMatchObject([{ kind: 'unreadable' }]);
    expect((await alertsOf({ identity: 'bob@acme.com' }, body)).alerts).toEqual([]);
  });
});

describe('entries of Rekor v1, and dsse', () => {
  const pem = (label: string, der: Buffer) =>
    Buffer.from(`-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`).toString('base64');
  const certificate = pem('CERTIFICATE', alice);
  const hash = { algorithm: 'sha256', value: 'ab'.repeat(32) };
  const entry = (kind: string, apiVersion: string, spec: object) =>
    Buffer.from(JSON.stringify({ apiVersion, kind, spec }));
  const verifier = { x509Certificate: { rawBytes: alice.toString('base64') }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' };

  it.each<[string, Buffer]>([
    [
      'hashedrekord 0.0.1',
      entry('hashedrekord', '0.0.1', {
        data: { hash },
        signature: { content: '', publicKey: { content: certificate } },
      }),
    ],
    ['rekord 0.0.1', entry('rekord', '0.0.1', { data: { hash }, signature: { publicKey: { content: certificate } } })],
    [
      'dsse 0.0.1',
      entry('dsse', '0.0.1', {
        payloadHash: hash,
        signatures: [{ verifier: pem('PUBLIC KEY', madeUpKey('k')) }, { verifier: certificate }],
      }),
    ],
    ['intoto 0.0.1', entry('intoto', '0.0.1', { content: { payloadHash: hash }, publicKey: certificate })],
    [
      'intoto 0.0.2',
      entry('intoto', '0.0.2', {
        content: { payloadHash: hash, envelope: { signatures: [{ publicKey: certificate }] } },
      }),
    ],
    [
      'dsse 0.0.2',
      entry('dsse', '0.0.2', {
        dsseV002: {
          payloadHash: { algorithm: 'SHA2_256', digest: Buffer.from(hash.value, 'hex').toString('base64') },
          signatures: [{ content: '', verifier }],
        },
      }),
    ],
  ])('%s: names and digest', async (_, body) => {
    for (const watch of [{ identity: 'alice@acme.com' }, { digest: hash.value }]) {
      expect((await alertsOf(watch, body)).alerts).toMatchObject([{ kind: 'match', entry: { digest: hash.value } }]);
    }
  });

  it('alerts about each signer that is not expected, whoever else signed', async () => {
    const signatures = [{ verifier: certificate }, { verifier: pem('PUBLIC KEY', madeUpKey('k')) }];
    const expecting = (expected: RuleCondition[]): Rule => ({ ...rule({ digest: hash.value }), expect: expected });
    const body = entry('dsse', '0.0.1', { payloadHash: hash, signatures });
    const one = { identity: 'alice@acme.com' };
    const two = { key: keyFingerprint(madeUpKey('k')) };
    expect(await createMatcher([expecting([one])]).match([seen(body)])).toMatchObject([{ kind: 'unexpected' }]);
    expect(await createMatcher([expecting([one, two])]).match([seen(body)])).toEqual([]);
  });
});

describe('names', () => {
  it('are shown escaped: control characters, right-to-left marks, look-alike spaces', async () => {
    const name = 'alice\u202emoc.live\u0007\u00a0\\';
    const body = hashedRekord({ certificate: fulcioCertificate({ names: [`user:${name}`] }) });
    const { alerts } = await alertsOf({ identity: name }, body);
    expect(alerts[0]?.entry?.names).toEqual(['alice\\u{202e}moc.live\\u{7}\\u{a0}\\\\']);
    expect(alerts[0]?.summary).not.toMatch(/[\p{Cc}\p{Cf}\u00a0]/u);
  });

  it('of two different texts are never the same for that', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.string({ unit: 'binary', maxLength: 40 }),
        (a, b) => {
          expect(escaped(a) === escaped(b)).toBe(a === b);
          expect(escaped(a)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        },
      ),
    );
  });

  it('by the thousand take no longer than a moment, and the watched one among them is not missed', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `u${i}@a.b`);
    names[7000] = 'alice@acme.com';
    // Longer than an entry can be, and longer than a certificate that is read.
    const body = hashedRekord({ certificate: fulcioCertificate({ names }) });
    const rules = Array.from({ length: 100 }, (_, i) =>
      rule({ identity: { pattern: `(.*a)*.*b${i}.*@(acme|x)\\.com` } }, `p${i}`),
    );
    const matcher = createMatcher([rule({ identity: 'alice@acme.com' }), ...rules]);
    const start = process.cpuUsage();
    expect(await matcher.match([seen(body)])).toMatchObject([{ kind: 'unreadable', rule: 'r' }]);
    expect(process.cpuUsage(start).user).toBeLessThan(2_000_000);
  });

  it('up to the limit of a certificate are all compared, in bounded time', async () => {
    const names = Array.from({ length: 256 }, (_, i) => `user${i}-${'a'.repeat(30)}@acme.com`);
    const rules = Array.from({ length: 100 }, (_, i) =>
      rule({ identity: { pattern: `(a|b|.*c)*(.*a){10}.*x${i}@acme\\.com` } }, `p${i}`),
    );
    const matcher = createMatcher([...rules, rule({ identity: names[255]! })]);
    const start = process.cpuUsage();
    const alerts = await matcher.match([seen(hashedRekord({ certificate: fulcioCertificate({ names }) }))]);
    expect(process.cpuUsage(start).user).toBeLessThan(4_000_000);
    expect(alerts).toMatchObject([{ kind: 'match', rule: 'r' }]);
    expect(alerts[0]?.entry?.names).toHaveLength(21);
    expect(alerts[0]?.entry?.names.at(-1)).toBe('… and 236 more');
  });
});

describe('the quick reader', () => {
  const certificates = [
    fulcioCertificate(githubRun('acme/app', 'release.yml', 'refs/tags/v1')),
    alice,
    fulcioCertificate({}),
    fulcioCertificate({ names: ['https://a.example', 'b@c.d'], issuer: 'https://i.example', extensions: { 9: 'ü' } }),
  ];

  it('reads what authorities write', () => {
    for (const der of certificates.slice(0, 3)) expect(quickIdentity(der)).toBeDefined();
  });

  it('reads the same as the strict parser, whatever is changed in a certificate', () => {
    const change = fc.record({
      at: fc.nat(1500),
      value: fc.nat(255),
      remove: fc.nat(2),
      insert: fc.constantFrom(0, 0, 1),
    });
    let both = 0;
    fc.assert(
      fc.property(fc.constantFrom(...certificates), fc.array(change, { maxLength: 2 }), (der, changes) => {
        const bytes = [...der];
        for (const { at, value, remove, insert } of changes)
          bytes.splice(at % bytes.length, remove, ...(insert ? [value, value] : [value]));
        const mutated = Buffer.from(bytes);
        const quick = quickIdentity(mutated);
        const strict = strictly(mutated);
        if (quick === undefined || strict === undefined) return;
        both++;
        expect(quick.names).toEqual(strict.names);
        expect(quick.issuer).toBe(strict.issuer);
        expect(Buffer.from(quick.spki)).toEqual(Buffer.from(strict.spki));
        for (const key of [...Object.keys(FULCIO_EXTENSIONS), ...Object.values(FULCIO_EXTENSIONS)]) {
          expect(quick.extensions.get(key)).toBe(strict.extensions.get(key));
        }
      }),
      { numRuns: 700 },
    );
    expect(both).toBeGreaterThan(50);
  });

  function strictly(der: Buffer) {
    try {
      const certificate = parseCertificate(der);
      return { ...identityOf(certificate), spki: certificate.spki };
    } catch {
      return undefined;
    }
  }

  it('leaves no entry out that the strict parser would find', () => {
    // Non-ASCII text is beyond the quick reader.
    const entry = readEntry(hashedRekord({ certificate: certificates[3]! }));
    expect(entry.signers[0]?.extensions.get('buildSignerURI')).toBe('ü');
  });
});

describe('patterns', () => {
  const atoms = ['a', 'b', '.', 'a*', 'b+', '(a|bc)', '[ab]', 'c?', '\\.', 'a{1,2}', '(?i:A)', '^a', 'b$'];
  const pattern = fc.array(fc.constantFrom(...atoms), { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.', 'A'), maxLength: 8 });

  it('in a set match what each matches alone', () => {
    fc.assert(
      fc.property(
        fc.array(pattern, { minLength: 1, maxLength: 8 }),
        fc.array(text, { maxLength: 8 }),
        (patterns, texts) => {
          const set = new PatternSet(patterns);
          // Twice: the second time it is remembered.
          for (const each of [...texts, ...texts]) {
            const alone = patterns.flatMap((one, i) => (RE2JS.compile(one).matches(each) ? [i] : []));
            expect([...set.match(each)].sort((a, b) => a - b)).toEqual(alone);
          }
        },
      ),
    );
  });

  it('hold their required literal in whatever they match', () => {
    fc.assert(
      fc.property(pattern, text, (one, each) => {
        if (RE2JS.compile(one).matches(each)) expect(each).toContain(requiredLiteral(one));
      }),
      { numRuns: 1000 },
    );
    expect(requiredLiteral('https://github\\.com/acme/.*')).toBe('https://github.com/acme/');
    expect(requiredLiteral('a|b')).toBe('');
  });
});

describe('the worker pool', () => {
  it('finds what this thread finds, in the same order', async () => {
    const bodies = Array.from({ length: 1000 }, (_, i) =>
      hashedRekord({ certificate: fulcioCertificate({ names: [`u${i}@acme.com`], issuer: 'https://i.example' }) }),
    );
    bodies[500] = Buffer.from('not an entry of u500@acme.com');
    const entries = bodies.map((body, i) => ({ ...seen(body, i), log: i % 2 === 0 ? 'a' : 'b' }));
    const rules: Rule[] = [
      rule({ identity: { pattern: 'u[0-9]*[05]@acme\\.com' } }),
      { ...rule({ identity: 'u77@acme.com' }, 'b only'), logs: ['b'] },
      { ...rule({ identity: 'u78@acme.com' }, 'b only too'), logs: ['b'] },
      rule({ identity: 'u500@acme.com' }, 'raw'),
    ];
    const options = { now: () => 0 };
    const here = createMatcher(rules, options);
    const pooled = createMatcher(rules, { ...options, threads: 2 });
    try {
      const alerts = await pooled.match(entries);
      expect(alerts).toEqual(await here.match(entries));
      expect(alerts.length).toBe(199 + 1 + 1 + 1);
    } finally {
      await pooled.close();
    }
  });

  it('gives the same entry the same ID again, and each rule its own', async () => {
    const rules = [rule({ identity: 'alice@acme.com' }, 'one'), rule({ issuer: 'https://accounts.google.com' }, 'two')];
    const entry = seen(hashedRekord({ certificate: alice }), 9);
    const first = (await createMatcher(rules).match([entry])).map(({ id }) => id);
    expect(new Set(first).size).toBe(2);
    expect((await createMatcher(rules).match([entry])).map(({ id }) => id)).toEqual(first);
    expect((await createMatcher(rules).match([{ ...entry, index: 10 }])).map(({ id }) => id)).not.toEqual(first);
  });
});
