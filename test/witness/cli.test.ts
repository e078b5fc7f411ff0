/** `stele witness` as a process of its own. Needs `npm run build`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatEvidence } from '../../merkle/evidence.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { parsePolicy } from '../../merkle/policy.ts';
import { writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { printedAtStart, stele, steleJson } from '../support/serve.ts';
import { later, TestLog, tempDir, treeOf } from './helpers.ts';
import { startWitness } from './kill-run.ts';

describe('stele witness', () => {
  it('runs, and its list of logs is changed while it runs and while it does not', async () => {
    const dir = await tempDir();
    const [one, two] = [new TestLog('one.test'), new TestLog('two.test')];
    const log = (...args: string[]) => steleJson(['witness', 'log', ...args, '--data', dir]);
    expect(await log('add', one.vkey)).toMatchObject({ ok: true, origin: 'one.test' });
    const witness = await startWitness(dir);
    later(() => witness.kill());
    const post = async (asking: TestLog, from: number, to: number) => {
      const init = { method: 'POST', body: Buffer.from(asking.request(from, to)) };
      return (await fetch(`${witness.url}/add-checkpoint`, init)).status;
    };
    expect(await post(one, 0, 3)).toBe(200);
    expect(await post(two, 0, 3)).toBe(404);
    await log('add', two.vkey, '--url', 'http://two.test');
    expect(await post(two, 0, 5)).toBe(200);
    await log('disable', 'one.test');
    expect(await post(one, 3, 4)).toBe(404);
    expect(await log('list')).toMatchObject({
      logs: [
        { origin: 'one.test', state: 'disabled', size: 3 },
        { origin: 'two.test', state: 'witnessed', size: 5, url: 'http://two.test' },
      ],
    });
    await witness.kill();
    expect(await log('list')).toMatchObject({ logs: [{ size: 3 }, { size: 5 }] });
    expect((await stele(['witness', 'log', 'disable', 'none.test', '--data', dir])).code).toBe(1);
  });

  it('takes the origin of a log apart from the name of its key, whether it runs or not', async () => {
    const dir = await tempDir();
    const apart = new TestLog('go.sum database tree', undefined, 'sum.test');
    const log = (...args: string[]) => steleJson(['witness', 'log', ...args, '--data', dir]);
    const facts = ['--origin', apart.origin, '--qpd', '2', '--contact', 'me@example.com'];
    expect(await log('add', apart.vkey, ...facts)).toMatchObject({ origin: apart.origin, vkey: apart.vkey });
    const shown = { origin: apart.origin, keys: [apart.vkey], qpd: 2, contact: 'me@example.com' };
    expect(await log('list')).toMatchObject({ logs: [shown], lists: [] });
    const witness = await startWitness(dir);
    later(() => witness.kill());
    const post = async (from: number, to: number) => {
      const init = { method: 'POST', body: Buffer.from(apart.request(from, to)) };
      return await fetch(`${witness.url}/add-checkpoint`, init);
    };
    for (const [from, to] of [
      [0, 1],
      [1, 2],
    ] as const)
      expect((await post(from, to)).status).toBe(200);
    const refused = await post(2, 3);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(80_000);
    expect(await log('add', apart.vkey, '--qpd', '9')).toMatchObject({ origin: apart.origin });
    expect((await post(2, 3)).status).toBe(200);
    expect(await log('disable', apart.origin)).toMatchObject({ disabled: [apart.vkey] });
    const bad = await stele(['witness', 'log', 'add', apart.vkey, '--qpd', 'many', '--data', dir]);
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining('is not a number from 1') });
  });

  it('asks for its name before it makes anything, and knows it afterwards', async () => {
    const dir = join(await tempDir(), 'none');
    const ports = ['--data', dir, '--listen-port', '0', '--admin-port', '0'];
    const { code, stderr } = await stele(['witness', ...ports]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/\[config\]: `name` is not set.*witness\.example\.com\/w1.*--name/);
    expect(existsSync(dir)).toBe(false);
    const first = await startWitness(dir, ['--name', 'named.test/w']);
    await first.kill();
    const { stdout } = await printedAtStart(['witness', '--json', ...ports]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, name: 'named.test/w' });
  });

  it('prints its line for policies, with the address by which logs reach it', async () => {
    const dir = await tempDir();
    const where = ['witness', '--data', dir, '--listen-port', '0', '--admin-port', '0', '--name', 'w.example.com/w1'];
    const without = await printedAtStart(where);
    expect(without.stderr).toMatch(
      /warning: `publicUrl` is not set: http:\/\/localhost:\d+ is this witness on this machine/,
    );
    expect(without.stdout).not.toContain('In a policy');
    const { stdout, stderr } = await printedAtStart([...where, '--public-url', 'https://w.example.com/']);
    expect(stderr).not.toContain('publicUrl');
    expect(stdout).toMatch(/^ {2}witness w1 w\.example\.com\/w1\+[0-9a-f]{8}\+\S+ https:\/\/w\.example\.com$/m);
    expect(parsePolicy(Buffer.from(`${/^ {2}(witness .*)$/m.exec(stdout)![1]}\nquorum none\n`)).witnesses).toHaveLength(
      1,
    );
  });

  it('says what is wrong with a setting, and makes nothing', async () => {
    const dir = join(await tempDir(), 'none');
    const { code, stderr } = await stele(['witness', '--data', dir, '--poll', 'often']);
    expect(code).toBe(2);
    expect(stderr).toContain('"poll" (the flag --poll)');
    const variable = await stele(['witness', '--data', dir], { env: { STELE_WITNESS_NAM: 'x' } });
    expect(variable.stderr).toContain('did you mean STELE_WITNESS_NAME?');
    expect(existsSync(dir)).toBe(false);
  });

  it('checks evidence alone', async () => {
    const file = join(await tempDir(), 'evidence.json');
    const log = new TestLog();
    const [first, second] = [log.tree, treeOf('fork', 64)].map(({ roots }) => log.note(log.text(9, roots[9])));
    const evidence = { keys: [parseVerifierKey(log.vkey)], first: first!, second: second! };
    await writeFileDurable(file, Buffer.from(formatEvidence(evidence)));
    expect(await steleJson(['witness', 'evidence', file])).toMatchObject({ kind: 'two-roots', keys: [log.vkey] });
    await writeFileDurable(file, Buffer.from(formatEvidence({ ...evidence, second: first! })));
    const { code, stderr } = await stele(['witness', 'evidence', file]);
    expect(code).toBe(1);
    expect(stderr).toContain('[bad-evidence]');
  });

  it('takes the keys that stele keygen makes for it', async () => {
    const dir = await tempDir();
    const [ed, pq] = [join(dir, 'ed.pem'), join(dir, 'pq.pem')];
    const keygen = async (...args: string[]) => {
      const { code, stdout, stderr } = await stele(['keygen', ...args, '--cosigner', 'w.test/1', '--json']);
      if (code !== 0) throw new Error(stderr);
      return (JSON.parse(stdout) as { verifierKey: string }).verifierKey;
    };
    const vkeys = [await keygen('--out', ed), await keygen('--algorithm', 'ml-dsa-44', '--out', pq)];
    const keys = ['--key-file', ed, '--mldsa-key-file', pq, '--cosignatures', 'both'];
    const witness = await startWitness(join(dir, 'data'), ['--name', 'w.test/1', ...keys]);
    later(() => witness.kill());
    expect(witness.verifierKeys).toEqual(vkeys);
    await expect(keygen('--algorithm', 'ecdsa-p256', '--out', join(dir, 'no.pem'))).rejects.toThrow(
      'ed25519 or ml-dsa-44',
    );
  });
});
