/** The order of versions against the tools of their ecosystems: dpkg, Python's packaging, rpm, RubyGems, and npm's semver. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isInRange, parseVersionRange } from '../../merkle/runtime/policy/versions/vers.ts';
import { have, skips } from '../support/skip.ts';

const PAIRS = 3000;
/** Debian's own: its packages are not in the path of another Python. */
const PYTHON = '/usr/bin/python3';

/** Pairs of texts of these pieces, always the same ones. */
function pairs(
  pieces: readonly string[],
  head: readonly string[] = ['0', '1', '2', '10'],
): readonly (readonly [string, string])[] {
  const version = fc
    .tuple(fc.constantFrom(...head), fc.array(fc.constantFrom(...pieces), { maxLength: 6 }))
    .map(([first, rest]) => first + rest.join(''));
  return fc.sample(fc.tuple(version, version), { numRuns: PAIRS, seed: 7 });
}

/** -1, 0 or 1 as ours is; undefined where one of them is no version. */
function ours(type: string, a: string, b: string): number | undefined {
  const any = parseVersionRange(`vers:${type}/>=1.0.0`);
  if ([a, b].some((one) => typeof isInRange(any, one, true) === 'string')) return undefined;
  const encoded = b.replaceAll('!', '%21');
  const is = (comparator: string) =>
    isInRange(parseVersionRange(`vers:${type}/${comparator}${encoded}`), a, true) === true;
  return is('<') ? -1 : is('>') ? 1 : 0;
}

/** Compares where both readers take both versions, and demands that this is not rare. */
function compare(
  type: string,
  list: readonly (readonly [string, string])[],
  theirs: readonly (number | undefined)[],
): void {
  const found = list.map(([a, b], i) => ({ a, b, ours: ours(type, a, b), theirs: theirs[i] }));
  const both = found.filter((one) => one.ours !== undefined && one.theirs !== undefined);
  expect(both.length).toBeGreaterThan(list.length / 20);
  expect(both.filter((one) => one.ours !== one.theirs)).toEqual([]);
}

/** A program that reads pairs as JSON and answers with their orders; null where one is no version. */
function judged(
  program: string,
  args: readonly string[],
  list: readonly (readonly [string, string])[],
): (number | undefined)[] {
  const out = execFileSync(program, args, { input: JSON.stringify(list), encoding: 'utf8', maxBuffer: 1 << 26 });
  return (JSON.parse(out) as (number | null)[]).map((order) => order ?? undefined);
}

const runs = (program: string, ...args: readonly string[]) => have(program) && spawnSync(program, args).status === 0;

describe('versions', () => {
  const noDpkg = skips('versions of deb', have('dpkg') ? undefined : 'dpkg is not on PATH');
  it.skipIf(noDpkg)(
    'of deb are in the order of dpkg',
    () => {
      const list = pairs(['.', '-', '~', '+', '1', '0', '10', 'a', 'b', 'rc', '1:']);
      const script = `while IFS=' ' read -r a b; do
      if dpkg --compare-versions "$a" lt "$b" 2>/dev/null; then echo -1
      elif dpkg --compare-versions "$a" gt "$b" 2>/dev/null; then echo 1; elif dpkg --compare-versions "$a" eq "$b" 2>/dev/null; then echo 0; else echo none; fi; done`;
      const input = list.map((pair) => `${pair.join(' ')}\n`).join('');
      const out = execFileSync('bash', ['-c', script], { input, encoding: 'utf8' });
      const theirs = out
        .trim()
        .split('\n')
        .map((one) => (one === 'none' ? undefined : Number(one)));
      compare('deb', list, theirs);
    },
    120_000,
  );

  const noPackaging = skips(
    'versions of pypi',
    runs(PYTHON, '-c', 'import packaging.version') ? undefined : 'no python3-packaging',
  );
  it.skipIf(noPackaging)('of pypi are in the order of packaging', () => {
    const list = pairs([
      '.',
      '-',
      '_',
      '1',
      '0',
      '10',
      'a',
      'b',
      'rc',
      'c',
      'post',
      'dev',
      '1!',
      'alpha',
      'preview',
      'r',
    ]);
    const script = `import json, sys
from packaging.version import Version, InvalidVersion
def order(a, b):
    try: a, b = Version(a), Version(b)
    except InvalidVersion: return None
    return -1 if a < b else 1 if a > b else 0
print(json.dumps([order(a, b) for a, b in json.load(sys.stdin)]))`;
    const theirs = judged(PYTHON, ['-c', script], list);
    compare('pypi', list, theirs);
    // Both take the same texts for versions.
    expect(list.filter(([a, b], i) => (ours('pypi', a, b) === undefined) !== (theirs[i] === undefined))).toEqual([]);
  });

  const noRpm = skips('versions of rpm', runs(PYTHON, '-c', 'import rpm') ? undefined : 'no python3-rpm');
  it.skipIf(noRpm)('of rpm are in the order of rpm', () => {
    const list = pairs(['.', '~', '^', '_', '1', '0', '10', 'a', 'b', 'rc', '+']).map(
      ([a, b]) => [`${a}-1`, `${b}-1`] as const,
    );
    const script = `import json, sys, rpm
part = lambda v: ('0', v[:-2], '1')
print(json.dumps([rpm.labelCompare(part(a), part(b)) for a, b in json.load(sys.stdin)]))`;
    compare('rpm', list, judged(PYTHON, ['-c', script], list));
  });

  const noRuby = skips('versions of gem', have('ruby') ? undefined : 'ruby is not on PATH');
  it.skipIf(noRuby)('of gem are in the order of RubyGems', () => {
    const list = pairs(['.', '.', '-', '1', '0', '10', 'a', 'b', 'rc']);
    const script = `require 'json'
orders = JSON.parse($stdin.read).map do |a, b|
  Gem::Version.correct?(a) && Gem::Version.correct?(b) ? Gem::Version.new(a) <=> Gem::Version.new(b) : nil
end
puts JSON.generate(orders)`;
    const theirs = judged('ruby', ['-e', script], list);
    compare('gem', list, theirs);
    expect(list.filter(([a, b], i) => (ours('gem', a, b) === undefined) !== (theirs[i] === undefined))).toEqual([]);
  });

  const root = have('npm') ? execFileSync('npm', ['root', '-g'], { encoding: 'utf8' }).trim() : '';
  const noNpm = skips('versions of npm', root === '' ? 'npm is not on PATH' : undefined);
  it.skipIf(noNpm)("of npm are in the order of npm's semver", () => {
    const semver = createRequire(import.meta.url)(join(root, 'npm/node_modules/semver')) as {
      valid(text: string): string | null;
      compare(a: string, b: string): number;
    };
    const list = pairs(['-', '.', '1', '0', '10', 'a', 'rc', '+b'], ['1.0.0', '1.0.0-', '1.2.10', '1.10.2']);
    const theirs = list.map(([a, b]) => {
      return semver.valid(a) === null || semver.valid(b) === null ? undefined : semver.compare(a, b);
    });
    compare('npm', list, theirs);
    expect(list.filter(([a, b], i) => (ours('npm', a, b) === undefined) !== (theirs[i] === undefined))).toEqual([]);
  });
});
