/** What a client reads of an identity token, and how it keeps one secret. */
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../../client/errors.ts';
import {
  keepingSecret,
  looksLikeToken,
  MAX_IDENTITY_TOKEN,
  readIdentityToken,
  withoutToken,
} from '../../../../client/submit/keyless/identity-token.ts';
import { newIssuerKey, signToken } from '../../../support/issuer.ts';

const NOW = Date.parse('2026-08-01T12:00:00Z');
const key = newIssuerKey('ES256');
const CLAIMS = { iss: 'https://accounts.example.com', aud: 'sigstore', sub: 'release', exp: NOW / 1000 + 600 };
const token = (claims: object = {}, header: object = {}) =>
  signToken(key, { alg: 'ES256', typ: 'JWT', ...header }, { ...CLAIMS, ...claims });
const read = (text: string) => readIdentityToken(text, NOW);
const raw = (claims: string) => signToken(key, { alg: 'ES256' }, claims);
const [header, payload, signature] = token().split('.') as [string, string, string];

describe('an identity token', () => {
  it('is for its e-mail address, else for its subject', () => {
    expect(read(token())).toMatchObject({ subject: 'release', isEmail: false, issuers: [CLAIMS.iss] });
    const email = { email: 'release@example.com', email_verified: true };
    expect(read(token(email))).toMatchObject({ subject: 'release@example.com', isEmail: true });
    expect(read(token({ email: '', email_verified: false }))).toMatchObject({ subject: 'release' });
  });

  it('may have white space around it, as files have', () => {
    const text = token();
    expect(read(` ${text}\r\n`).text).toBe(text);
  });

  it.each([undefined, false, 'true', 1, 'yes'])(
    'with an e-mail address is of no use where email_verified is %s',
    (verified) => {
      const text = token({ email: 'release@example.com', email_verified: verified });
      expect(() => read(text)).toThrow(
        expect.objectContaining({ code: 'identity-token', message: expect.stringContaining('did not verify') }),
      );
    },
  );

  it('that has expired is of no use, to the second', () => {
    expect(read(token({ exp: NOW / 1000 + 1 })).expires).toBe(NOW + 1000);
    const expired = { code: 'identity-token', message: expect.stringContaining('it expired at 20') };
    for (const exp of [NOW / 1000, NOW / 1000 - 1, 1e9]) {
      expect(() => read(token({ exp }))).toThrow(expect.objectContaining(expired));
    }
  });

  it.each([
    ['nothing', ''],
    ['words', 'hello world'],
    ['one part', header],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${header}.${payload}.${signature}.${signature}`],
    ['five parts, as an encrypted one has', `${header}..${signature}.${payload}.${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['no header', `.${payload}.${signature}`],
    ['padding', `${header}=.${payload}.${signature}`],
    ['standard base64', `${header}.${payload}.${signature.slice(0, -1)}+`],
    ['bits beyond the bytes', `${header}.${payload}.AB`],
    ['a line break inside', `${header}.\n${payload}.${signature}`],
    ['the word Bearer', `Bearer ${token()}`],
    ['a header that is a list', `${btoa('[]').replace('==', '')}.${payload}.${signature}`],
    ['claims that are no JSON', raw('{')],
    ['claims that are a list', raw('[]')],
    ['claims that are null', raw('null')],
    ['a claim twice', raw(`{"iss":"https://a.example","sub":"a","sub":"b","exp":${CLAIMS.exp}}`)],
    ['no subject', token({ sub: undefined })],
    ['an empty subject', token({ sub: '' })],
    ['a subject that is a number', token({ sub: 7 })],
    ['a subject with a line break', token({ sub: 'a\nb' })],
    ['a subject with half a character', raw(`{"iss":"https://a.example","sub":"\\ud800","exp":${CLAIMS.exp}}`)],
    ['a long subject', token({ sub: 'a'.repeat(2049) })],
    ['an e-mail address that is a list', token({ email: ['a@example.com'], email_verified: true })],
    ['no issuer', token({ iss: undefined })],
    ['an issuer that is a list', token({ iss: ['https://a.example'] })],
    ['no end', token({ exp: undefined })],
    ['an end that is text', token({ exp: String(CLAIMS.exp) })],
    ['an end that is no number', token({ exp: null })],
    ['an end in milliseconds', token({ exp: NOW })],
    ['a negative end', token({ exp: -1 })],
    ['a megabyte', 'a'.repeat(1024 * 1024)],
    ['a byte too much', token({ more: 'a'.repeat(MAX_IDENTITY_TOKEN) })],
  ])('is none with %s, and stays a secret', (_, text) => {
    let error: unknown;
    try {
      read(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'identity-token' });
    expect((error as Error).cause).toBeUndefined();
    for (const part of text.split('.')) if (part.length > 20) expect(String(error)).not.toContain(part.slice(0, 20));
  });
});

describe('a token on a command line', () => {
  it.each([
    token(),
    `Bearer ${token()}`,
    ` ${token()}\n`,
    `${token()}.`,
    `"${token()}"`,
    `token=${token()}`,
    `/run/${token()}`,
    `${Buffer.from('{ "alg": "ES256" }').toString('base64url')}.${payload}.${signature}`,
    `${Buffer.from('{\n  "alg": "ES256" }').toString('base64url')}.${payload}.${signature}`,
    token().slice(0, 150),
    signToken(newIssuerKey('RS256'), { alg: 'RS256' }, CLAIMS),
  ])('is told from a file: %s', (text) => expect(looksLikeToken(text)).toBe(true));

  it.each([
    'token',
    'token.jwt',
    './eyJtoken',
    '-',
    'eyJtoken.txt',
    'eyJ.a',
    '/run/secrets/token',
    'a.b.c',
    '',
    'eyes-of-it.something.txt',
    'keywords.something.txt',
    'eyJtoken12.txt',
  ])('may be the name of a file: %s', (text) => expect(looksLikeToken(text)).toBe(false));
});

describe('a secret', () => {
  const text = token();
  it('is taken out of a text, whole or in pieces of eight letters', () => {
    expect(withoutToken(`no: ${text}, really`, { text })).toBe('no: …, really');
    expect(withoutToken(`${text.slice(3, 40)} and ${text.slice(-9)}`, { text })).toBe('… and …');
    expect(withoutToken(`${text}${text}`, { text })).toMatch(/^…+$/);
    expect(withoutToken('the authority refuses the request', { text })).toBe('the authority refuses the request');
    expect(withoutToken(text.slice(0, 7), { text })).toBe(text.slice(0, 7));
    expect(withoutToken('', { text })).toBe('');
  });

  it('is in no error of what is done with it', async () => {
    const work = () => Promise.reject(new ClientError('refused', `bad ${text}`, { cause: new Error(text) }));
    const error = await keepingSecret(read(text), work).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'refused', message: 'bad …' });
    expect((error as Error).cause).toBeUndefined();
  });
});
