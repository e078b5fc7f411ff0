/** A word that is no command: what is there, and what was meant. */
import { expect, it } from 'vitest';
import { stele } from '../../support/serve.ts';

const ALL = [
  'up',
  'serve',
  'keygen',
  'sign',
  'attest',
  'submit',
  'verify',
  'audit',
  'log',
  'trust',
  'witness',
  'monitor',
];
const LOG = ['check', 'export', 'freeze', 'backup', 'restore'];

it.each<[string, string | undefined, readonly string[]]>([
  ['log chekc', 'check', LOG],
  ['log serch', undefined, LOG],
  ['witness foo', undefined, ['log', 'evidence']],
  ['witness --data x foo', undefined, ['log', 'evidence']],
  ['witness log lst', 'list', ['add', 'list', 'disable']],
  ['monitor tset', 'test', ['test', 'ack', 'logs']],
  ['trust x', undefined, ['files']],
  ['verfy app.tgz', 'verify', ALL],
  ['foo', undefined, ALL],
])('stele %s', async (line, meant, known) => {
  const { code, stdout, stderr } = await stele(line.split(' '));
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^stele: error \[usage\]: there is no command "stele /);
  for (const command of known) expect(stderr).toMatch(new RegExp(`\\b${command}\\b`));
  if (meant === undefined) expect(stderr).not.toContain('Did you mean');
  else expect(stderr).toContain(`Did you mean ${meant}?`);
});

it('shows no control characters of the word', async () => {
  const { code, stderr } = await stele(['log', 'x\u001b[2J']);
  expect(code).toBe(2);
  expect(stderr).not.toContain('\u001b');
});
