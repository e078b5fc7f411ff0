import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { linkFolder } from '../../../../client/cli/policy/link-folder.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-links-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('reads each link when it is asked for, so that all of them are never in memory', () => {
  writeFileSync(join(dir, 'build.00000000.link'), 'first');
  mkdirSync(join(dir, 'build.11111111.link'));
  writeFileSync(join(dir, 'other.00000000.link'), 'of another step');
  const [first, second, ...more] = linkFolder(dir).linksOf('build');
  expect(more).toEqual([]);
  expect(first!.name).toBe('build.00000000.link');
  writeFileSync(join(dir, 'build.00000000.link'), 'changed before it is read');
  expect(Buffer.from(first!.read()).toString()).toBe('changed before it is read');
  expect(() => second!.read()).toThrow(/build\.11111111\.link cannot be read: it is no regular file/);
});
