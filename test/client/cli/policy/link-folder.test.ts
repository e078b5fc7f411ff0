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

it('reads the links of a step one by one, so that all of them are never in memory', () => {
  writeFileSync(join(dir, 'build.00000000.link'), 'first');
  mkdirSync(join(dir, 'build.11111111.link'));
  writeFileSync(join(dir, 'other.00000000.link'), 'of another step');
  const links = linkFolder(dir).linksOf('build')[Symbol.iterator]();
  expect(links.next().value).toMatchObject({ name: 'build.00000000.link', bytes: Buffer.from('first') });
  expect(() => links.next()).toThrow(/build\.11111111\.link cannot be read: it is no regular file/);
});
