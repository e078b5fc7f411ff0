import { expect, it } from 'vitest';
import { loadPackage } from '../../../merkle/runtime/optional-package.ts';

it('loads a package that is there', async () => {
  expect(await loadPackage('commander', 'this test')).toHaveProperty('Command');
});

it.each([
  ['is not there', 'stele-no-such-package', /^this test needs .* is not installed\. Run `npm install stele-no-such/],
  ['does not load', 'data:text/javascript,throw new Error("no library")', /cannot be loaded\. Run `npm rebuild /],
  [
    'lacks another package',
    'data:text/javascript,import "stele-no-such-package"',
    /which is installed but cannot be loaded/,
  ],
])('names what to do where a package %s', async (_, name, message) => {
  await expect(loadPackage(name, 'this test')).rejects.toMatchObject({
    code: 'package',
    message: expect.stringMatching(message),
  });
});
