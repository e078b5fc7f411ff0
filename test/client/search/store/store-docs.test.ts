import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { STORE_ERRORS } from '../../../../client/search/store/store-errors.ts';

it('docs/search.md has each error of the store with its status', () => {
  const text = readFileSync(new URL('../../../../docs/search.md', import.meta.url), 'utf8');
  const section = text.split('### Errors of the store')[1]!.split('## What a stranger')[0]!;
  const rows = [...section.matchAll(/^\| `([a-z-]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  expect(Object.fromEntries(rows)).toEqual(STORE_ERRORS);
});
