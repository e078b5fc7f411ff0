/** `stele search` as a process, asking an index that lies. Built first (`npm test` does). */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SearchPage } from '../../../client/search/types.ts';
import { FakeLog, View } from '../../support/fake-log.ts';
import { fulcioCertificate, hashedRekord, madeUpKey } from '../../support/fulcio.ts';
import { tempDir } from '../../support/log.ts';
import { stele } from '../../support/serve.ts';
import { cosignerOf } from '../monitor/cosigner.ts';
import { type HostileIndex, hostileIndex } from '../search/hostile-index.ts';
import { digestOf, hitOf, ISSUER, NAME, pageOf, signedLog } from '../search/pages.ts';

const log = signedLog();
let dir: Awaited<ReturnType<typeof tempDir>>;
let index: HostileIndex | undefined;

beforeAll(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  await index?.close();
  index = undefined;
});
afterAll(() => dir.remove());

type Answers = Parameters<typeof hostileIndex>[1];

async function search(answer: Answers, args: readonly string[] = ['--identity', NAME], logs = [log]) {
  index = await hostileIndex(logs, answer);
  const trust = args.includes('--policy') ? [] : ['--log-key', log.vkey];
  return await stele(['search', '--index', index.url, ...trust, ...args]);
}

const page = (indexes: readonly number[], more: Partial<SearchPage> = {}) => pageOf(log, indexes, more);

describe('stele search', () => {
  it('prints hits that hold, in words, and what is not proven', async () => {
    const { code, stdout } = await search(() => page([0, 3]));
    expect(stdout).toContain(`  0  ${NAME}, by ${ISSUER}  hashedrekord  ${digestOf(0)}`);
    expect(stdout).toContain('log.test: 2 hits; each is in the log and has what was asked for');
    expect(stdout).toContain('The answer is about the tree of 30 entries');
    expect(stdout).toContain('That no hit was left out is the word of the index. --proven demands the proof');
    expect(code).toBe(0);
  });

  it('says so where there is none, which is no proof', async () => {
    const { code, stdout } = await search(() => page([]), ['--digest', digestOf(1), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      hits: [],
      logs: [{ complete: { by: 'the word of the index' } }],
    });
    expect(code).toBe(0);
  });

  it('hashes a file here, and asks for each hash that logs take', async () => {
    const file = join(dir.path, 'artifact');
    writeFileSync(file, 'artifact 4');
    const { code, stdout } = await search(
      ({ searchParams }) => page(searchParams.get('digest') === digestOf(4) ? [4] : []),
      ['--digest', file, '--json'],
    );
    expect(JSON.parse(stdout).hits).toEqual([expect.objectContaining({ index: 4, ok: true })]);
    const sha384 = createHash('sha384').update('artifact 4').digest('hex');
    expect(index!.asked.map(({ searchParams }) => searchParams.get('digest')?.split(':')[0])).toEqual([
      'sha256',
      'sha384',
      'sha512',
    ]);
    expect(index!.asked[1]!.searchParams.get('digest')).toBe(`sha384:${sha384}`);
    expect(code).toBe(0);
  });

  it('asks for name and issuer of one certificate', async () => {
    const { code } = await search(() => page([3]), ['--identity', NAME, '--issuer', ISSUER]);
    expect(index!.asked[0]!.searchParams.get('issuer-identity')).toBe(`${ISSUER.length}:${ISSUER}${NAME}`);
    expect(code).toBe(0);
  });

  it('compares a beginning and a pattern itself', async () => {
    const begins = await search(() => page([0, 1]), ['--identity', 'release@', '--prefix']);
    expect([begins.code, begins.stderr]).toEqual([1, expect.stringContaining('[bad-hit]')]);
    await index!.close();
    const found = await search(() => page([0]), ['--identity', '@example[.]com$', '--re2']);
    expect(found.code).toBe(0);
    await index!.close();
    const wrong = await search(() => page([0]), ['--identity', '(', '--re2']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('RE2')]);
  });

  it('goes on to further pages with --all, and stops at --limit', async () => {
    const pages = (_: URL, n: number) => page([[0, 3], [6], []][n]!, n < 2 ? { next: `page${n}` } : {});
    const all = await search(pages, ['--identity', NAME, '--all', '--json']);
    expect(JSON.parse(all.stdout).hits.map(({ index: at }: { index: number }) => at)).toEqual([0, 3, 6]);
    expect(index!.asked.map(({ searchParams }) => searchParams.get('page'))).toEqual([null, 'page0', 'page1']);
    await index!.close();
    const some = await search(pages, ['--identity', NAME, '--limit', '1', '--json']);
    expect([some.code, JSON.parse(some.stdout).error.code]).toEqual([1, 'bad-page']);
    await index!.close();
    const first = await search(
      (_, n) => page([3 * n], { next: `page${n}` }),
      ['--identity', NAME, '--limit', '2', '--json'],
    );
    expect(JSON.parse(first.stdout).logs[0]).toMatchObject({ hits: 2, more: true });
  });
});

describe('stele search ends with 1, and names what does not hold,', () => {
  it('where a hit is invented, has another body or a wrong proof, or has not the term', async () => {
    const invented = { ...hitOf(log, 3), body: Buffer.from('nothing') };
    const proof = { ...hitOf(log, 6), proof: hitOf(log, 9).proof };
    const { code, stdout, stderr } = await search(() =>
      page([], { hits: [hitOf(log, 0), invented, proof, hitOf(log, 7)] }),
    );
    expect(code).toBe(1);
    expect(stdout).toContain('3 of them DO NOT HOLD');
    expect(stdout.match(/DOES NOT HOLD/g)).toHaveLength(3);
    expect(stderr).toMatch(/\[bad-proof\].*index 3/);
    expect(stderr).toMatch(/\[bad-proof\].*index 6/);
    expect(stderr).toMatch(/\[bad-hit\].*index 7/);
  });

  it('where hits repeat, go back, or lie outside of the range', async () => {
    const args = ['--identity', NAME, '--from', '3', '--json'];
    for (const indexes of [[3, 3], [6, 3], [0]]) {
      const { code, stdout } = await search(() => page(indexes), args);
      expect([code, JSON.parse(stdout).error.code, JSON.parse(stdout).hits]).toEqual([1, 'bad-page', []]);
      await index!.close();
    }
  });

  it('where the checkpoint is forged, of another log, or of another tree', async () => {
    const forged = new FakeLog(log.view, log.origin);
    const other = signedLog(30, 'other.test');
    const pages = [
      page([3], { checkpoint: forged.sign(log.text()) }),
      page([3], { checkpoint: other.sign(other.text()) }),
      page([3], { checkpoint: log.sign(log.text(20)) }),
      page([3], { size: 31 }),
    ];
    for (const one of pages) {
      const { code, stdout } = await search(() => one, ['--identity', NAME, '--json']);
      expect([code, JSON.parse(stdout).error.code]).toEqual([1, 'bad-checkpoint']);
      await index!.close();
    }
  });

  it('where the witnesses of the policy have not cosigned', async () => {
    const file = join(dir.path, 'policy');
    writeFileSync(file, `log ${log.vkey}\nwitness one ${cosignerOf('one.test').vkey}\nquorum one\n`);
    const { code, stdout } = await search(() => page([3]), ['--identity', NAME, '--policy', file, '--json']);
    expect([code, JSON.parse(stdout).error.code]).toEqual([1, 'quorum']);
  });

  it('where later pages are about another tree, or lead on without an end', async () => {
    const older = pageOf(Object.assign(new FakeLog(log.view, log.origin), { size: 20 }), []);
    const smaller = { ...older, checkpoint: log.sign(log.text(20)) };
    const trees = await search(
      (_, n) => (n === 0 ? page([0], { next: 'a' }) : smaller),
      ['--identity', NAME, '--all', '--json'],
    );
    expect([trees.code, JSON.parse(trees.stdout).error.code]).toEqual([1, 'bad-page']);
    await index!.close();
    const round = await search(() => page([], { next: 'a' }), ['--identity', NAME, '--all', '--json']);
    expect([round.code, JSON.parse(round.stdout).error.code, index!.asked.length]).toEqual([1, 'bad-page', 2]);
  });
});

describe('stele search ends with 2', () => {
  const NAMED = ['--identity', NAME, '--json'];

  it('where the answer is no page, or one without an end', async () => {
    const answers: Answers[] = [
      () => (_, response) => void response.end('<html>'),
      () => (_, response) => void response.end('{"log":1}'),
      () => (_, response) => void response.end(JSON.stringify({ log: 'log.test', size: 1e300 })),
      () => (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    ];
    for (const answer of answers) {
      const { code, stdout } = await search(answer, NAMED);
      expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'bad-reply']);
      await index!.close();
    }
  });

  it('where the answer is longer than any page', async () => {
    const piece = 'x'.repeat(1024 * 1024);
    const { code, stdout } = await search(
      () => (_, response) => {
        const more = () => {
          while (!response.destroyed && response.write(piece));
        };
        response.on('drain', more);
        more();
      },
      NAMED,
    );
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'bad-reply']);
  });

  it('where the answer does not come in time', async () => {
    const { code, stdout } = await search(
      () => (_, response) => void response.write('{'),
      [...NAMED, '--timeout', '1'],
    );
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'network']);
  });

  it('where the index refuses, and says what it said without its control characters', async () => {
    const refused = { code: 'bad-query', message: '\u001b[31mno\u202E' };
    const { code, stderr } = await search(
      () => (_, response) => void response.writeHead(400).end(JSON.stringify(refused)),
      ['--identity', NAME],
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining('refuses: [31mno [bad-query]')]);
    expect(stderr.trimEnd()).not.toMatch(/[^\n\P{Cc}]|\p{Cf}/u);
  });

  it('where it has no log that the trust knows, or lacks one', async () => {
    const other = signedLog(3, 'other.test');
    const { code, stdout } = await search(() => page([]), NAMED, [other]);
    expect([code, JSON.parse(stdout).error.code, JSON.parse(stdout).notTrusted]).toEqual([
      2,
      'missing',
      ['other.test'],
    ]);
    await index!.close();
    const named = await search(() => page([]), [...NAMED, '--log', 'nothing.test']);
    expect([named.code, JSON.parse(named.stdout).error.code]).toEqual([2, 'missing']);
  });

  it('where nothing is asked for', async () => {
    const { code, stderr } = await search(() => page([]), []);
    expect([code, stderr]).toEqual([2, expect.stringContaining('say what to look for')]);
    await index!.close();
    const { code: both } = await search(() => page([]), ['--identity', 'a', '--prefix', '--re2']);
    expect(both).toBe(2);
    const range = await search(() => page([]), ['--identity', 'a', '--from', '5', '--to', '2']);
    expect([range.code, range.stderr]).toEqual([2, expect.stringContaining('--from must be less than --to')]);
    const address = await stele(['search', '--index', 'nonsense', '--log-key', log.vkey, '--identity', 'a']);
    expect([address.code, address.stderr]).toEqual([2, expect.stringContaining('is not the URL of an index')]);
  });
});

describe('names of strangers', () => {
  const evil = ['\u001b[2J\u001b]0;owned\u0007', 'abc\u202Egnp.exe', '<script>alert(1)</script>', 'x'.repeat(10_000)];

  it('reach no terminal as control characters, and are cut', async () => {
    const entries = evil.map((name, i) =>
      hashedRekord({ certificate: fulcioCertificate({ names: [`raw:${name}`], seed: String(i) }) }, `artifact ${i}`),
    );
    const strange = new FakeLog(new View([...entries, hashedRekord({ key: madeUpKey('k') })]), 'log.test');
    index = await hostileIndex([strange], () => pageOf(strange, [0, 1, 2, 3]));
    const args = ['search', '--index', index.url, '--log-key', strange.vkey, '--kind', 'hashedrekord'];
    const { code, stdout, stderr } = await stele(args);
    expect(code).toBe(0);
    expect(`${stdout}${stderr}`.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(stdout).toContain('<script>alert(1)</script>');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(1000);
    const { stdout: json } = await stele([...args, '--json']);
    expect(json.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(JSON.parse(json).hits).toHaveLength(4);
  });
});
