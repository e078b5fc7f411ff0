/** Lookups of names that are asked for together. */
import { expect, it } from 'vitest';
import { sharedLookup } from '../../../client/evidence/shared-lookup.ts';

function setup() {
  const asked: {
    host: string;
    answer: (error: Error | null, addresses: { address: string; family: number }[]) => void;
  }[] = [];
  const lookup = sharedLookup((host, _options, answer) => void asked.push({ host, answer }));
  const ask = (host: string, options = {}) =>
    new Promise((resolve, reject) =>
      lookup(host, { all: true, ...options }, (error, addresses) => (error ? reject(error) : resolve(addresses))),
    );
  return { asked, ask };
}

const ADDRESS = { address: '192.0.2.1', family: 4 };

it('one name is looked up once for all that ask, and again afterwards', async () => {
  const { asked, ask } = setup();
  const all = Array.from({ length: 20 }, () => ask('slow.example.com'));
  expect(asked).toHaveLength(1);
  asked[0]!.answer(null, [ADDRESS]);
  expect(await Promise.all(all)).toEqual(Array(20).fill([ADDRESS]));
  void ask('slow.example.com');
  expect(asked).toHaveLength(2);
});

it('other names, and the same one in another way, are looked up meanwhile', async () => {
  const { asked, ask } = setup();
  void ask('slow.example.com');
  void ask('slow.example.com', { family: 6 });
  const good = ask('good.example.com');
  expect(asked.map(({ host }) => host)).toEqual(['slow.example.com', 'slow.example.com', 'good.example.com']);
  asked[2]!.answer(null, [ADDRESS]);
  expect(await good).toEqual([ADDRESS]);
});

it('an error is for all that asked, and for nobody later', async () => {
  const { asked, ask } = setup();
  const all = [ask('none.example.com'), ask('none.example.com')];
  asked[0]!.answer(new Error('no such name'), []);
  for (const one of all) await expect(one).rejects.toThrow('no such name');
  const later = ask('none.example.com');
  asked[1]!.answer(null, [ADDRESS]);
  expect(await later).toEqual([ADDRESS]);
});
