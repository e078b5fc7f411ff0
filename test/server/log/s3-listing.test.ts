import { describe, expect, it } from 'vitest';
import { parseListing } from '../../../server/log/s3-listing.ts';
import { listing } from '../../support/s3-server.ts';

const [ONE, TWO, THREE] = ['0000000000000001', '0000000000000002', '0000000000000003'] as const;
const good = listing('log/', [`log/${ONE}`, `log/${TWO}`]);

describe('parseListing', () => {
  it('reads the names of a page, and whether there is more', () => {
    expect(parseListing(good, 'log/')).toEqual({ names: [ONE, TWO], truncated: false });
    expect(parseListing(listing('log/', [`log/${THREE}`], true), 'log/', TWO)).toEqual({
      names: [THREE],
      truncated: true,
    });
    expect(parseListing(listing('log/', []), 'log/')).toEqual({ names: [], truncated: false });
    // What people make at a console as a folder.
    expect(parseListing(listing('log/', ['log/', `log/${ONE}`]), 'log/')).toEqual({ names: [ONE], truncated: false });
  });

  it.each([
    ['an empty text', '', /no list/],
    ['a page for people', '<html><body>Please log in</body></html>', /no list/],
    ['a list that is cut off', good.slice(0, -10), /no list/],
    ['something after the list', `${good}<x/>`, /no list/],
    ['two lists', `${good}${good}`, /no list|not in order|that were asked for/],
    ['a comment', good.replace('<Contents>', '<!-- --><Contents>'), /no list/],
    ['an entity', `<!DOCTYPE x [<!ENTITY a "b">]>${good}`, /no list/],
    ['CDATA', good.replace(ONE, `<![CDATA[${ONE}]]>`), /no list/],
    ['no word on whether there is more', good.replace(/<IsTruncated>.*?<\/IsTruncated>/, ''), /asked for/],
    ['two words on it', good.replace('<IsTruncated>', '<IsTruncated>true</IsTruncated><IsTruncated>'), /asked for/],
    ['another word on it', good.replace('false', 'no'), /asked for/],
    ['another prefix', listing('other/', [`other/${ONE}`]), /asked for/],
    ['an object outside of the prefix', listing('log/', [`logs/${ONE}`]), /asked for/],
    ['an object with two names', good.replace('<Size>', `<Key>log/${THREE}</Key><Size>`), /asked for/],
    ['an object without a name', good.replace(`<Key>log/${ONE}</Key>`, ''), /asked for/],
    ['a name outside of an object', good.replace('<Contents>', `<Key>log/${THREE}</Key><Contents>`), /asked for/],
    ['an object that is not closed', good.replace('</Contents>', ''), /asked for/],
    [
      'an object of somebody else',
      listing('log/', ['log/notes.txt']),
      /the object log\/notes\.txt, which is no record/,
    ],
    ['a name that is too long', listing('log/', [`log/${ONE}0`]), /no record/],
    ['a name that is escaped', listing('log/', ['log/000000000000000&#49;']), /no record/],
    ['a name twice', listing('log/', [`log/${ONE}`, `log/${ONE}`]), /not in order/],
    ['names in another order', listing('log/', [`log/${TWO}`, `log/${ONE}`]), /not in order/],
    ['more, without a name', listing('log/', [], true), /there is more/],
  ])('refuses %s', (_, text, why) => expect(parseListing(text, 'log/')).toMatch(why));

  it('refuses a page that does not go on after the one before', () => {
    expect(parseListing(good, 'log/', ONE)).toBe('is not in order');
  });
});
