/** The plan in YAML: what is right is read and written, and every mistake is named with its line. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAY, HOUR } from '../../../../client/trust/tuf/plan.ts';
import { formatPlan, parseExpiry, parsePlan, readPlan } from '../../../../client/trust/tuf/plan-config.ts';
import { formatPem } from '../../../../merkle/pem.ts';
import { tempDir } from '../../../support/log.ts';
import { newKey } from '../../../support/new-key.ts';
import { holders, planOf } from './repository.ts';
import { ed25519Key } from './tuf-files.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
const pem = (spki: Uint8Array) => formatPem('PUBLIC KEY', spki);
beforeAll(async () => {
  dir = await tempDir();
  for (const name of ['a', 'b', 'online']) writeFileSync(join(dir.path, `${name}.pem`), pem(ed25519Key().spki));
  writeFileSync(join(dir.path, 'p384.pem'), pem(newKey('P-384').publicKey.spki));
  writeFileSync(join(dir.path, 'text.pem'), 'no key');
});
afterAll(() => dir.remove());

const GOOD = `holders:
  a: a.pem
  b: b.pem
  online: online.pem
root: { holders: [a, b], threshold: 2, expires: 730d }
targets: { holders: [a, b], threshold: 1 }
snapshot: { holders: [online] }
timestamp: { holders: [online], expires: 12h }
delegations:
  - name: team
    holders: [b]
    paths: ['team/*']
`;
const parse = (text: string) => parsePlan(text, join(dir.path, 'plan.yaml'));

describe('a plan', () => {
  it('has defaults, and keys from files beside it', () => {
    const plan = parse(GOOD);
    expect([...plan.holders.keys()]).toEqual(['a', 'b', 'online']);
    expect(plan).toMatchObject({
      root: { holders: ['a', 'b'], threshold: 2, expires: 730 * DAY },
      targets: { threshold: 1, expires: 90 * DAY },
      snapshot: { threshold: 1, expires: 7 * DAY },
      timestamp: { threshold: 1, expires: 12 * HOUR },
      delegations: [
        { name: 'team', holders: ['b'], threshold: 1, paths: ['team/*'], terminating: true, expires: 90 * DAY },
      ],
    });
  });

  it('is written so that it reads the same, with the keys in it', () => {
    const { five, online } = holders();
    for (const plan of [parse(GOOD), planOf(five, online)]) {
      expect(parsePlan(formatPlan(plan), '/elsewhere/plan.yaml')).toEqual(plan);
    }
  });

  it('may have a thousand delegations', () => {
    const plan = parse(GOOD);
    const names = Array.from({ length: 1000 }, (_, i) => `team-${i}`);
    const big = {
      ...plan,
      delegations: names.map((name) => ({ ...plan.delegations[0]!, name, paths: [`${name}/*`] })),
    };
    expect(parsePlan(formatPlan(big), '/elsewhere/plan.yaml').delegations.map(({ name }) => name)).toEqual(names);
  });

  it.each([
    [
      'a holder twice',
      (t: string) => t.replace('root: { holders: [a, b]', 'root: { holders: [a, a]'),
      /"root.holders" \(line 5\) is \["a","a"\]; allowed: names of holders, each once/,
    ],
    [
      'a long period',
      (t: string) => t.replace('730d', '3651d'),
      /"root.expires" \(line 5\) is "3651d"; allowed: 1h to 3650d/,
    ],
    [
      'an unknown member',
      (t: string) => t.replace('threshold: 2,', 'treshold: 2, threshold: 2,'),
      /"root.treshold" \(line 5\) is unknown; did you mean "threshold"/,
    ],
    [
      'no threshold of the root',
      (t: string) => t.replace('threshold: 2, ', ''),
      /"root.threshold" \(line 5\) is missing/,
    ],
    ['threshold 0', (t: string) => t.replace('threshold: 2', 'threshold: 0'), /"root.threshold" \(line 5\) is 0/],
    [
      'a threshold above the holders',
      (t: string) => t.replace('threshold: 2', 'threshold: 3'),
      /"root.threshold" \(line 5\) is 3: it must be from 1 to 2/,
    ],
    [
      'a threshold as text',
      (t: string) => t.replace('threshold: 2', 'threshold: "2"'),
      /"root.threshold" \(line 5\) is "2"/,
    ],
    ['threshold 1.5', (t: string) => t.replace('threshold: 2', 'threshold: 1.5'), /"root.threshold" \(line 5\) is 1.5/],
    [
      'a holder twice',
      (t: string) => t.replace('[a, b], threshold: 2', '[a, a], threshold: 2'),
      /"root.holders" \(line 5\)/,
    ],
    ['an unknown holder', (t: string) => t.replace('[b]', '[c]'), /"delegations\[0\].holders\[0\]" \(line 11\) is "c"/],
    ['the same key twice', (t: string) => t.replace('b.pem', 'a.pem'), /"holders.b" \(line 3\) has the same key as a/],
    [
      'a file that is not there',
      (t: string) => t.replace('b.pem', 'nothing.pem'),
      /"holders.b" \(line 3\) nothing.pem cannot be read/,
    ],
    [
      'a P-384 key',
      (t: string) => t.replace('b.pem', 'p384.pem'),
      /"holders.b" \(line 3\) a key of a TUF repository is Ed25519 or ECDSA P-256, and this one is ECDSA P-384/,
    ],
    [
      'a file without a key',
      (t: string) => t.replace('b.pem', 'text.pem'),
      /"holders.b" \(line 3\) text.pem must hold one PEM block/,
    ],
    ['a period without a unit', (t: string) => t.replace('730d', '730'), /"root.expires" \(line 5\)/],
    ['a period of 0', (t: string) => t.replace('730d', '0d'), /"root.expires" \(line 5\) is "0d"/],
    ['a period of centuries', (t: string) => t.replace('730d', '73000d'), /"root.expires" \(line 5\)/],
    ['no timestamp', (t: string) => t.replace(/timestamp.*\n/, ''), /"timestamp.holders" .*is missing/],
    [
      'a timestamp that outlives what it is for',
      (t: string) => t.replace('expires: 12h', 'expires: 90d'),
      /"timestamp.expires" \(line 8\) is longer than/,
    ],
    [
      'a delegation called root',
      (t: string) => t.replace('name: team', 'name: root'),
      /"delegations\[0\].name" \(line 10\) is "root"/,
    ],
    [
      'a delegation twice, in two cases',
      (t: string) => `${t}  - { name: TEAM, holders: [b], paths: [x] }\n`,
      /"delegations\[1\].name" \(line 13\)/,
    ],
    ['a delegation of nothing', (t: string) => t.replace("['team/*']", '[]'), /"delegations\[0\].paths" \(line 12\)/],
    [
      'a delegated absolute path',
      (t: string) => t.replace("'team/*'", "'/team/*'"),
      /"delegations\[0\].paths\[0\]" \(line 12\)/,
    ],
    [
      'a delegated path with braces',
      (t: string) => t.replace("'team/*'", "'{a,b}'"),
      /"delegations\[0\].paths\[0\]" \(line 12\)/,
    ],
    [
      'a delegation without a name',
      (t: string) => t.replace('name: team', 'terminating: true'),
      /"delegations\[0\].name" \(line 10\) is missing/,
    ],
    [
      'terminating as text',
      (t: string) => t.replace('name: team', 'name: team\n    terminating: yes please'),
      /"delegations\[0\].terminating" \(line 11\) is "yes please"/,
    ],
    ['a key twice in YAML', (t: string) => `${t}root: 1\n`, /Map keys must be unique/],
    ['an alias', (t: string) => t.replace('a: a.pem', 'a: *x'), /line 2: YAML aliases/],
    ['broken YAML', (t: string) => `${t}  {`, /line 1\d: /],
    ['nothing', () => '', /must be a mapping/],
  ])('is refused with %s', (_, change, why) => {
    const text = change(GOOD);
    expect(text).not.toBe(GOOD);
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'trust', message: expect.stringMatching(why) }));
  });

  it('names all mistakes at once', () => {
    const text = GOOD.replace('threshold: 2', 'threshold: 0').replace('[b]', '[]').replace('12h', '12');
    expect(() => parse(text)).toThrow(/2 settings are wrong[\s\S]*root.threshold[\s\S]*timestamp.expires/);
  });

  it('that is not there is an error of the file', () => {
    expect(() => readPlan(join(dir.path, 'none.yaml'))).toThrow(/cannot be read: there is no such file/);
  });
});

describe('a period', () => {
  it.each([
    ['1h', HOUR],
    ['36h', 36 * HOUR],
    ['90d', 90 * DAY],
    ['3650d', 3650 * DAY],
  ])('%s is read', (text, ms) => expect(parseExpiry(text)).toBe(ms));
  it.each(['', '1', 'd', '0h', '-1d', '1.5d', '01d', '1w', '3651d', '1 d', '99999h '])('%j is none', (text) =>
    expect(() => parseExpiry(text)).toThrow(expect.objectContaining({ code: 'usage' })),
  );
});
