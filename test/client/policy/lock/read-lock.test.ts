/** Lock files: the packages, their digests, and what nobody can judge. */
import { describe, expect, it } from 'vitest';
import { readLock } from '../../../../client/policy/lock/read-lock.ts';
import { encodeHex } from '../../../../merkle/bytes.ts';

const SHA512 = `sha512-${Buffer.alloc(64, 1).toString('base64')}`;
const OTHER = `sha512-${Buffer.alloc(64, 2).toString('base64')}`;
const SHA1 = `sha1-${Buffer.alloc(20, 1).toString('base64')}`;
const HEX = 'ab'.repeat(32);

function read(file: string, content: unknown, hosts?: readonly string[]) {
  const text = typeof content === 'string' ? content : JSON.stringify(content, undefined, 2);
  return readLock(file, Buffer.from(text), hosts);
}

/** Each package with its digests, or with its problem. */
function summary(...args: Parameters<typeof read>) {
  return read(...args).map(({ name, digests, problem }) => {
    return [name, problem ?? digests.map(({ hash, value }) => `${hash}:${encodeHex(value).slice(0, 2)}`).join(' ')];
  });
}

const npm = (packages: object, more: object = {}) => ({
  lockfileVersion: 3,
  packages: { '': { name: 'app' }, ...packages },
  ...more,
});
const address = (host: string) => `https://${host}/a/-/a-1.0.0.tgz`;

describe('package-lock.json', () => {
  const one = (entry: object, hosts?: readonly string[], place = 'node_modules/a') => {
    return summary('package-lock.json', npm({ [place]: { version: '1.0.0', ...entry } }), hosts)[0];
  };

  it('names each package but the root, by its purl and digest', () => {
    expect(
      summary(
        'dir/package-lock.json',
        npm({
          'node_modules/a': { version: '1.0.0', integrity: SHA512, dev: true, optional: true },
          'node_modules/a/node_modules/@scope/b': { version: '2.0.0-rc.1', integrity: OTHER },
          'node_modules/alias': { name: 'real', version: '3.0.0', integrity: SHA512 },
        }),
      ),
    ).toEqual([
      ['pkg:npm/a@1.0.0', 'sha512:01'],
      ['pkg:npm/%40scope/b@2.0.0-rc.1', 'sha512:02'],
      ['pkg:npm/real@3.0.0', 'sha512:01'],
    ]);
  });

  it('tells the line of each package', () => {
    expect(read('package-lock.json', npm({ 'node_modules/a': { version: '1.0.0', integrity: SHA512 } }))[0]!.line).toBe(
      7,
    );
  });

  it('judges what older and newer versions of npm would install', () => {
    const nested = { c: { version: '3.0.0', integrity: SHA512 } };
    const dependencies = {
      a: { version: '1.0.0', integrity: OTHER, dependencies: nested },
      alias: { version: 'npm:@scope/real@1.0.0', integrity: SHA512 },
    };
    expect(summary('package-lock.json', { lockfileVersion: 1, dependencies })).toEqual([
      ['pkg:npm/%40scope/real@1.0.0', 'sha512:01'],
      ['pkg:npm/a@1.0.0', 'sha512:02'],
      ['pkg:npm/c@3.0.0', 'sha512:01'],
    ]);
    const both = npm(
      { 'node_modules/a': { version: '1.0.0', integrity: SHA512 } },
      { lockfileVersion: 2, dependencies },
    );
    expect(summary('npm-shrinkwrap.json', both).filter(([name]) => name === 'pkg:npm/a@1.0.0')).toEqual([
      ['pkg:npm/a@1.0.0', 'sha512:01'],
      ['pkg:npm/a@1.0.0', 'sha512:02'],
    ]);
  });

  it('takes each digest of the strongest kind', () => {
    expect(one({ integrity: `${SHA1} ${SHA512} ${OTHER}` })).toEqual(['pkg:npm/a@1.0.0', 'sha512:01 sha512:02']);
  });

  it.each([
    [{}, 'no integrity'],
    [{ integrity: SHA1 }, 'no hash from SHA-256 on'],
    [{ integrity: '' }, 'no hash'],
    [{ integrity: 'sha512-AAAA' }, 'malformed'],
    [{ integrity: `${SHA512} sha512-x` }, 'malformed'],
    [{ inBundle: true }, 'inside the package above it'],
    [{ link: true, resolved: 'packages/a' }, 'a link to packages/a'],
    [{ link: true, resolved: '../a', integrity: SHA512 }, 'a link'],
    [{ version: 'git+ssh://git@example.com/a.git#abc', integrity: SHA512 }, 'no version of the registry'],
    [{ version: 'file:../a.tgz', integrity: SHA512 }, 'no version of the registry'],
    [{ version: undefined }, 'no version of the registry'],
    [{ resolved: 'git+ssh://git@example.com/a.git#abc', integrity: SHA512 }, 'not by https'],
    [{ resolved: 'file:a.tgz', integrity: SHA512 }, 'not by https'],
    [{ resolved: 'http://registry.example.com/a.tgz', integrity: SHA512 }, 'not by https'],
    [{ resolved: 'https://user:secret@registry.example.com/a.tgz', integrity: SHA512 }, 'a password'],
    [{ resolved: 'a.tgz', integrity: SHA512 }, 'no address'],
    [{ resolved: 7, integrity: SHA512 }, 'no text'],
  ])('denies %j', (entry, why) => {
    expect(one(entry)![1]).toContain(why);
  });

  it('takes packages from the hosts that are named alone', () => {
    const hosts = ['registry.example.com'];
    expect(one({ resolved: address('registry.example.com'), integrity: SHA512 }, hosts)![1]).toBe('sha512:01');
    expect(one({ resolved: address('evil.example.com'), integrity: SHA512 }, hosts)![1]).toContain('evil.example.com');
    expect(one({ resolved: address('registry.example.com.evil.com'), integrity: SHA512 }, hosts)![1]).toContain(
      'evil.com',
    );
    expect(one({ resolved: address('evil.example.com'), integrity: SHA512 })![1]).toBe('sha512:01');
  });

  it.each([
    ['[]', 'no object'],
    ['{ "lockfileVersion": 4, "packages": {} }', 'version 4'],
    ['{ "packages": {} }', 'version undefined'],
    ['{ "lockfileVersion": 3 }', 'no "packages"'],
    ['{ "lockfileVersion": 3, "packages": [] }', 'no object'],
    ['{ "lockfileVersion": 3, "packages": { "a": 7 } }', 'no object'],
    ['{ "lockfileVersion": 3, "packages": {}, "packages": {} }', 'twice'],
    ['{', 'not JSON'],
  ])('refuses %s', (text, why) => {
    expect(() => read('package-lock.json', text)).toThrow(why);
  });

  it('is bounded', () => {
    const packages = Object.fromEntries(
      Array.from({ length: 50_001 }, (_, i) => [`node_modules/p${i}`, { version: '1.0.0' }]),
    );
    expect(() => read('package-lock.json', npm(packages))).toThrow('more than 50000 packages');
  });
});

describe('pnpm-lock.yaml', () => {
  const lock = (packages: string) => `lockfileVersion: '9.0'\npackages:\n${packages}`;

  it('names packages of each version of the format', () => {
    const entries = [
      `  a@1.0.0:\n    resolution: { integrity: ${SHA512} }`,
      `  '@scope/b@2.0.0':\n    resolution: { integrity: ${OTHER} }`,
      `  /c/3.0.0:\n    resolution: { integrity: ${SHA512} }`,
      `  /@scope/d/4.0.0_peer@1.0.0:\n    resolution: { integrity: ${SHA512} }`,
      `  /e@5.0.0(peer@1.0.0):\n    resolution: { integrity: ${SHA512} }`,
    ];
    expect(summary('pnpm-lock.yaml', lock(entries.join('\n')))).toEqual([
      ['pkg:npm/a@1.0.0', 'sha512:01'],
      ['pkg:npm/%40scope/b@2.0.0', 'sha512:02'],
      ['pkg:npm/c@3.0.0', 'sha512:01'],
      ['pkg:npm/%40scope/d@4.0.0', 'sha512:01'],
      ['pkg:npm/e@5.0.0', 'sha512:01'],
    ]);
  });

  it.each([
    ['  a@1.0.0: {}', 'no integrity'],
    ['  a@1.0.0:\n    resolution: { type: git, repo: x, commit: y }', 'of the kind git'],
    [`  a@1.0.0:\n    resolution: { tarball: 'http://example.com/a.tgz', integrity: ${SHA512} }`, 'not by https'],
    ['  a@https://example.com/a.tgz:\n    resolution: { tarball: x }', 'no version of the registry'],
    [`  a@file:a.tgz:\n    resolution: { integrity: ${SHA512} }`, 'no version of the registry'],
  ])('denies %j', (entry, why) => {
    expect(summary('pnpm-lock.yaml', lock(entry))[0]![1]).toContain(why);
  });

  it.each([
    ['lockfileVersion: 4', 'version 4'],
    ['packages: {}', 'version undefined'],
    [lock('  a@1.0.0: {}\n  a@1.0.0: {}'), 'unique'],
    [lock('  - a'), 'no mapping'],
  ])('refuses %j', (text, why) => {
    expect(() => read('pnpm-lock.yaml', text)).toThrow(why);
  });
});

describe('Cargo.lock', () => {
  const source = 'registry+https://registry.example.com/index';
  const lock = (...packages: string[]) => ['# made by cargo', 'version = 4', '', ...packages].join('\n');
  const entry = (...lines: string[]) => ['[[package]]', 'name = "a"', 'version = "1.0.0"', ...lines, ''].join('\n');

  it('names packages of registries, and leaves the workspace out', () => {
    const a = entry(
      `source = "${source}"`,
      `checksum = "${HEX}"`,
      'dependencies = [',
      ' "b",',
      ` "c 1.0.0 (${source})",`,
      ']',
    );
    expect(summary('Cargo.lock', lock(a, entry()))).toEqual([['pkg:cargo/a@1.0.0', 'sha256:ab']]);
    expect(read('Cargo.lock', lock(a))[0]!.line).toBe(4);
  });

  it.each([
    [[`source = "${source}"`], undefined, 'no checksum'],
    [[`source = "${source}"`, 'checksum = "ab"'], undefined, 'no checksum'],
    [['source = "git+https://example.com/a#abc"'], undefined, 'comes from git+https'],
    [['source = "registry+http://registry.example.com"', `checksum = "${HEX}"`], undefined, 'not by https'],
    [[`source = "${source}"`, `checksum = "${HEX}"`], ['other.example.com'], 'the host registry.example.com'],
  ])('denies %j', (lines, hosts, why) => {
    expect(summary('Cargo.lock', lock(entry(...lines)), hosts)[0]![1]).toContain(why);
  });

  it.each([
    ['[[package]]\nname = "a"\nname = "b"\n', 'line 3'],
    ["[[package]]\nname = 'a'\n", 'line 2'],
    ['[package]\nname = "a"\n', 'line 1'],
    ['[[package]]\nname = "a"\nversion = "1"\ndependencies = [', 'within a list'],
    ['[[package]]\nname = "a"\n', 'line 1'],
  ])('refuses %j', (text, why) => {
    expect(() => read('Cargo.lock', text)).toThrow(why);
  });
});

describe('requirements.txt', () => {
  it('names each requirement, with every digest that pip would take', () => {
    const text = [
      '# comment',
      '--require-hashes',
      `Foo_Bar[extra]==1.0 ; python_version > "3" \\`,
      `    --hash=sha256:${HEX} \\`,
      `    --hash=sha256:${'cd'.repeat(32)}  # and after`,
      `other == 2.0 --hash=sha512:${'ef'.repeat(64)}`,
    ].join('\n');
    expect(summary('requirements-dev.txt', text)).toEqual([
      ['pkg:pypi/foo-bar@1.0', 'sha256:ab sha256:cd'],
      ['pkg:pypi/other@2.0', 'sha512:ef'],
    ]);
  });

  it.each([
    ['foo==1.0', 'no --hash'],
    ['foo>=1.0', 'NAME==VERSION'],
    ['foo==1.*', 'NAME==VERSION'],
    ['foo', 'NAME==VERSION'],
    ['foo @ https://example.com/foo.whl', 'NAME==VERSION'],
    ['-e .', 'NAME==VERSION'],
    ['-r other.txt', 'NAME==VERSION'],
    ['--extra-index-url https://example.com/simple', 'NAME==VERSION'],
    [`foo==1.0 --hash=md5:${'ab'.repeat(16)}`, 'no digest'],
    ['foo==1.0 --hash=sha256:ab', 'no digest'],
    [`foo==1.0 --hash=sha256:${HEX} --global-option=x`, 'no digest'],
  ])('denies %j', (line, why) => {
    expect(summary('requirements.txt', line)[0]![1]).toContain(why);
  });

  it('ends a requirement at a comment, as pip does', () => {
    const text = `foo==1.0 \\\n  # comment\n  --hash=sha256:${HEX}`;
    expect(summary('requirements.txt', text).map(([, why]) => why)).toEqual([
      'it has no --hash',
      expect.stringContaining('NAME==VERSION'),
    ]);
  });

  it('refuses a file without requirements', () => {
    expect(() => read('requirements.txt', '# nothing\n')).toThrow('no requirement');
  });
});

it('another file is refused by its name', () => {
  for (const file of ['yarn.lock', 'go.sum', 'poetry.lock', 'lock.json', 'package-lock.json.bak']) {
    expect(() => read(file, '{}')).toThrow('has not the name of a lock file');
  }
});
