/**
 * Names of images, as container engines read them (github.com/distribution/reference) and as cosign does
 * (github.com/google/go-containerregistry). Evidence is looked up where engines pull.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { type ImageName, parseImageName } from '../../client/evidence/image-name.ts';
import { skips } from '../support/skip.ts';
import { buildJudge } from './go-judge.ts';

const HEX = createHash('sha256').update('a').digest('hex');
const HOSTS = [
  '',
  'localhost',
  'Localhost',
  'docker.io',
  'Docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'example.com',
  'EXAMPLE.com',
  'Foo',
  'foo',
  'foo-bar',
  '-foo.com',
  'foo_bar.com',
  'a__b.c',
  'registry:5000',
  'localhost:5000',
  'localhost:',
  'a:b',
  '127.0.0.1',
  '127.0.0.1:80',
  '[::1]',
  '[::1]:5000',
  '[2001:DB8::1]',
  '[::ffff:1.2.3.4]',
  '[fe80::1%eth0]',
  '1.2',
  'a..b',
  '.',
  '..',
  'https:',
  'user@example.com',
  'xn--bcher-kva.example',
  'bücher.example',
  'a.b.',
  'ghcr.io',
  'x'.repeat(200),
  `${'x.'.repeat(100)}com`,
  '0',
  '1e3',
  'example.com:99999',
];
const PATHS = [
  '',
  'a',
  'x',
  'app',
  'library/app',
  'team/app',
  'team/sub/app',
  'App',
  'Team/app',
  'a_b',
  'a__b',
  'a___b',
  'a-b',
  'a---b',
  'a.b',
  'a..b',
  'a-_b',
  '-a',
  'a-',
  '_a',
  'a_',
  'a//b',
  'a/',
  '/a',
  '../a',
  'a/../b',
  './a',
  'a b',
  'ä',
  HEX,
  HEX.slice(1),
  `${HEX}/x`,
  'sha256',
  'a'.repeat(255),
  'a'.repeat(256),
  `${'a/'.repeat(127)}b`,
  `${'a/'.repeat(130)}b`,
  'localhost',
  '0',
  'v2',
  'manifests',
  'a%2fb',
  'a\\b',
  'a?b',
  'a#b',
];
const TAGS = [
  '',
  ':1',
  ':latest',
  ':V1.2-3_4',
  ':',
  ':-1',
  ':.1',
  ':_',
  ':a:b',
  `:${'t'.repeat(128)}`,
  `:${'t'.repeat(129)}`,
  ':a/b',
  ': ',
  ':ä',
];
const DIGESTS = [
  '',
  `@sha256:${HEX}`,
  `@sha256:${HEX.toUpperCase()}`,
  `@sha256:${HEX.slice(2)}`,
  `@sha256:${HEX}00`,
  `@SHA256:${HEX}`,
  `@sha384:${'a'.repeat(96)}`,
  `@sha512:${'b'.repeat(128)}`,
  `@sha512:${HEX}`,
  `@md5:${'a'.repeat(32)}`,
  `@sha1:${'a'.repeat(40)}`,
  `@sha256+b64:${HEX}`,
  '@',
  '@sha256',
  '@sha256:',
  `@${HEX}`,
  `@sha256:${HEX}@sha256:${HEX}`,
  `@sha256:${HEX}:1`,
  `@blake3:${HEX}`,
  `@sha256:${'g'.repeat(64)}`,
];

/** Each host with each path, and each path with each tag and digest in turn; then the same with one character changed. */
function names(): string[] {
  const found: string[] = ['', HEX, `sha256:${HEX}`, '/', '@', ':', 'a\n', '\u0000', ' app', 'app '];
  let turn = 0;
  for (const host of HOSTS) {
    for (const path of PATHS) {
      const tag = TAGS[turn % TAGS.length];
      const digest = DIGESTS[(turn * 7) % DIGESTS.length];
      turn += 1;
      const whole = host === '' ? path : `${host}/${path}`;
      found.push(whole, `${whole}${tag}${digest}`);
    }
  }
  for (const tag of TAGS)
    for (const digest of DIGESTS) found.push(`example.com/app${tag}${digest}`, `app${tag}${digest}`);
  // Chance that is the same each time.
  const characters = [...'aA0.-_/:@[]% é\n'];
  let seed = 1;
  const chance = (below: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  for (const name of [...found]) {
    if (name.length === 0) continue;
    const at = chance(name.length);
    const character = characters[chance(characters.length)];
    found.push(name.slice(0, at) + character + name.slice(at + chance(2)));
    found.push(name.slice(0, at) + name.slice(at + 1));
  }
  return [...new Set(found)];
}

interface Verdict {
  readonly reference: ImageName | null;
  readonly ggcr: ImageName | null;
}

const judge = buildJudge('image-names');

function judged(program: string, all: readonly string[]): Map<string, Verdict> {
  const input = all.map((name) => JSON.stringify(name)).join('\n');
  const { status, stdout, stderr } = spawnSync(program, { input, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(stderr);
  const lines = stdout.trim().split('\n');
  expect(lines).toHaveLength(all.length);
  return new Map(all.map((name, at) => [name, JSON.parse(lines[at]!) as Verdict]));
}

function parsed(name: string): ImageName | null {
  try {
    return parseImageName(name);
  } catch (error) {
    expect(error).toMatchObject({ name: 'ClientError', code: 'usage' });
    return null;
  }
}

describe.skipIf(skips('names of images beside libraries of Go', typeof judge === 'string' ? judge : undefined))(
  'names of images',
  () => {
    const program = typeof judge === 'string' ? '' : judge.program;
    afterAll(() => {
      if (typeof judge !== 'string') judge.remove();
    });

    it('mean what they mean to container engines', () => {
      const verdicts = judged(program, names());
      expect(verdicts.size).toBeGreaterThan(5000);
      const good = [...verdicts.values()].filter(({ reference }) => reference !== null);
      expect(good.length).toBeGreaterThan(500);
      const differences: string[] = [];
      for (const [name, { reference }] of verdicts) {
        // Stricter on purpose: a first part that looks like a domain and is none, and more than 1,024 characters.
        const expected = reference?.domain === '' || name.length > 1024 ? null : reference;
        const found = parsed(name);
        if (JSON.stringify(found) !== JSON.stringify(expected))
          differences.push(`${JSON.stringify(name)}: ${JSON.stringify([found, expected])}`);
      }
      expect(differences).toEqual([]);
    });

    it.each<[string, ImageName | null, ImageName | null]>([
      // [name, for engines and Stele, for cosign]
      [
        'localhost/app',
        { domain: 'localhost', path: 'app' },
        { domain: 'index.docker.io', path: 'localhost/app', tag: 'latest' },
      ],
      ['Foo/bar', { domain: 'Foo', path: 'bar' }, null],
      ['example.com/x', { domain: 'example.com', path: 'x' }, null],
      ['a..b', null, { domain: 'index.docker.io', path: 'library/a..b', tag: 'latest' }],
      ['https://example.com/app', null, { domain: 'https:', path: '/example.com/app', tag: 'latest' }],
      [HEX, null, { domain: 'index.docker.io', path: `library/${HEX}`, tag: 'latest' }],
      [
        `example.com/app:1@sha256:${HEX}`,
        { domain: 'example.com', path: 'app', tag: '1', digest: `sha256:${HEX}` },
        { domain: 'example.com', path: 'app', digest: `sha256:${HEX}` },
      ],
      [
        'app',
        { domain: 'docker.io', path: 'library/app' },
        { domain: 'index.docker.io', path: 'library/app', tag: 'latest' },
      ],
      [
        `sha256:${HEX}`,
        { domain: 'docker.io', path: 'library/sha256', tag: HEX },
        { domain: 'index.docker.io', path: 'library/sha256', tag: HEX },
      ],
    ])('are read as engines do where cosign differs: %s', (name, reference, ggcr) => {
      expect(judged(program, [name]).get(name)).toEqual({ reference, ggcr });
      expect(parsed(name)).toEqual(reference);
    });
  },
);
