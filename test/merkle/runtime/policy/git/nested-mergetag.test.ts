/** A commit in the place of a tag that was merged. */
import { expect, it } from 'vitest';
import { parseGitObject } from '../../../../../merkle/runtime/policy/git/git-object.ts';

const ID = 'a'.repeat(40);
const TAG = `object ${ID}\ntype commit\ntag v1\ntagger a <a@example.com> 1 +0000\n\nx`;
const commitWith = (merged: string) =>
  `tree ${ID}\nparent ${'b'.repeat(40)}\nparent ${ID}\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n` +
  `mergetag ${merged.replaceAll('\n', '\n ')}\n\nx`;

it('is refused where it stands: commits within commits are not read one by one', () => {
  expect(parseGitObject(Buffer.from(commitWith(TAG)))).toMatchObject({ kind: 'commit' });
  // Without a tree of its own, the innermost one would be another error if it were read.
  let nested = 'tree of nothing\n\nx';
  for (let level = 0; level < 50; level++) nested = commitWith(nested);
  expect(() => parseGitObject(Buffer.from(nested))).toThrow(/a mergetag that is about none of the commits/);
});
