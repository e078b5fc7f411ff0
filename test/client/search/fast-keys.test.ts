import { describe, expect, it } from 'vitest';
import { fastKeys } from '../../../client/search/fast-keys.ts';
import { extractKeys } from '../../../merkle/index/extract.ts';
import { fulcioCertificate, githubRun, hashedRekord, madeUpKey } from '../../support/fulcio.ts';

const run = githubRun('acme/app', 'release.yml', 'refs/heads/main');

describe('the fast reader of keys', () => {
  it.each<[string, Uint8Array]>([
    ['a key', hashedRekord({ key: madeUpKey('a') })],
    ['a certificate', hashedRekord({ certificate: fulcioCertificate(run) })],
    ['text', Buffer.from('hello')],
    ['another kind', Buffer.from('{"kind":"x","apiVersion":"1","spec":{}}')],
  ])('gives the keys of %s as the pure one does', (_, body) => {
    expect(fastKeys(body)).toEqual(extractKeys(body));
  });
});
