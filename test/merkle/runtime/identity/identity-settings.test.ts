import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { generatedPart, settingsTable } from '../../../../merkle/runtime/config/settings-docs.ts';
import { IDENTITY_SETTINGS, readIdentityFile } from '../../../../merkle/runtime/identity/identity-settings.ts';
import { IDENTITY_STATUSES } from '../../../../merkle/runtime/identity/types.ts';

const docs = readFileSync('docs/identity.md', 'utf8');

describe('docs/identity.md', () => {
  it('has what the schema gives: after a change run `npm run docs`', () => {
    const table = settingsTable(IDENTITY_SETTINGS);
    expect(docs).toContain(generatedPart('merkle/runtime/identity/identity-settings.ts', [table]));
  });

  it('has each code with its status, and no other', () => {
    const section = docs.slice(docs.indexOf('### Codes'), docs.indexOf('## SPIFFE'));
    const rows = [...section.matchAll(/^\| `([a-z-]+)` \| (\d+) \|/gm)].map(([, code, status]) => [
      code,
      Number(status),
    ]);
    expect(rows).toEqual(Object.entries(IDENTITY_STATUSES));
  });
});

describe('a file of identity settings', () => {
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
  });
  const written = (yaml: string) => {
    const dir = mkdtempSync(join(tmpdir(), 'identity-'));
    dirs.push(dir);
    const file = join(dir, 'identity.yaml');
    writeFileSync(file, yaml);
    return { dir, read: () => readIdentityFile(file) };
  };

  it('says whose tokens are taken', () => {
    const { dir, read } = written(`issuers:
  - issuer: https://accounts.example.com/
  - { issuer: 'http://localhost:8080/realms/a', audience: my log, algorithms: [ES256, EdDSA], keepKeys: 1h }
  - { issuer: https://kubernetes.default.svc, keysFile: keys.json, ca: ca.pem }
  - { issuer: http://issuer.internal, allowHttp: true }
`);
    const { issuers } = read();
    expect(issuers).toMatchObject([
      { issuer: 'https://accounts.example.com/', keepKeys: 86_400_000, allowHttp: false },
      { audience: 'my log', algorithms: ['ES256', 'EdDSA'], keepKeys: 3_600_000 },
      { keysFile: join(dir, 'keys.json'), ca: join(dir, 'ca.pem') },
      { issuer: 'http://issuer.internal', allowHttp: true },
    ]);
    expect(issuers[0]!.algorithms).toHaveLength(11);
  });

  it('reads trust domains with files beside it and with URLs, and authorities of clients', () => {
    const { dir, read } = written(`trustDomains:
  - { name: example.org, bundle: bundle.json }
  - { name: example.net, bundle: https://bundles.example.net/keys, endpointId: spiffe://example.net/bundles, bootstrap: net.json }
clientCa: clients.pem
workloadApi: unix:///run/agent.sock
`);
    expect(read()).toMatchObject({
      trustDomains: [
        { name: 'example.org', bundle: join(dir, 'bundle.json') },
        { name: 'example.net', bundle: 'https://bundles.example.net/keys', bootstrap: join(dir, 'net.json') },
      ],
      clientCa: join(dir, 'clients.pem'),
      workloadApi: 'unix:///run/agent.sock',
    });
  });

  it('may name each file relative to its own folder, wherever the service runs', () => {
    const { dir, read } = written(`trustDomains:
  - { name: example.org, bundle: org/bundle.json }
  - { name: example.net, bundle: https://example.net/keys, ca: ./net/web.pem }
  - { name: example.com, bundle: https://example.com/keys, endpointId: spiffe://example.com/b, bootstrap: ../com.json }
bundleMap: map.json
clientCa: ca/clients.pem
issuers:
  - { issuer: https://accounts.example.com, ca: ca/web.pem, keysFile: keys.json }
`);
    expect(read()).toMatchObject({
      trustDomains: [
        { bundle: join(dir, 'org/bundle.json') },
        { bundle: 'https://example.net/keys', ca: join(dir, 'net/web.pem') },
        { bundle: 'https://example.com/keys', bootstrap: join(dir, '../com.json') },
      ],
      bundleMap: join(dir, 'map.json'),
      clientCa: join(dir, 'ca/clients.pem'),
      issuers: [{ ca: join(dir, 'ca/web.pem'), keysFile: join(dir, 'keys.json') }],
    });
  });

  it('may name a file by its whole path', () => {
    const { read } = written(`trustDomains: [{ name: example.org, bundle: /etc/org.json }]
bundleMap: /etc/map.json
`);
    expect(read()).toMatchObject({ trustDomains: [{ bundle: '/etc/org.json' }], bundleMap: '/etc/map.json' });
  });

  it('may be empty', () => expect(written('').read()).toMatchObject({ issuers: [] }));

  it.each([
    ['a name that is unknown', 'issuer: []', '"issuer" (', 'did you mean "issuers"?'],
    [
      'an issuer that is no URL',
      'issuers: [{ issuer: accounts.example.com }]',
      'issuers[0].issuer',
      'allowed: the URL',
    ],
    ['a query in the issuer', "issuers: [{ issuer: 'https://a.example.com/?x=1' }]", 'issuers[0].issuer', 'allowed'],
    ['an issuer with a password', "issuers: [{ issuer: 'https://a:b@c.example.com' }]", 'issuers[0].issuer', 'allowed'],
    [
      'a symmetric algorithm',
      'issuers: [{ issuer: https://a.example.com, algorithms: [HS256] }]',
      'algorithms',
      'ES256',
    ],
    ['no signature', 'issuers: [{ issuer: https://a.example.com, algorithms: [none] }]', 'algorithms', 'ES256'],
    [
      'an issuer twice',
      'issuers: [{ issuer: https://a.example.com }, { issuer: https://a.example.com }]',
      '[1]',
      'before',
    ],
    ['http to another machine', 'issuers: [{ issuer: http://a.example.com }]', 'issuers[0].issuer', 'plain HTTP'],
    [
      'keys by http from another machine',
      'issuers: [{ issuer: https://a.example.com, keysUrl: http://b.example.com/keys }]',
      'issuers[0].keysUrl',
      'plain HTTP',
    ],
    [
      'keys from two places',
      'issuers: [{ issuer: https://a.example.com, keysFile: a, keysUrl: https://a.example.com/keys }]',
      'keysUrl',
      'exclude',
    ],
    [
      'a trust domain with a scheme',
      'trustDomains: [{ name: spiffe://a.example, bundle: a }]',
      'name',
      'such as example.org',
    ],
    ['a trust domain in upper case', 'trustDomains: [{ name: A.example, bundle: a }]', 'name', 'such as example.org'],
    ['a trust domain without a bundle', 'trustDomains: [{ name: a.example }]', 'bundle', 'is missing'],
    [
      'a bundle by plain HTTP',
      'trustDomains: [{ name: a.example, bundle: http://a.example/b }]',
      'bundle',
      'https URL',
    ],
    [
      'a trust domain twice',
      'trustDomains: [{ name: a.example, bundle: a }, { name: a.example, bundle: b }]',
      'trustDomains[1].name',
      'stands there before',
    ],
    ['authorities of a file', 'trustDomains: [{ name: a.example, bundle: a, ca: b }]', 'ca', 'is of a URL'],
    [
      'a bootstrap of nothing',
      'trustDomains: [{ name: a.example, bundle: https://a.example/b, bootstrap: c }]',
      'bootstrap',
      'needs "endpointId"',
    ],
    ['keys kept for ever', 'issuers: [{ issuer: https://a.example.com, keepKeys: 8760h }]', 'keepKeys', '168h'],
  ])('with %s is refused, with its line', (_, yaml, ...parts) => {
    expect(written(yaml).read).toThrow(expect.objectContaining({ code: 'config' }));
    for (const part of [...parts, 'line 1']) expect(written(yaml).read).toThrow(part);
  });
});
