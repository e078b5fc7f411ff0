import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listLogs } from '../../witness/listing.ts';
import { Logs } from '../../witness/logs.ts';
import { makeWitness, TestLog, tempDir } from './helpers.ts';

const one = new TestLog('one.test');
const two = new TestLog('two.test');

describe('the file of logs', () => {
  it('is a policy of which the log lines count', async () => {
    const file = join(await tempDir(), 'logs');
    await writeFile(file, `# ours\n log  ${one.vkey}\thttps://one.test/ \n\nquorum none\nlog ${two.vkey}\n`);
    const logs = await Logs.open(file);
    expect([...logs.all()].map(({ origin, url }) => [origin, url])).toEqual([
      ['one.test', 'https://one.test/'],
      ['two.test', undefined],
    ]);
  });

  it.each([
    ['a line that is cut off', `log ${one.vkey}`],
    ['a word that is none', `logs ${one.vkey}\n`],
    ['a key that is none', 'log one.test+00000000+AA==\n'],
    ['a key twice', `log ${one.vkey}\nlog ${one.vkey}\n`],
    ['bytes that are no text', Buffer.from([0xff, 0x0a])],
  ])('is refused for %s', async (_name, text) => {
    const file = join(await tempDir(), 'logs');
    await writeFile(file, text);
    await expect(Logs.open(file)).rejects.toMatchObject({ code: 'logs' });
  });

  it('keeps what it does not understand when it changes, and keeps the URL', async () => {
    const file = join(await tempDir(), 'logs');
    await writeFile(file, `# ours\nlog ${one.vkey} https://one.test\n# the end\n`);
    const logs = await Logs.open(file);
    await Promise.all([logs.disable('one.test'), logs.add(two.vkey, { url: 'http://two.test' })]);
    const text = `# ours\n#disabled log ${one.vkey} https://one.test\n# the end\nlog ${two.vkey} http://two.test\n`;
    expect(await readFile(file, 'utf8')).toBe(text);
    expect(logs.get('one.test')).toBeUndefined();
    const again = await Logs.open(file);
    expect(again.list().map(({ origin, disabled }) => [origin, disabled])).toEqual([
      ['two.test', false],
      ['one.test', true],
    ]);
    await again.add(one.vkey);
    expect(again.get('one.test')?.url).toBe('https://one.test');
  });

  it('gives the origin, the limit and the contact of a key in comments that name the key', async () => {
    const file = join(await tempDir(), 'logs');
    const facts = `#qpd ${two.vkey} 24\n#origin ${two.vkey} go.sum database tree\n`;
    // Neither the order of the lines nor a comment that only looks alike matters.
    await writeFile(
      file,
      `${facts}#contact us\n#qpd ${one.vkey}\n#origin nobody.test+00 x\nlog ${two.vkey}\n#disabled log ${one.vkey}\n#contact ${one.vkey} x y\n`,
    );
    const logs = await Logs.open(file);
    const shown = () => logs.list().map(({ origin, vkey, qpd, contact }) => [origin, vkey, qpd, contact]);
    expect(shown()).toEqual([
      ['go.sum database tree', two.vkey, 24, undefined],
      ['one.test', one.vkey, undefined, 'x y'],
    ]);
    expect(logs.get('go.sum database tree')).toMatchObject({ qpd: 24 });
    expect(logs.get('two.test')).toBeUndefined();
    await logs.add(one.vkey, { qpd: '7' });
    await logs.add(two.vkey, { contact: 'me', url: 'http://two.test' });
    expect(shown()).toEqual([
      ['one.test', one.vkey, 7, 'x y'],
      ['go.sum database tree', two.vkey, 24, 'me'],
    ]);
    const text = await readFile(file, 'utf8');
    expect(text).toBe(
      `#contact us\n#qpd ${one.vkey}\n#origin nobody.test+00 x\nlog ${one.vkey}\n#qpd ${one.vkey} 7\n#contact ${one.vkey} x y\nlog ${two.vkey} http://two.test\n#origin ${two.vkey} go.sum database tree\n#qpd ${two.vkey} 24\n#contact ${two.vkey} me\n`,
    );
    expect((await Logs.open(file)).list()).toEqual(logs.list());
  });

  it.each(['#qpd KEY 0', '#qpd KEY many', '#origin KEY a\x07b', '#qpd KEY 1\n#qpd KEY 2'])(
    'is refused for the line %j, which is named',
    async (line) => {
      const file = join(await tempDir(), 'logs');
      await writeFile(file, `log ${one.vkey}\n${line.replaceAll('KEY', one.vkey)}\n`);
      const refused = { code: 'logs', message: expect.stringMatching(/line [23] is wrong/) };
      await expect(Logs.open(file)).rejects.toMatchObject(refused);
    },
  );

  it('takes nothing that it could not read again', async () => {
    const logs = await Logs.open(join(await tempDir(), 'logs'));
    const refused = { code: 'logs' };
    await expect(logs.add('nonsense')).rejects.toMatchObject(refused);
    await expect(logs.add(`${one.vkey}\nlog ${two.vkey}`)).rejects.toMatchObject(refused);
    await expect(logs.add(one.vkey, { url: 'ftp://one.test' })).rejects.toMatchObject(refused);
    await expect(logs.add(one.vkey, { url: 'http://one.test x' })).rejects.toMatchObject(refused);
    for (const facts of [
      { origin: '' },
      { origin: 'a\nb' },
      { origin: 'a\x07' },
      { qpd: '0' },
      { qpd: '1e3' },
      { qpd: '2147483648' },
      { contact: '' },
      { contact: `x\nlog ${two.vkey}` },
    ]) {
      await expect(logs.add(one.vkey, facts)).rejects.toMatchObject(refused);
    }
    await expect(logs.disable('one.test')).rejects.toMatchObject(refused);
    expect(logs.count).toBe(0);
  });
});

it('lists what was cosigned and is in no file any more', async () => {
  const dir = await tempDir();
  const witness = await makeWitness([one, two], { dir });
  await witness.post(one.request(0, 7));
  await witness.close();
  await writeFile(join(dir, 'logs'), `log ${two.vkey}\n`);
  const again = await makeWitness([], { dir });
  expect(listLogs(again.logs, again.store.current)).toMatchObject([
    { origin: 'one.test', state: 'not listed', size: 7, keys: [] },
    { origin: 'two.test', state: 'witnessed', keys: [two.vkey] },
  ]);
  await again.logs.add(one.vkey);
  expect((await again.post(one.request(0, 7))).status).toBe(409);
});

describe('a data directory', () => {
  it('belongs to one name and one key of each type', async () => {
    const dir = await tempDir();
    const witness = await makeWitness([one], { dir });
    const [vkey] = witness.verifierKeys;
    await witness.close();
    await expect(makeWitness([], { dir, flags: { name: 'other' } })).rejects.toMatchObject({ code: 'key-mismatch' });
    const both = await makeWitness([], { dir, flags: { cosignatures: 'both' } });
    expect(both.verifierKeys[0]).toBe(vkey);
    await both.close();
    await writeFile(join(dir, 'key.pem'), await readFile(join((await makeWitness()).dir, 'key.pem')));
    await expect(makeWitness([], { dir })).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  it('never gets a new key in place of one that was lost', async () => {
    const dir = await tempDir();
    await (await makeWitness([one], { dir })).close();
    const { rm } = await import('node:fs/promises');
    await rm(join(dir, 'key.pem'));
    await expect(makeWitness([], { dir })).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  it('never begins anew where its memory was lost', async () => {
    const dir = await tempDir();
    const witness = await makeWitness([one], { dir });
    await witness.post(one.request(0, 7));
    await witness.close();
    const { rm } = await import('node:fs/promises');
    await rm(join(dir, 'store'), { recursive: true });
    await expect(makeWitness([], { dir })).rejects.toMatchObject({ code: 'corrupt' });
    await expect(makeWitness([], { dir })).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('is one witness’s at a time', async () => {
    const witness = await makeWitness();
    await expect(makeWitness([], { dir: witness.dir })).rejects.toMatchObject({ code: 'locked' });
  });
});
