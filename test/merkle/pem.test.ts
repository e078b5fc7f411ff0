import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPem, parsePem, pemBytes } from '../../merkle/pem.ts';
import { codeOf } from './helpers.ts';

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const DER = publicKey.export({ format: 'der', type: 'spki' });
const PEM = String(publicKey.export({ format: 'pem', type: 'spki' }));
const [BEGIN, FIRST, SECOND, END] = PEM.split('\n') as [string, string, string, string];
const lines = (...all: string[]) => all.join('\n');

/** Whether Node's OpenSSL reads the key. */
const openssl = (pem: string): boolean => {
  try {
    return createPublicKey(pem).export({ format: 'der', type: 'spki' }).equals(DER);
  } catch {
    return false;
  }
};
const read = (pem: string) => parsePem(pem).map((block) => ({ label: block.label, der: Buffer.from(pemBytes(block)) }));
const broken = (pem: string) => codeOf(() => read(pem)) === 'bad-pem';

describe('PEM', () => {
  it('is written as OpenSSL writes it, and read again', () => {
    expect(formatPem('PUBLIC KEY', DER)).toBe(PEM);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (der) => {
        expect(read(formatPem('A-B C', der))).toEqual([{ label: 'A-B C', der: Buffer.from(der) }]);
      }),
    );
  });

  it.each([
    ['as it is', PEM],
    ['CRLF', PEM.replaceAll('\n', '\r\n')],
    ['no newline at the end', PEM.trimEnd()],
    ['white space at the ends of lines', PEM.replaceAll('\n', ' \t\n')],
    ['one long line', lines(BEGIN, FIRST + SECOND, END)],
    ['short lines', lines(BEGIN, ...(FIRST + SECOND).match(/.{1,10}/g)!, END)],
    ['white space in a line', lines(BEGIN, FIRST.replace('A', 'A '), SECOND, END)],
    ['an empty line first', lines(BEGIN, '', FIRST, SECOND, END)],
    ['text around it', lines('# key of Example Ltd', 'Name: x', BEGIN, FIRST, SECOND, END, 'the end')],
    ['text in another alphabet', lines('Schlüssel für Žluť —', BEGIN, FIRST, SECOND, END)],
    ['a line of hyphens before it', lines('-----', '-----------------', BEGIN, FIRST, SECOND, END)],
    ['a byte order mark', `\ufeff${PEM}`],
  ])('is read as OpenSSL reads it: %s', (_, pem) => {
    expect(openssl(pem)).toBe(true);
    expect(read(pem)).toEqual([{ label: 'PUBLIC KEY', der: DER }]);
    // The bytes of the file, one character for each.
    expect(read(Buffer.from(pem).toString('latin1'))).toEqual([{ label: 'PUBLIC KEY', der: DER }]);
  });

  it.each([
    ['CR', PEM.replaceAll('\n', '\r')],
    ['empty lines', lines(BEGIN, '', FIRST, '', SECOND, '', END)],
    ['white space before a line', lines(...[BEGIN, FIRST, SECOND, END].map((line) => `  ${line}`))],
  ])('is read as RFC 7468 section 3 has it: %s', (_, pem) => {
    expect(read(pem)).toEqual([{ label: 'PUBLIC KEY', der: DER }]);
  });

  it.each([
    ['text before the first line of the block', `x${PEM}`],
    ['text after the first line of the block', lines(`${BEGIN} x`, FIRST, SECOND, END)],
    ['text before the last line of the block', lines(BEGIN, FIRST, SECOND, `x${END}`)],
    ['no last line', lines(BEGIN, FIRST, SECOND, '')],
    ['no first line', lines(FIRST, SECOND, END)],
    ['two labels', lines(BEGIN, FIRST, SECOND, '-----END PRIVATE KEY-----')],
    ['no label', lines('-----BEGIN -----', FIRST, SECOND, '-----END -----')],
    ['a first line in a block', lines(BEGIN, FIRST, BEGIN, FIRST, SECOND, END)],
    ['a missing hyphen', PEM.replace('KEY-----', 'KEY----')],
    ['missing padding', lines(BEGIN, FIRST, SECOND.replaceAll('=', ''), END)],
    ['other characters', lines(BEGIN, FIRST.replace('A', '!'), SECOND, END)],
    ['the URL-safe alphabet', lines(BEGIN, FIRST.replace(/[A-Z]/, '_'), SECOND, END)],
    ['headers', lines(BEGIN, 'Comment: mine', '', FIRST, SECOND, END)],
    ['headers without an empty line', lines(BEGIN, 'Comment: mine', FIRST, SECOND, END)],
    [
      'bits after the last byte',
      formatPem('PUBLIC KEY', DER.subarray(0, 1)).replace(
        /(.)==/,
        (_, digit) => `${String.fromCharCode(digit.charCodeAt(0) + 1)}==`,
      ),
    ],
  ])('is refused: %s', (_, pem) => {
    expect(openssl(pem)).toBe(false);
    expect(broken(pem)).toBe(true);
  });

  it('gives all blocks, also those that no caller asks for', () => {
    const two = `${PEM}text\n${formatPem('X509 CRL', Buffer.of(1))}`;
    expect(read(two).map(({ label }) => label)).toEqual(['PUBLIC KEY', 'X509 CRL']);
    expect(parsePem('')).toEqual([]);
    expect(parsePem('no key')).toEqual([]);
  });

  it('keeps the headers of an encrypted key, and says so where bytes are asked for', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const pem = privateKey.export({ format: 'pem', type: 'pkcs1', cipher: 'aes-128-cbc', passphrase: 'x' });
    const [block] = parsePem(String(pem));
    expect(block!.headers).toEqual(['Proc-Type: 4,ENCRYPTED', expect.stringMatching(/^DEK-Info: AES-128-CBC,/)]);
    expect(() => pemBytes(block!)).toThrow(/"RSA PRIVATE KEY" .*Proc-Type: 4,ENCRYPTED.* is encrypted/);
  });

  it('is read in a time that grows with its length', () => {
    // A reader that looks for an end from each beginning takes longer for these than a test may.
    const much = 2 * 1024 * 1024;
    const boundaries = [
      '-----BEGIN A-----\n'.repeat(much / 18),
      `-----BEGIN ${'A '.repeat(much / 2)}`,
      `-----BEGIN ${'-'.repeat(much)}`,
    ];
    for (const text of boundaries) expect(broken(text)).toBe(true);
    for (const text of [' ', '-', ':', '\n']) expect(parsePem(text.repeat(much))).toEqual([]);
  });
});
