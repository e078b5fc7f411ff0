/** Commits and tags of git: what is read, what the signature is over, and what is refused. */
import { describe, expect, it } from 'vitest';
import { MerkleError } from '../../../../../merkle/errors.ts';
import { looksLikeGit, parseGitObject } from '../../../../../merkle/runtime/policy/git/git-object.ts';
import { commit, idOf, PERSON, SshKey, tag, withHeader } from '../../../../support/git-objects.ts';

const read = (text: string) => parseGitObject(Buffer.from(text));
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const SIGNATURE = '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n';
const ID = '1'.repeat(40);

function refusal(object: string | Uint8Array): string {
  try {
    parseGitObject(typeof object === 'string' ? Buffer.from(object) : object);
  } catch (error) {
    if (error instanceof MerkleError && error.code === 'bad-git') return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

describe('a commit', () => {
  it('has the id that git gives it, in both kinds of repository', () => {
    const sha1 = withHeader(commit(), SIGNATURE);
    expect(read(sha1)).toMatchObject({ kind: 'commit', id: idOf('commit', sha1), hash: 'sha1' });
    const sha256 = withHeader(commit({ sha256: true }), SIGNATURE, 'gpgsig-sha256');
    expect(read(sha256)).toMatchObject({ id: idOf('commit', sha256, 'sha256'), hash: 'sha256' });
  });

  it('is signed without its signature, and with every other header', () => {
    const payload = commit({ extra: 'encoding UTF-8\nchange-id abc\n more of it\n' });
    const object = read(withHeader(payload, SIGNATURE));
    expect(text(object.signed)).toBe(payload);
    expect(object.signature).toBe(SIGNATURE.trimEnd());
    expect(object).toMatchObject({
      author: { name: 'A Maintainer', email: 'maintainer@example.com', time: 1785585600000 },
    });
  });

  it('has no signature where only the one of the other hash is there', () => {
    expect(read(withHeader(commit(), SIGNATURE, 'gpgsig-sha256')).signature).toBeUndefined();
    expect(read(withHeader(commit({ sha256: true }), SIGNATURE)).signature).toBeUndefined();
    const both = withHeader(withHeader(commit(), SIGNATURE), SIGNATURE.replace('AAAA', 'BBBB'), 'gpgsig-sha256');
    expect(read(both)).toMatchObject({ signature: SIGNATURE.trimEnd() });
    expect(text(read(both).signed)).toBe(commit());
  });

  it('reads the tag that a merge keeps', () => {
    const merged = tag('d670460b4b4aece5915caf5c68d12f560a9fe3e4');
    const mergetag = `mergetag ${merged.trimEnd().replaceAll('\n', '\n ')}\n`;
    const two = commit({ extra: mergetag }).replace('\nparent', `\nparent ${ID}\nparent`);
    expect(read(two)).toMatchObject({ kind: 'commit', parents: [ID, 'd670460b4b4aece5915caf5c68d12f560a9fe3e4'] });
    expect(refusal(two.replace(`parent ${ID}\n`, ''))).toContain('mergetag');
    expect(refusal(commit({ extra: 'mergetag nonsense\n' }))).toContain('malformed');
  });

  it.each([
    ['two signatures', withHeader(withHeader(commit(), SIGNATURE), SIGNATURE), 'gpgsig twice'],
    [
      'two of the other hash',
      withHeader(withHeader(commit(), SIGNATURE, 'gpgsig-sha256'), SIGNATURE, 'gpgsig-sha256'),
      'twice',
    ],
    ['a header that git does not sign', commit({ extra: 'gpgsig-more of somebody\n' }), 'gpgsig-more'],
    ['a header that begins so', commit({ extra: 'gpgsigx y\n' }), 'gpgsigx'],
    ['a NUL byte in the message', commit({ message: 'one\0two' }), 'NUL'],
    ['a NUL byte in a header', commit({ extra: 'x \0\n' }), 'NUL'],
    ['no tree', commit().slice(46), 'neither'],
    ['two trees', `tree ${ID}\n${commit()}`, 'tree once'],
    ['a tree behind the committer', commit({ extra: `tree ${ID}\n` }), 'out of its place'],
    ['a parent behind the committer', commit({ extra: `parent ${ID}\n` }), 'out of its place'],
    ['two committers', commit({ extra: `committer ${PERSON}\n` }), 'committer once'],
    ['no author', commit().replace(/author .*\n/, ''), 'author once'],
    ['an author without an address', commit().replace(/author .*\n/, 'author somebody 1 +0000\n'), 'author'],
    ['an author over two lines', commit().replace(/(author .*)\n/, '$1\n x\n'), 'several lines'],
    ['ids of two kinds', commit().replace(/parent .*\n/, `parent ${'1'.repeat(64)}\n`), 'two kinds'],
    ['an id in upper case', commit({ tree: 'A'.repeat(40) }), 'no id'],
    ['a short id', commit({ tree: 'a'.repeat(39) }), 'no id'],
    ['a line that begins with a space', ` x\n${commit()}`, 'malformed'],
    ['no empty line', `tree ${ID}\n`, 'empty line'],
    ['a header without an end', `tree ${ID}`, 'without an end'],
    ['nothing', '', 'empty line'],
  ])('is refused with %s', (_, object, why) => expect(refusal(object)).toContain(why));

  it('is refused where it is long, at once', () => {
    expect(refusal(new Uint8Array(1024 * 1024 + 1).fill(0x61))).toContain('limit');
    expect(refusal(commit({ extra: 'a b\n'.repeat(1001) }))).toContain('1000 headers');
  });
});

describe('a tag', () => {
  const signed = `${tag(ID)}${SIGNATURE}`;

  it('is signed up to its signature', () => {
    const object = read(signed);
    expect(object).toMatchObject({ kind: 'tag', id: idOf('tag', signed), object: ID, type: 'commit', name: 'v1.0' });
    expect(text(object.signed)).toBe(tag(ID));
    expect(object.signature).toBe(SIGNATURE);
  });

  it('is signed without the headers of signatures', () => {
    const payload = tag('1'.repeat(64));
    const object = read(`${withHeader(payload, SIGNATURE, 'gpgsig')}${SIGNATURE}`);
    expect(text(object.signed)).toBe(payload);
    expect(object.hash).toBe('sha256');
  });

  it('keeps what follows the signature in it, which then is no signature', () => {
    expect(read(`${signed}more\n`).signature).toBe(`${SIGNATURE}more\n`);
  });

  it.each([
    ['two signatures', `${signed}${SIGNATURE}`, 'two signatures'],
    ['a signature of another kind in its message', `${tag(ID)}-----BEGIN PGP SIGNATURE-----\n${SIGNATURE}`, 'two'],
    ['two names', tag(ID).replace('tag v1.0\n', 'tag v1.0\ntag v2.0\n'), 'tag once'],
    ['another header', tag(ID).replace('\n\n', '\nx y\n\n'), 'header x'],
    ['two taggers', tag(ID).replace('\n\n', `\ntagger ${PERSON}\n\n`), 'tagger'],
    ['an unknown type', tag(ID, 'v1.0', 'branch'), 'branch'],
    ['no name', tag(ID).replace('tag v1.0\n', ''), 'tag once'],
  ])('is refused with %s', (_, object, why) => expect(refusal(object)).toContain(why));
});

it('looks like git only where it begins so', () => {
  expect(looksLikeGit(Buffer.from(commit()))).toBe(true);
  expect(looksLikeGit(Buffer.from(commit({ sha256: true })))).toBe(true);
  expect(looksLikeGit(Buffer.from(tag(ID)))).toBe(true);
  for (const other of ['{"a":1}', 'tree of life\n', 'object 12\n', '', ` ${commit()}`]) {
    expect(looksLikeGit(Buffer.from(other))).toBe(false);
  }
});

it('throws nothing else, wherever a byte is changed or the object is cut', () => {
  const key = new SshKey('ed25519');
  const whole = Buffer.from(withHeader(commit(), key.sign(commit())));
  for (let at = 0; at < whole.length; at++) {
    for (const bytes of [whole.subarray(0, at), Uint8Array.from(whole, (byte, i) => (i === at ? byte ^ 0x15 : byte))]) {
      try {
        const object = parseGitObject(bytes);
        expect(object.id).not.toBe(idOf('commit', whole.toString('latin1')));
      } catch (error) {
        expect((error as MerkleError).code).toBe('bad-git');
      }
    }
  }
});
