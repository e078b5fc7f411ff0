/** Names of images. What distribution/reference itself says of them: test/interop/image-names.test.ts. */
import { describe, expect, it } from 'vitest';
import { artifactName, formatImageName, parseImageName } from '../../../client/evidence/image-name.ts';

const HEX = '0123456789abcdef'.repeat(4);
const SHA256 = `sha256:${HEX}`;

describe('the name of an image', () => {
  it.each([
    // [name, domain, path, tag, digest]
    ['app', 'docker.io', 'library/app'],
    ['app:1.2', 'docker.io', 'library/app', '1.2'],
    ['team/app', 'docker.io', 'team/app'],
    ['docker.io/app', 'docker.io', 'library/app'],
    ['index.docker.io/app', 'docker.io', 'library/app'],
    ['index.docker.io/team/app', 'docker.io', 'team/app'],
    ['registry-1.docker.io/team/app', 'registry-1.docker.io', 'team/app'],
    ['example.com/app', 'example.com', 'app'],
    ['example.com/x', 'example.com', 'x'],
    ['registry:5000/app', 'registry:5000', 'app'],
    ['127.0.0.1:5000/a/b/c:T_-.', '127.0.0.1:5000', 'a/b/c', 'T_-.'],
    ['[::1]:5000/app', '[::1]:5000', 'app'],
    ['[2001:db8::1]/app', '[2001:db8::1]', 'app'],
    ['example.com:5000', 'docker.io', 'library/example.com', '5000'],
    ['a/b/c', 'docker.io', 'a/b/c'],
    ['a--b__c.d_e/f', undefined, ''],
    ['a--b__c/d.e_f', 'docker.io', 'a--b__c/d.e_f'],
    [`app@${SHA256}`, 'docker.io', 'library/app', undefined, SHA256],
    [`app:1@${SHA256}`, 'docker.io', 'library/app', '1', SHA256],
    [`app@sha384:${'a'.repeat(96)}`, 'docker.io', 'library/app', undefined, `sha384:${'a'.repeat(96)}`],
    [`app@sha512:${'a'.repeat(128)}`, 'docker.io', 'library/app', undefined, `sha512:${'a'.repeat(128)}`],
    // A digest alone is an image called sha256 with a long tag.
    [SHA256, 'docker.io', 'library/sha256', HEX],
    // A name of 64 hexadecimal digits is refused, but not with anything beside it.
    [`${HEX}:1`, 'docker.io', `library/${HEX}`, '1'],
    [`a/${'b'.repeat(253)}`, 'docker.io', `a/${'b'.repeat(253)}`],
    [`app:${'t'.repeat(128)}`, 'docker.io', 'library/app', 't'.repeat(128)],
  ] as const)('%s', (name, domain, path, tag = undefined, digest = undefined) => {
    if (domain === undefined) return expect(() => parseImageName(name)).toThrow('is no host of a registry');
    const { tag: foundTag, digest: foundDigest, ...rest } = parseImageName(name);
    expect({ ...rest, tag: foundTag, digest: foundDigest }).toEqual({ domain, path, tag, digest });
    // The normalized form means the same.
    expect(parseImageName(formatImageName(parseImageName(name)))).toEqual(parseImageName(name));
  });

  it.each([
    ['', 'it is empty'],
    ['/app', 'empty or consists of dots'],
    ['app/', 'empty or consists of dots'],
    ['example.com//app', 'empty or consists of dots'],
    ['example.com/../app', 'empty or consists of dots'],
    ['../app', 'is no host of a registry'],
    ['./app', 'is no host of a registry'],
    ['a..b', 'the form is'],
    ['a/b/..', 'empty or consists of dots'],
    ['App', 'lower-case letters only'],
    ['team/App', 'lower-case letters only'],
    ['example.com/Team/app', 'lower-case letters only'],
    ['https://example.com/app', 'empty or consists of dots'],
    ['user@example.com/app', 'is no host of a registry'],
    ['example.com:/app', 'is no host of a registry'],
    ['example.com:80a/app', 'is no host of a registry'],
    ['-example.com/app', 'is no host of a registry'],
    ['[fe80::1%25eth0]/app', 'is no host of a registry'],
    ['[::ffff:1.2.3.4]/app', 'is no host of a registry'],
    ['app:', 'the form is'],
    ['app:a:b', 'the form is'],
    ['app:-a', 'the form is'],
    [`app:${'t'.repeat(129)}`, 'the form is'],
    ['app@', 'the form is'],
    ['app@sha256', 'its digest is not'],
    ['app@sha256:', 'its digest is not'],
    [`app@sha256:${HEX.slice(1)}`, 'its digest is not'],
    [`app@sha256:${HEX}0`, 'its digest is not'],
    [`app@sha256:${HEX.toUpperCase()}`, 'its digest is not'],
    [`app@SHA256:${HEX}`, 'its digest is not'],
    [`app@md5:${'a'.repeat(32)}`, 'its digest is not'],
    [`app@sha256+b64:${HEX}`, 'its digest is not'],
    [`app@${SHA256}:1`, 'its digest is not'],
    [`app@${SHA256}@${SHA256}`, 'the form is'],
    [HEX, 'identifier of an image'],
    [`a/${'b'.repeat(254)}`, 'more than 255 characters'],
    [`${'a.'.repeat(600)}b/c`, 'more than 1024 characters'],
    ['app\n', 'the form is'],
    [' app', 'the form is'],
    ['app\u0000', 'the form is'],
    ['exämple.com/app', 'is no host of a registry'],
    ['Ä/app', 'is no host of a registry'],
  ])('refuses %j', (name, why) => {
    expect(() => parseImageName(name)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(why) }),
    );
  });

  it('is read in no time, whatever it repeats', () => {
    for (const part of ['a', 'a-', 'a.', 'a_', 'a/', '-', 'a:']) {
      expect(() => parseImageName(`${part.repeat(1000).slice(0, 1020)}!`)).toThrow('is not the name of an image');
    }
  });
});

describe('the name that policies see', () => {
  it.each([
    ['app:1', 'docker.io/library/app'],
    [`registry.example.com/team/app@${SHA256}`, 'registry.example.com/team/app'],
    ['Registry.Example.com/team/app', 'registry.example.com/team/app'],
    ['registry.example.com:443/team/app', 'registry.example.com/team/app'],
    ['registry.example.com:0443/team/app', 'registry.example.com/team/app'],
    ['registry.example.com:05000/team/app', 'registry.example.com:5000/team/app'],
    ['registry.example.com:80/team/app', 'registry.example.com:80/team/app'],
    ['registry.example.com:99999/team/app', 'registry.example.com:99999/team/app'],
    ['[0:0::1]:5000/app', '[::1]:5000/app'],
    ['registry-1.docker.io/library/app', 'docker.io/library/app'],
    ['LOCALHOST/app', 'localhost/app'],
  ])('of %s is %s', (text, name) => {
    expect(artifactName(parseImageName(text))).toBe(name);
  });
});
