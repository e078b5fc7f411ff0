import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { isDigest, MAX_CHECKSUMS, parseChecksums, parseDigest } from '../../../client/formats/checksums.ts';

const hex = (hash: string, of: string) => createHash(hash).update(of).digest('hex');
const A = hex('sha256', 'a');
const B = hex('sha384', 'b');
const C = hex('sha512', 'c');
const refused = (why: string) => expect.objectContaining({ code: 'usage', message: expect.stringContaining(why) });
const parse = (text: string | Uint8Array) =>
  parseChecksums(Buffer.from(text as string), 'the list L').map(({ line, name, hash, value }) => [
    line,
    name,
    `${hash}:${Buffer.from(value).toString('hex')}`,
  ]);

describe('a digest', () => {
  it('is an algorithm and lower-case hex of its length', () => {
    for (const [hash, text] of [
      ['sha256', A],
      ['sha384', B],
      ['sha512', C],
    ] as const) {
      const { hash: found, value } = parseDigest(`${hash}:${text}`);
      expect([found, Buffer.from(value).toString('hex')]).toEqual([hash, text]);
    }
  });

  it.each([
    [`sha256:${A.toUpperCase()}`, 'must be in lower case'],
    [`SHA256:${A}`, 'write sha256 in lower case'],
    [`sha256:${A.slice(1)}`, 'it has 63 digits of hex, and sha256 has 64'],
    [`sha256:${A}0`, 'it has 65 digits'],
    [`sha256:${C}`, 'it has 128 digits'],
    ['sha256:', 'it has 0 digits'],
    [`sha256:${Buffer.from(A, 'hex').toString('base64')}`, '64 digits of hex, and nothing else'],
    [`sha256: ${A}`, 'and nothing else'],
    [`sha256:${A}\n`, 'and nothing else'],
    [`sha256:${A}:${A}`, 'and nothing else'],
    [`sha1:${A.slice(24)}`, 'sha1 is not compared, only sha256, sha384, sha512'],
    [`sha512/256:${A}`, 'sha512/256 is not compared'],
    [`sha3-256:${A}`, 'sha3-256 is not compared'],
    [`blake2b:${C}`, 'blake2b is not compared'],
    [`md5:${A.slice(32)}`, 'md5 is not compared'],
    [`gitCommit:${A.slice(24)}`, 'gitCommit is not compared'],
  ])('is refused as %j, with the reason', (text, why) => {
    expect(isDigest(text)).toBe(true);
    expect(() => parseDigest(text)).toThrow(refused(why));
    expect(() => parseDigest(text)).toThrow(refused('given as ./NAME'));
  });

  it('is told from the name of a file', () => {
    for (const file of [
      'app.tgz',
      `./sha256:${A}`,
      `dir/sha256:${A}`,
      'sha256sums',
      'SHA256SUMS',
      A,
      'shares:x',
      '-',
    ]) {
      expect(isDigest(file), file).toBe(false);
    }
  });
});

describe('a list of digests', () => {
  it('is read in both forms of sha256sum, with its names as they are', () => {
    const list = [
      '# made by a build',
      `${A}  app.tgz`,
      `${B} *dir/app b.tgz`,
      '',
      `${C}   two spaces and (brackets) = more`,
      `SHA256 (tagged (1).tgz) = ${A}`,
      `SHA512 (c) = ${C}\r`,
      `\\${A}  line\\nfeed\\\\and\\rreturn`,
      `\\SHA384 (b\\\\c) = ${B}`,
    ].join('\n');
    expect(parse(list)).toEqual([
      [2, 'app.tgz', `sha256:${A}`],
      [3, 'dir/app b.tgz', `sha384:${B}`],
      [5, ' two spaces and (brackets) = more', `sha512:${C}`],
      [6, 'tagged (1).tgz', `sha256:${A}`],
      [7, 'c', `sha512:${C}`],
      [8, 'line\nfeed\\and\rreturn', `sha256:${A}`],
      [9, 'b\\c', `sha384:${B}`],
    ]);
  });

  it.each([
    [`${A} app`, 'is not in the form of sha256sum'],
    [`${A}`, 'is not in the form of sha256sum'],
    ['<html>', 'is not in the form of sha256sum'],
    [`${A}\tapp`, 'is not in the form of sha256sum'],
    [` ${A}  app`, 'is not in the form of sha256sum'],
    [`${A.slice(1)}  app`, 'has a digest of 63 digits'],
    [`${A.slice(24)}  app`, 'has a digest of 40 digits'],
    [`${A.toUpperCase()}  app`, 'must be in lower case'],
    [`${A.slice(1)}g  app`, 'digits of hex, and nothing else'],
    [`SHA256 (app) = ${A.toUpperCase()}`, 'must be in lower case'],
    [`SHA256 (app) = ${C}`, 'it has 128 digits'],
    [`SHA256 (app) = ${Buffer.from(A, 'hex').toString('base64')}`, 'and nothing else'],
    [`sha256 (app) = ${A}`, 'has the algorithm sha256, and only SHA256'],
    [`MD5 (app) = ${A.slice(32)}`, 'has the algorithm MD5'],
    [`SHA512/256 (app) = ${A}`, 'has the algorithm SHA512/256'],
    [`SHA256(app)= ${A}`, 'is not in the form of sha256sum'],
    [`${A}  `, 'has no name'],
    [`SHA256 () = ${A}`, 'has no name'],
    [`${A}  a\0b`, 'has no name'],
    [`${A}  -`, 'standard input'],
    [`\\${A}  a\\tb`, 'a backslash in its name that means nothing'],
    [`\\${A}  a\\`, 'a backslash in its name that means nothing'],
    [`${A}  ${'a'.repeat(9000)}`, 'a name of more than 8192 characters'],
  ])('is refused as a whole for the line %j, which is named', (line, why) => {
    const list = `${B}  good\n\n${line}\n${C}  also good\n`;
    for (const part of ['line 3 of the list L', why, 'nothing was verified']) {
      expect(() => parse(list), part).toThrow(refused(part));
    }
  });

  it('names a file once, in one form', () => {
    for (const again of [
      `${A}  app`,
      `${hex('sha256', 'other')}  app`,
      `${C}  app`,
      `SHA512 (app) = ${C}`,
      `${A} *./app`,
      `${A}  .//app`,
    ]) {
      expect(() => parse(`${A}  app\n${B}  b\n${again}\n`), again).toThrow(
        refused('lines 1 and 3 of the list L both name app'),
      );
    }
    expect(parse(`${A}  app\n${A}  copy\n${A}  d/app\n`)).toHaveLength(3);
  });

  it('is refused where it is empty, too long, or no text', () => {
    for (const empty of ['', '\n\n', '# nothing\n']) expect(() => parse(empty)).toThrow(refused('names no file'));
    expect(() => parse(Buffer.from([0xff, 0xfe]))).toThrow(refused('is not UTF-8'));
    expect(() => parse(new Uint8Array(MAX_CHECKSUMS + 1))).toThrow(refused('is longer than 16777216 bytes'));
    expect(() => parse('\n'.repeat(100_000))).toThrow(refused('has more than 100000 lines'));
  });

  it('never throws anything but a ClientError', () => {
    const part = fc.constantFrom(A, B, '  ', ' *', '\\', '\\n', 'SHA256 (', ') = ', 'name', '\r', '\n', '#', '(');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        try {
          parse(parts.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(ClientError);
        }
      }),
    );
  });
});
