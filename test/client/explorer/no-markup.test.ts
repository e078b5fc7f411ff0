/** The page makes no markup of data: no source of it has a way to, and no link of it is made of a stranger's text. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSources } from '../../support/sources.ts';

const sources = readSources(join(import.meta.dirname, '../../..'), ['client/explorer']);
const codeOf = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

/** What takes a text for markup or for a script. */
const SINKS =
  /innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|srcdoc|createContextualFragment|DOMParser|\beval\(|new Function|javascript:|setAttribute\(['"](?:on|style)/;
/** Where a link may lead: to a route of the page, to its own files, or to bytes that it holds itself. */
const LINK = /^(?:linkTo\(|url$|explorer\.json$)/;

describe('the sources of the page', () => {
  it('are all looked at', () => expect(sources.length).toBeGreaterThan(30));

  it('have no way to make markup of a text', () => {
    for (const { path, text } of sources) expect(SINKS.exec(codeOf(text))?.[0], path).toBeUndefined();
  });

  it.each(['x.innerHTML = y', '<p dangerouslySetInnerHTML={{ __html: x }} />', "a.href = 'javascript:x'", 'eval(x)'])(
    'would be refused with %s',
    (code) => expect(code).toMatch(SINKS),
  );

  it('link to nothing that data names', () => {
    let links = 0;
    for (const { path, text } of sources) {
      for (const [, braced, quoted] of codeOf(text).matchAll(/\bhref=(?:\{([^}]*)|"([^"]*)")/g)) {
        links++;
        expect((braced ?? quoted)!.trim(), path).toMatch(LINK);
      }
      expect(/\b(?:window\.open|location\.(?:assign|replace|href\s*=))/.exec(codeOf(text))?.[0], path).toBeUndefined();
    }
    expect(links).toBeGreaterThan(10);
  });
});
