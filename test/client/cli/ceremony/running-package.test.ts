/** The digest over the packages that Stele loads: every file of every package that is loaded, however deep. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { thisMachine } from '../../../../client/cli/ceremony/running-package.ts';
import { tempDir } from '../../../support/log.ts';

describe('the digest of the packages that run', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  const at = (...names: string[]) => join(dir.path, ...names);
  const put = (path: string, json: object) => {
    mkdirSync(at(path), { recursive: true });
    writeFileSync(at(path, 'package.json'), JSON.stringify(json));
    writeFileSync(at(path, 'index.js'), `// ${path}`);
  };
  const digest = () => thisMachine({ root: at('node_modules/stele'), version: '0.1.0' }).dependencies;

  beforeEach(async () => {
    dir = await tempDir();
    put('node_modules/stele', { dependencies: { a: '1' }, optionalDependencies: { missing: '1' } });
    put('node_modules/a', { dependencies: { b: '1', '@scope/c': '1' } });
    put('node_modules/a/node_modules/b', { optionalDependencies: { d: '1' } });
    put('node_modules/@scope/c', { dependencies: { a: '1' } });
    put('node_modules/d', {});
    put('node_modules/pkcs11js', {});
    put('node_modules/unused', {});
  });
  afterEach(() => dir.remove());

  it.each(['a', 'a/node_modules/b', '@scope/c', 'd', 'pkcs11js'])('changes with a file of %s', (name) => {
    const before = digest();
    expect(digest()).toBe(before);
    writeFileSync(at('node_modules', name, 'index.js'), 'changed');
    const changed = digest();
    expect(changed).not.toBe(before);
    writeFileSync(at('node_modules', name, 'more.js'), '');
    expect(digest()).not.toBe(changed);
  });

  it('does not change with a package that is not loaded, nor with the place of one', () => {
    const before = digest();
    writeFileSync(at('node_modules/unused', 'index.js'), 'changed');
    expect(digest()).toBe(before);
    rmSync(at('node_modules/d'), { recursive: true });
    put('elsewhere/d', {});
    writeFileSync(at('elsewhere/d', 'index.js'), '// node_modules/d');
    symlinkSync(at('elsewhere/d'), at('node_modules/d'));
    expect(digest()).toBe(before);
    rmSync(at('node_modules/d'));
    expect(digest()).not.toBe(before);
  });
});
