/** `stele search` with a verifiable index, and `stele audit --index`, as processes. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { FakeLog, View } from '../../support/fake-log.ts';
import { hashedRekord, keyFingerprint, madeUpKey } from '../../support/fulcio.ts';
import { IndexOperator } from '../../support/index-operator.ts';
import { tempDir } from '../../support/log-files.ts';
import { CLI } from '../../support/serve.ts';
import { ServedIndex } from '../../support/served-index.ts';

const run = promisify(execFile);

async function stele(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
  try {
    const { stdout, stderr } = await run(process.execPath, [CLI, ...args], { env });
    return { status: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, out: stdout, err: stderr };
  }
}

const entries = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) =>
    hashedRekord({ key: madeUpKey(`key ${(from + i) % 5}`) }, `artifact ${from + i}`),
  );
const KEY = keyFingerprint(madeUpKey('key 1'));

describe('stele search --proven', () => {
  async function searching(memory?: string, bodies = entries(20)) {
    const dir = tempDir();
    const served = new ServedIndex();
    served.add(bodies);
    served.publish();
    const names = served.rebuilders.map((key, i) => key.policyLine(`rebuilder-${i}`)).join('');
    writeFileSync(join(dir, 'rebuilders'), `${names}group both all rebuilder-0 rebuilder-1\nquorum both\n`);
    const index = await served.listen();
    const args = ['--index', index, '--log-key', served.input.vkey, '--output-key', served.output.vkey];
    const places = ['--output-log', await served.output.listen(), '--log-url', await served.input.listen()];
    const search = (...more: string[]) =>
      stele(
        'search',
        ...args,
        ...places,
        '--rebuilders',
        join(dir, 'rebuilders'),
        '--memory',
        memory ?? join(dir, 'memory'),
        '--proven',
        ...more,
      );
    return { served, search, dir, index };
  }

  it('says that nothing is missing, and who says so; and that nothing is there', async () => {
    const { served, search } = await searching();
    const { status, out } = await search('--key', KEY);
    expect({ status, out }).toMatchObject({ status: 0 });
    expect(out).toContain('Complete: proven by 2 rebuilders (rebuilder-0, rebuilder-1)');
    expect(out).not.toContain('the word of the index');
    served.add(entries(10, 20));
    served.publish();
    const json = JSON.parse((await search('--key', KEY, '--json')).out) as { logs: { complete: object }[] };
    expect(json.logs[0]!.complete).toMatchObject({
      proven: true,
      by: 'rebuilders',
      through: 30,
      indexes: [1, 6, 11, 16, 21, 26],
    });
    const none = await search('--key', '0'.repeat(64));
    expect(none.status).toBe(0);
    expect(none.out).toContain('in the first 30 entries of log.example.com/input there is none');
  });

  it('names a hit that is left out, and one that is invented', async () => {
    const { served, search } = await searching();
    served.hits = (all) => all.filter((at) => at !== 11);
    const left = await search('--key', KEY);
    expect(left).toMatchObject({ status: 1 });
    expect(left.err).toContain('[bad-index]: the index left out entry 11');
    served.hits = (all) => [...all, 17];
    const invented = await search('--key', KEY);
    expect(invented).toMatchObject({ status: 1 });
    expect(invented.err).toContain('the index invented entry 17');
  });

  it('names a hit that an answer about an older tree hides', async () => {
    const { served, search } = await searching();
    served.add(entries(10, 20));
    served.publish();
    served.plainSize = 20;
    const { status, out, err } = await search('--key', KEY);
    expect(status).toBe(1);
    expect(err).toContain(
      'the index left out entry 21, which its verifiable index proves (it answered about the first 20',
    );
    expect(out).not.toContain('Complete');
    // The tree of the hits may be the older one where nothing is between the two.
    expect(await search('--key', '0'.repeat(64))).toMatchObject({ status: 0 });
  });

  it('says what a limit and a proof over an older tree leave open', async () => {
    const { served, search } = await searching();
    let old: Uint8Array | undefined;
    served.lie = (bytes) => {
      old = bytes;
      return bytes;
    };
    const { status, out } = await search('--key', KEY, '--limit', '2');
    expect({ status, out }).toMatchObject({ status: 0 });
    expect(out).toContain('there are 4, of which 2 are not shown above');
    expect(out).not.toContain('there is no other');
    served.add(entries(10, 20));
    served.publish();
    served.lie = () => old;
    const late = await search('--key', KEY);
    expect(late).toMatchObject({ status: 0 });
    expect(late.out).toContain('in the first 20 entries of log.example.com/input there is no other');
    expect(late.out).toContain('Of the 10 entries after these, that no hit was left out is the word of the index.');
  });

  it('refuses hits and a proof of two histories of the log', async () => {
    const { served, search } = await searching();
    const fork = new View([...entries(19), entries(1, 500)[0]!]);
    served.plain = fork;
    const { status, out, err } = await search('--key', KEY);
    expect(status).toBe(1);
    expect(err).toContain('[bad-index]: the log shows two histories');
    expect(out).not.toContain('Complete');
    served.plain = new View([...entries(18), entries(1, 500)[0]!]);
    served.plainSize = 19;
    expect((await search('--key', KEY)).err).toContain('the log shows two histories');
  });

  it('ends with 1 where rebuilders are missing, and where an older index is shown than before', async () => {
    const { served, search } = await searching();
    expect((await search('--key', KEY)).status).toBe(0);
    let old: Uint8Array | undefined;
    served.lie = (bytes) => {
      old = bytes;
      return bytes;
    };
    expect((await search('--key', KEY)).status).toBe(0);
    served.add(entries(5, 20));
    served.publish();
    served.lie = (bytes) => bytes;
    expect((await search('--key', KEY)).status).toBe(0);
    served.lie = () => old;
    const back = await search('--key', KEY);
    expect(back.status).toBe(1);
    expect(back.err).toContain('the output log went back');
    served.lie = (bytes) => bytes;
    served.cosigners = served.rebuilders.slice(0, 1);
    const few = await search('--key', KEY);
    expect(few.status).toBe(1);
    expect(few.err).toContain('too few of the 2 rebuilders');
  });

  it('reads the growth of both logs where their policies say', async () => {
    const { served, dir, index } = await searching();
    const policy = (name: string, vkey: string, url = '') => {
      writeFileSync(join(dir, name), `log ${vkey} ${url}\nquorum none\n`);
      return join(dir, name);
    };
    const inputs = { with: await served.input.listen(), without: '' };
    const search = (input: string, output: string) =>
      stele(
        ...['search', '--index', index, '--key', KEY, '--memory', join(dir, 'memory')],
        ...['--policy', policy('log', served.input.vkey, input), '--output-policy', output],
        ...['--rebuilders', join(dir, 'rebuilders'), '--proven', '--log-key', served.input.vkey],
      );
    const output = policy('output', served.output.vkey, await served.output.listen());
    expect(await search(inputs.with, output)).toMatchObject({ status: 0 });
    served.add(entries(10, 20));
    served.publish();
    const bare = await search(inputs.with, policy('bare', served.output.vkey));
    expect(bare).toMatchObject({ status: 2 });
    expect(bare.err).toContain('the output log grew since it was seen: say where it is');
    expect(bare.err).toContain('--output-log');
    const half = await search(inputs.without, output);
    expect(half.err).toContain('--log-url');
    const { status, out } = await search(inputs.with, output);
    expect({ status, out }).toMatchObject({ status: 0 });
    expect(out).toContain('in the first 30 entries');
  });

  it('takes logs of the same names with other keys as other logs, and not as forks', async () => {
    const first = await searching();
    expect((await first.search('--key', KEY)).status).toBe(0);
    const second = await searching(join(first.dir, 'memory'), entries(20, 3));
    expect(await second.search('--key', KEY)).toMatchObject({ status: 0 });
    // Of the first one nothing is forgotten.
    first.served.add(entries(5, 20));
    first.served.publish();
    expect((await first.search('--key', KEY)).status).toBe(0);
  });

  it('ends with 2 where nothing can be proven', async () => {
    const { search } = await searching();
    expect((await search('--identity', 'a@', '--prefix')).status).toBe(2);
    expect((await search('--key', KEY, '--after', '2026-01-01T00:00:00Z')).status).toBe(2);
    expect((await stele('search', '--index', 'http://127.0.0.1:1', '--key', KEY, '--proven')).status).toBe(2);
  });
});

describe('stele audit --index', () => {
  async function auditing() {
    const operator = new IndexOperator(new FakeLog(new View(entries(20)), 'input.test'));
    operator.publish();
    operator.input.view.grow(entries(280, 20));
    operator.input.size = 300;
    operator.publish();
    const args = [
      '--log-key',
      operator.input.vkey,
      '--index',
      await operator.output.listen(),
      '--index-key',
      operator.output.vkey,
    ];
    const input = await operator.input.listen();
    const audit = (...more: string[]) => stele('audit', input, ...args, '--threads', '1', ...more);
    return { operator, audit };
  }

  it('finds that the index holds, from its first leaf or from where an earlier audit ended', async () => {
    const { operator, audit } = await auditing();
    const state = join(tempDir(), 'state');
    const first = await audit('--state', state);
    expect(first).toMatchObject({ status: 0 });
    expect(first.out).toContain('OK: the index of input.test has the map of its first 300 entries');
    operator.publish();
    operator.input.view.grow(entries(9, 300));
    operator.input.size = 309;
    operator.publish();
    const json = JSON.parse((await audit('--state', state, '--json')).out) as object;
    expect(json).toMatchObject({ ok: true, from: 2, verified: 4, inputSize: 309, depth: 'map' });
    expect(JSON.parse((await audit('--checkpoints-only', '--json')).out)).toMatchObject({
      ok: true,
      verified: 4,
      depth: 'checkpoints',
    });
  });

  it('names the first leaf that is wrong, with what is expected and found', async () => {
    const { operator, audit } = await auditing();
    operator.publish(operator.leaf(300, { keys: 1234 }));
    operator.publish();
    const { status, out, err } = await audit();
    expect(status).toBe(1);
    expect(err).toContain('[bad-index]: leaf 2 of "output.test" is wrong');
    expect(out).toContain('found        1234');
    const json = JSON.parse((await audit('--json')).out) as object;
    expect(json).toMatchObject({
      ok: false,
      error: { code: 'bad-index' },
      verified: 2,
      wrong: { index: 2, claim: 'keys', found: '1234' },
    });
    // What can be told without the map holds.
    expect((await audit('--checkpoints-only')).status).toBe(0);
  });

  it('ends with 2 where the input log shows less than the leaves, and where nobody vouches for a log', async () => {
    const { operator, audit } = await auditing();
    operator.input.size = 100;
    expect((await audit()).err).toContain('[stale]');
    expect((await audit()).status).toBe(2);
    expect((await stele('audit', 'http://127.0.0.1:1', '--index', 'http://127.0.0.1:2')).status).toBe(2);
  });
});
