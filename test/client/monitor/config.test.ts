import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadMonitorConfig, loadRules } from '../../../client/monitor/config/load-monitor.ts';
import { RuleEngine } from '../../../client/monitor/rules/engine.ts';
import { readEntry } from '../../../client/monitor/rules/entry-reader.ts';
import { type DescribedLog, trustFiles } from '../../../client/trust/trust-files.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/verifier-key.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { type CertificateOptions, fulcioCertificate, githubRun, hashedRekord } from '../../support/fulcio.ts';
import { cosignerOf } from './cosigner.ts';

const dir = mkdtempSync(join(tmpdir(), 'stele-monitor-config-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const KEY = formatVerifierKey(ed25519VerifierKey('log.example.com', new Uint8Array(32).fill(7)));
const OTHER_KEY = formatVerifierKey(ed25519VerifierKey('other.example.com', new Uint8Array(32).fill(8)));
const LOGS = `logs:\n  - url: https://log.example.com/\n    keys: ['${KEY}']\n`;
const SINKS = 'sinks: [{ type: stdout }]\n';

function load(text: string) {
  const file = join(dir, 'monitor.yaml');
  writeFileSync(file, text);
  return loadMonitorConfig(file);
}

function messageOf(text: string): string {
  try {
    load(text);
  } catch (error) {
    expect(error).toMatchObject({ name: 'ClientError', code: 'usage' });
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

describe('monitor.yaml', () => {
  it('has defaults for all but logs and sinks', () => {
    expect(load(LOGS + SINKS)).toMatchObject({
      state: join(dir, 'monitor-state'),
      logs: [{ origin: 'log.example.com', location: 'https://log.example.com' }],
      shards: [],
      rules: [],
      follow: { pollMs: 10_000, staleMs: 3_600_000, chunkBytes: 16 * 1024 * 1024 },
      sinks: [{ type: 'stdout', name: 'stdout' }],
    });
  });

  it('takes everything it describes', () => {
    writeFileSync(join(dir, 'policy'), `log ${KEY}\nquorum none\n`);
    const config = load(`
state: /var/lib/stele-monitor
logs:
  - dir: ./files
    policy: policy
    frozen: 1000
    peers: [https://mirror.example.com/log, ../copy]
shards:
  - { name: sigstore, signingConfig: signing_config.json, trustedRoot: trusted_root.json }
  - { name: reading, monitorConfig: https://tuf.example/monitor_config.json, trustedRoot: trusted_root.json }
rules:
  - name: who
    watch: { identity: alice@acme.com, issuer: https://accounts.google.com }
    severity: critical
    logs: [log.example.com]
  - name: what
    watch: { digest: 'sha256:${'ab'.repeat(32)}' }
    expect:
      - key: ${'cd'.repeat(32)}
      - identity: { pattern: '.*@acme\\.com' }
sinks:
  - type: stdout
  - { type: webhook, url: 'https://hooks.example.com/x', secrets: [{ env: HOOK_KEY }] }
poll: 30s
partialAfter: 1m
staleAfter: 2h
retry: 5s
confirmations: 2
parallel: 4
chunk: 8MiB
threads: 0
metrics: { host: 0.0.0.0, port: 9000 }
`);
    expect(config).toMatchObject({
      state: '/var/lib/stele-monitor',
      logs: [
        {
          origin: 'log.example.com',
          location: join(dir, 'files'),
          frozen: 1000,
          peers: ['https://mirror.example.com/log', join(dir, '..', 'copy')],
        },
      ],
      shards: [
        { name: 'sigstore', signingConfig: join(dir, 'signing_config.json') },
        { name: 'reading', monitorConfig: 'https://tuf.example/monitor_config.json' },
      ],
      rules: [
        { name: 'who', severity: 'critical', watch: [{ identity: 'alice@acme.com' }] },
        { name: 'what', severity: 'alert', watch: [{ digest: 'ab'.repeat(32) }], expect: [{}, {}] },
      ],
      sinks: [{ type: 'stdout' }, { type: 'webhook', secrets: [{ env: 'HOOK_KEY' }] }],
      follow: { pollMs: 30_000, partialMs: 60_000, staleMs: 7_200_000, retryMs: 5000, confirmations: 2, parallel: 4 },
      threads: 0,
      metrics: { host: '0.0.0.0', port: 9000 },
    });
    expect(config.logs[0]?.policy).toBeDefined();
  });

  it('takes an age of checkpoints where witnesses tell it', () => {
    writeFileSync(join(dir, 'policy'), `log ${KEY}\nwitness w ${cosignerOf('w.test').vkey}\nquorum w\n`);
    const [log] = load(`logs: [{ dir: ., policy: policy, maxCheckpointAge: 2h }]\n${SINKS}`).logs;
    expect(log?.maxCheckpointAge).toBe(7_200_000);
  });

  it('takes the last checkpoint of a frozen log, which a key of that log must have signed', () => {
    const [log, stranger] = [new FakeLog(), new FakeLog()];
    writeFileSync(join(dir, 'last'), log.sign(log.text()));
    const text = (vkey: string) =>
      `logs: [{ url: 'https://log.test', keys: ['${vkey}'], lastCheckpoint: last }]\n${SINKS}`;
    expect(load(text(log.vkey)).logs).toMatchObject([{ origin: 'log.test', last: { size: 600 } }]);
    expect(messageOf(text(stranger.vkey))).toMatch(/"logs\[0\]\.lastCheckpoint".*none of its signatures is by a key/);
  });

  it('takes what the trust files of several shards have', () => {
    const old = new FakeLog(undefined, 'old.example.com');
    const next = new FakeLog(undefined, 'new.example.com');
    const [first, second] = [old, next].map(
      ({ origin, key }): DescribedLog => ({
        origin,
        url: `https://${origin}`,
        keys: [key],
        rekor: true,
        policy: undefined,
        start: 0,
      }),
    );
    const lastCheckpoint = old.sign(old.text());
    for (const { name, text } of trustFiles([{ ...first!, end: 1, lastCheckpoint }, second!])) {
      writeFileSync(join(dir, name), text);
    }
    const { logs } = loadMonitorConfig(join(dir, 'monitor.yaml'));
    expect(logs).toMatchObject([{ origin: 'old.example.com', last: { size: 600 } }, { origin: 'new.example.com' }]);
    expect(logs[1]!.last).toBeUndefined();
  });

  const ruled = (rule: string) => `${LOGS}${SINKS}rules:\n  - ${rule.replaceAll('\n', '\n    ')}`;

  it.each<[string, string, RegExp]>([
    ['an unknown key', `${LOGS}${SINKS}pol: 5s`, /"pol" \(line 5\) is unknown; did you mean "poll"\?/],
    [
      'an age of checkpoints without witnesses',
      `logs:\n  - { url: 'https://log.example.com', keys: ['${KEY}'], maxCheckpointAge: 1h }\n${SINKS}`,
      /"logs\[0\]\.maxCheckpointAge" \(line \d\) needs a "policy" with a quorum/,
    ],
    [
      'an unknown key in a log',
      `logs:\n  - { ur: x, keys: ['${KEY}'] }\n${SINKS}`,
      /"logs\[0\]\.ur" .*did you mean "url"/,
    ],
    ['a key given twice', `${LOGS}${SINKS}${SINKS}`, /line 5: .*unique/],
    ['an alias', `a: &a x\n${LOGS}${SINKS}b: *a`, /aliases/],
    ['no YAML', 'logs: [', /not valid YAML/],
    ['a list', '- 1', /the file.* must be a mapping/],
    [
      'two configurations of one source',
      `shards: [{ signingConfig: a.json, monitorConfig: b.json, trustedRoot: c.json }]\n${SINKS}`,
      /"shards\[0\]" .*one of "signingConfig" and "monitorConfig"/,
    ],
    [
      'no configuration of a source',
      `shards: [{ trustedRoot: c.json }]\n${SINKS}`,
      /"shards\[0\]" .*one of "signingConfig" and "monitorConfig"/,
    ],
    ['no log', SINKS, /"logs".*name at least one/],
    ['no sink', LOGS, /"sinks".*without a sink no alert reaches anybody/],
    ['an empty list of sinks', `${LOGS}sinks: []`, /"sinks".*without a sink no alert reaches anybody/],
    ['a bad sink', `${LOGS}sinks: [{ type: webhook }]`, /"sinks\[0\]\.url" \(line 4\) is missing/],
    ['two sinks of one name', `${LOGS}sinks: [{ type: stdout }, { type: stdout }]`, /"sinks\[1\]\.name".*another sink/],
    ['a wrong duration', `${LOGS}${SINKS}poll: 5`, /"poll" \(line 5\) is 5; allowed: 100ms to 24h/],
    ['a URL with a password', LOGS.replace('log.ex', 'a:b@log.ex') + SINKS, /"logs\[0\]\.url".*without user name/],
    ['a log nowhere', `logs: [{ keys: ['${KEY}'] }]\n${SINKS}`, /"logs\[0\]".*"url" or "dir"/],
    ['a log without a key', `logs: [{ url: https://a.example }]\n${SINKS}`, /"logs\[0\]\.keys".*is missing/],
    [
      'a wrong key',
      `logs: [{ url: https://a.example, keys: [abc] }]\n${SINKS}`,
      /"logs\[0\]\.keys\[0\]".*no verifier key/,
    ],
    [
      'keys of two logs',
      `logs: [{ url: https://a.example, keys: ['${KEY}', '${OTHER_KEY}'] }]\n${SINKS}`,
      /different names/,
    ],
    ['one log twice', `${LOGS}  - { dir: x, keys: ['${KEY}'] }\n${SINKS}`, /second log "log\.example\.com".*"peers"/],
    [
      'a policy that is not there',
      `logs: [{ url: https://a.example, policy: nowhere }]\n${SINKS}`,
      /"logs\[0\]\.policy".*ENOENT/,
    ],
    [
      'a wrong size of a frozen log',
      `logs: [{ url: https://a.example, keys: ['${KEY}'], frozen: -1 }]\n${SINKS}`,
      /"logs\[0\]\.frozen"/,
    ],
    ['a rule without a name', ruled('watch: { identity: a }'), /"rules\[0\]\.name".*is missing/],
    ['a rule without watch', ruled('name: a'), /"rules\[0\]\.watch".*is missing/],
    [
      'two rules of one name',
      `${ruled('{ name: a, watch: { identity: a } }')}\n  - { name: a, watch: { identity: b } }`,
      /"rules\[1\]\.name".*another rule/,
    ],
    ['an empty condition', ruled('{ name: a, watch: {} }'), /"rules\[0\]\.watch".*is empty/],
    [
      'an unknown condition',
      ruled('{ name: a, watch: { identiy: x } }'),
      /"rules\[0\]\.watch\.identiy".*did you mean "identity"/,
    ],
    [
      'a bad pattern',
      ruled("name: a\nwatch: { identity: { pattern: '(' } }"),
      /"rules\[0\]\.watch\.identity\.pattern" \(line 7\).*missing closing/,
    ],
    ['look-ahead', ruled("name: a\nwatch: { identity: { pattern: '(?=a)' } }"), /no look-around/],
    [
      'a pattern that explodes',
      ruled("name: a\nwatch: { issuer: { pattern: '((a{100}){100}){100}' } }"),
      /pattern.*repeat/,
    ],
    [
      'a pattern that is too long',
      ruled(`name: a\nwatch: { issuer: { pattern: '${'a'.repeat(600)}' } }`),
      /1 to 512 characters/,
    ],
    [
      'a bad pattern under expect',
      ruled("name: a\nwatch: { key: x }\nexpect: [{ identity: { pattern: '[z-a]' } }]"),
      /"rules\[0\]\.expect\[0\]\.identity\.pattern"/,
    ],
    [
      'an unknown extension',
      ruled('{ name: a, watch: { extensions: { sourceRepositoryUri: x } } }'),
      /did you mean "sourceRepositoryURI"/,
    ],
    ['an OID of somebody else', ruled("name: a\nwatch: { extensions: { '2.5.29.17': x } }"), /Fulcio's extensions are/],
    ['a wrong fingerprint', ruled('{ name: a, watch: { key: ABC } }'), /"rules\[0\]\.watch\.key".*64 lower-case hex/],
    [
      'a rule for another log',
      ruled('{ name: a, watch: { identity: x }, logs: [b] }'),
      /"rules\[0\]\.logs".*no log of this file/,
    ],
    [
      'a preset without its repository',
      ruled('{ name: a, watch: { githubActions: { ref: refs/heads/main } } }'),
      /githubActions\.repository".*acme\/app/,
    ],
    [
      'a preset with an unknown value',
      ruled('{ name: a, watch: { gitlabCi: { project: a/b, rf: x } } }'),
      /gitlabCi\.rf".*is unknown; GitLab CI has/,
    ],
    [
      'a preset and what it sets',
      ruled('{ name: a, watch: { identity: x, buildkite: { organization: acme } } }'),
      /is set by the preset "buildkite" too/,
    ],
  ])('refuses %s', (_, text, message) => expect(messageOf(text)).toMatch(message));

  it('tells all mistakes at once', () => {
    const message = messageOf(`${LOGS}${SINKS}pol: 5s\nparallel: 0\nchunk: x`);
    expect(message.split('\n  - ')).toHaveLength(4);
  });

  it('never repeats what may hold a secret', () => {
    expect(messageOf(LOGS.replace('log.ex', 'user:hunter2@log.ex') + SINKS)).not.toContain('hunter2');
    expect(messageOf(`${LOGS}sinks: [{ type: webhook, url: 'http://x/hunter2' }]`)).not.toContain('hunter2');
  });

  it('says that there is no file', () => {
    expect(() => loadMonitorConfig(join(dir, 'nowhere.yaml'))).toThrow(
      expect.objectContaining({ code: 'file', message: expect.stringContaining('no such file') }),
    );
  });
});

describe('presets', () => {
  /** Kinds of alert for a certificate. */
  function tried(rule: string, options: CertificateOptions): string[] {
    const file = join(dir, 'rule.yaml');
    writeFileSync(file, rule);
    const entry = readEntry(hashedRekord({ certificate: fulcioCertificate(options) }));
    return new RuleEngine(loadRules(file).rules).match(entry, 'log.example.com').map(({ kind }) => kind);
  }

  const GITHUB = `
name: release
watch: { githubActions: { repository: acme/app } }
expect: { githubActions: { repository: acme/app, workflow: release.yml, ref: { pattern: 'refs/tags/v[0-9.]+' } } }`;
  const run = githubRun('acme/app', 'release.yml', 'refs/tags/v1.2');
  const uri = run.names![0]!;

  it.each<[string, CertificateOptions, string[]]>([
    ['the release', run, []],
    ['another workflow', githubRun('acme/app', 'test.yml', 'refs/tags/v1.2'), ['unexpected']],
    ['another ref', githubRun('acme/app', 'release.yml', 'refs/heads/main'), ['unexpected']],
    ['another issuer', { ...run, issuer: 'https://evil.example' }, ['unexpected']],
    ['the name alone', { names: [uri] }, ['unexpected']],
    ['a reusable workflow of others', { ...run, names: [uri.replace('acme/app', 'evil/lib')] }, ['unexpected']],
    [
      'the repository by its oldest extension',
      { names: ['x@evil.org'], extensions: { 5: 'acme/app' } },
      ['unexpected'],
    ],
    ['another repository', githubRun('acme/apple', 'release.yml', 'refs/tags/v1.2'), []],
    ['a repository that only looks so', githubRun('acmexapp/app', 'release.yml', 'refs/tags/v1.2'), []],
  ])('GitHub Actions: %s', (_, options, want) => expect(tried(GITHUB, options)).toEqual(want));

  const gitlab = (project: string, ref: string): CertificateOptions => ({
    names: [`https://gitlab.com/${project}//.gitlab-ci.yml@${ref}`],
    issuer: 'https://gitlab.com',
    extensions: { 12: `https://gitlab.com/${project}`, 14: ref },
  });
  const GITLAB = `
name: release
watch: { gitlabCi: { project: acme/tools/app } }
expect: { gitlabCi: { project: acme/tools/app, ref: refs/heads/main } }`;

  it.each<[string, string, CertificateOptions, string[]]>([
    ['GitLab, the release', GITLAB, gitlab('acme/tools/app', 'refs/heads/main'), []],
    ['GitLab, another ref', GITLAB, gitlab('acme/tools/app', 'refs/heads/dev'), ['unexpected']],
    ['GitLab, another project', GITLAB, gitlab('acme/tools/app2', 'refs/heads/main'), []],
    [
      'Google Cloud Build',
      '{ name: a, watch: { googleCloudBuild: { serviceAccount: b@p.iam.gserviceaccount.com } } }',
      { names: ['b@p.iam.gserviceaccount.com'], issuer: 'https://accounts.google.com' },
      ['match'],
    ],
    [
      'Google Cloud Build of another issuer',
      '{ name: a, watch: { googleCloudBuild: { serviceAccount: b@p.iam.gserviceaccount.com } }, expect: { googleCloudBuild: { serviceAccount: b@p.iam.gserviceaccount.com } } }',
      { names: ['b@p.iam.gserviceaccount.com'], issuer: 'https://evil.example' },
      ['unexpected'],
    ],
    [
      'Buildkite',
      '{ name: a, watch: { buildkite: { organization: acme } }, expect: { buildkite: { organization: acme, pipeline: app } } }',
      { names: ['https://buildkite.com/acme/other'], issuer: 'https://agent.buildkite.com' },
      ['unexpected'],
    ],
    [
      'Buildkite, as expected',
      '{ name: a, watch: { buildkite: { organization: acme } }, expect: { buildkite: { organization: acme, pipeline: app } } }',
      { names: ['https://buildkite.com/acme/app'], issuer: 'https://agent.buildkite.com' },
      [],
    ],
    [
      'CircleCI',
      `{ name: a, watch: { circleCi: { project: ${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}, organization: ${'1'.repeat(8)}-1111-1111-1111-${'1'.repeat(12)} } } }`,
      {
        names: [
          `https://circleci.com/api/v2/projects/${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}/pipeline-definitions/x`,
        ],
      },
      ['match'],
    ],
    [
      'Codefresh',
      '{ name: a, watch: { codefresh: { account: acme, pipeline: app/release } } }',
      { names: ['https://g.codefresh.io/acme/app/release:1/2'] },
      ['match'],
    ],
  ])('%s', (_, rule, options, want) => expect(tried(rule, options)).toEqual(want));

  const SPIFFE = `
name: builds
watch: { spiffe: { trustDomain: example.org } }
expect: [{ spiffe: { trustDomain: example.org, path: /build/** } }, { spiffe: { trustDomain: example.org, path: '/release/*/job-*', issuer: 'https://id.example.org' } }]`;
  const issuer = 'https://id.example.org';

  it.each<[string, CertificateOptions, string[]]>([
    ['an expected path', { names: ['spiffe://example.org/build/main'] }, []],
    ['a deeper path', { names: ['spiffe://example.org/build/team/main'] }, []],
    ['a path of one segment and a part of one', { names: ['spiffe://example.org/release/app/job-7'], issuer }, []],
    [
      'another issuer',
      { names: ['spiffe://example.org/release/app/job-7'], issuer: 'https://x.example' },
      ['unexpected'],
    ],
    ['no issuer', { names: ['spiffe://example.org/release/app/job-7'] }, ['unexpected']],
    ['more segments than a star', { names: ['spiffe://example.org/release/a/b/job-7'], issuer }, ['unexpected']],
    ['another path', { names: ['spiffe://example.org/deploy/main'] }, ['unexpected']],
    ['the path itself', { names: ['spiffe://example.org/build'] }, ['unexpected']],
    ['a path that only begins so', { names: ['spiffe://example.org/builder/main'] }, ['unexpected']],
    ['the trust domain alone', { names: ['spiffe://example.org'] }, ['unexpected']],
    ['traversal', { names: ['spiffe://example.org/build/../deploy'] }, ['unexpected']],
    ['traversal at the end', { names: ['spiffe://example.org/build/..'] }, ['unexpected']],
    ['a relative segment', { names: ['spiffe://example.org/build/./main'] }, ['unexpected']],
    ['an empty segment', { names: ['spiffe://example.org/build//main'] }, ['unexpected']],
    ['a slash at the end', { names: ['spiffe://example.org/build/main/'] }, ['unexpected']],
    ['percent signs', { names: ['spiffe://example.org/build/%2e%2e/main'] }, ['unexpected']],
    ['a query', { names: ['spiffe://example.org/build/main?x'] }, ['unexpected']],
    ['a second name', { names: ['spiffe://example.org/build/main', 'x@example.org'] }, ['unexpected']],
    ['two SPIFFE IDs', { names: ['spiffe://example.org/build/main', 'spiffe://other.org/x'] }, ['unexpected']],
    ['the name in another kind', { names: ['upn:spiffe://example.org/build/main'] }, ['unexpected']],
    ['another spelling of the scheme', { names: ['SPIFFE://example.org/build/main'] }, ['unexpected']],
    ['another spelling of the trust domain', { names: ['spiffe://EXAMPLE.org/build/main'] }, ['unexpected']],
    ['a port', { names: ['spiffe://example.org:443/build/main'] }, ['unexpected']],
    ['segments of dots, which are names', { names: ['spiffe://example.org/build/...'] }, []],
    ['another trust domain', { names: ['spiffe://other.org/build/main'] }, []],
    ['a trust domain that only begins so', { names: ['spiffe://example.org.evil.example/build/main'] }, []],
    ['a trust domain that only ends so', { names: ['spiffe://evil-example.org/build/main'] }, []],
    ['a trust domain that only looks so', { names: ['spiffe://examplexorg/build/main'] }, []],
    ['a trust domain below', { names: ['spiffe://sub.example.org/build/main'] }, []],
  ])('SPIFFE: %s', (_, options, want) => expect(tried(SPIFFE, options)).toEqual(want));

  it.each<[string, CertificateOptions, string[]]>([
    ['below it', { names: ['spiffe://example.org/build/main'] }, ['match']],
    ['below it by traversal', { names: ['spiffe://example.org/build/../deploy'] }, ['match']],
    ['in another spelling', { names: ['spiffe://example.org/BUILD/main'] }, ['match']],
    ['beside it', { names: ['spiffe://example.org/deploy/main'] }, []],
  ])('SPIFFE watches a path: %s', (_, options, want) => {
    expect(tried('{ name: a, watch: { spiffe: { trustDomain: example.org, path: /build/** } } }', options)).toEqual(
      want,
    );
  });

  it('SPIFFE expects a whole trust domain, with nothing that is no SPIFFE ID', () => {
    const rule =
      '{ name: a, watch: { spiffe: { trustDomain: example.org } }, expect: { spiffe: { trustDomain: example.org } } }';
    expect(tried(rule, { names: ['spiffe://example.org'] })).toEqual([]);
    expect(tried(rule, { names: ['spiffe://example.org/a/b'] })).toEqual([]);
    expect(tried(rule, { names: ['spiffe://example.org/a/../b'] })).toEqual(['unexpected']);
  });

  it('SPIFFE finds a name in an entry that cannot be read', () => {
    const file = join(dir, 'rule.yaml');
    writeFileSync(file, '{ name: a, watch: { spiffe: { trustDomain: example.org, path: /build/** } } }');
    const certificate = fulcioCertificate({ names: ['spiffe://example.org/build/main'] });
    certificate[0] = 0x31;
    const found = new RuleEngine(loadRules(file).rules).match(readEntry(hashedRekord({ certificate })), 'a');
    expect(found).toMatchObject([{ kind: 'unreadable' }]);
  });

  it.each([
    ['{ path: /build/** }', /trustDomain".* is missing/],
    ['{ trustDomain: Example.org }', /trustDomain".* is "Example.org"; allowed: such as example.org/],
    ['{ trustDomain: "*" }', /trustDomain".* is/],
    ['{ trustDomain: { pattern: ".*" } }', /takes no pattern/],
    ['{ trustDomain: example.org, path: build/** }', /path".* is/],
    ['{ trustDomain: example.org, path: /build/ }', /path".* is/],
    ['{ trustDomain: example.org, path: /**/build }', /path".* is/],
    ['{ trustDomain: example.org, path: /build** }', /path".* is/],
    ['{ trustDomain: example.org, path: /build/.. }', /path".* is/],
    ['{ trustDomain: example.org, path: "/build/.*" }', /path".* is/],
    ['{ trustDomain: example.org, path: { pattern: ".*" } }', /takes no pattern/],
    ['{ trustDomain: example.org, paths: /build/** }', /paths".* is unknown/],
  ])('SPIFFE refuses %s', (preset, message) => {
    const file = join(dir, 'rule.yaml');
    writeFileSync(file, `{ name: a, watch: { spiffe: ${preset} } }`);
    expect(() => loadRules(file)).toThrow(message);
  });
});
