/** SIGHUP to the built witness: `npm run build` first. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CLI } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { startWitness } from '../support/witness-process.ts';
import { later, TestLog, tempDir } from './helpers.ts';

const noTerminal = lacking('script');

describe.skipIf(skips('a terminal that closes', noTerminal))('a witness at a terminal that closes', () => {
  it('goes on, and ends in order when it is told to', async () => {
    const dir = await tempDir();
    const [data, status] = [join(dir, 'data'), join(dir, 'status')];
    const command = `'${process.execPath}' '${CLI}' witness --name witness.test/w --data '${data}' --listen-port 0 --admin-port 0`;
    // The shell outlives the terminal too, to say how the witness ended.
    const inner = `trap : HUP; ${command}; echo $? > '${status}'`;
    const terminal = spawn('script', ['-qfc', inner, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] });
    later(async () => terminal.kill('SIGKILL'));
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
    });
    await expect.poll(() => shown).toContain('witness.test/w+');
    const url = /listens on (http:\S+)/.exec(shown)![1]!;
    const { pid } = JSON.parse(await readFile(join(data, 'owner.json'), 'utf8')) as { pid: number };
    later(async () => {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    });
    terminal.kill('SIGKILL');
    await once(terminal, 'close');
    for (let i = 0; i < 5; i++) process.kill(pid, 'SIGHUP');
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    process.kill(pid, 'SIGTERM');
    await expect.poll(() => readFile(status, 'utf8').catch(() => '')).toBe('0\n');
  });
});

describe('stele witness on SIGHUP', () => {
  it('reads its logs and limits anew, and keeps those before where the files are wrong', async () => {
    const dir = await tempDir();
    const [one, two] = [new TestLog('one.test'), new TestLog('two.test')];
    const config = join(dir, 'witness.yaml');
    await writeFile(config, 'limits: { bodyBytes: 128KiB }\n');
    const args = ['--config', config, '--log-level', 'info', '--log-format', 'json'];
    const witness = await startWitness(join(dir, 'data'), 'witness.test/w', [one.vkey], 0, args);
    later(() => witness.kill());
    const post = async (log: TestLog, from: number, to: number, more = '') => {
      const body = Buffer.concat([Buffer.from(log.request(from, to)), Buffer.from(more)]);
      return (await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body })).status;
    };
    const alarms = async () => await (await fetch(`${witness.adminUrl}/readyz`)).text();
    const long = 'x'.repeat(20_000);
    expect([await post(one, 0, 3), await post(two, 0, 3), await post(one, 3, 4, long)]).toEqual([200, 404, 400]);

    const logs = join(dir, 'data', 'logs');
    await writeFile(logs, `log ${one.vkey}\nlog ${two.vkey}\n`);
    await writeFile(
      config,
      'limits: { bodyBytes: 16KiB, requestTimeout: 20s }\nrateLimit: { perOrigin: 1, window: 24h }\npoll: 1h\n',
    );
    witness.signal('SIGHUP');
    await expect.poll(() => post(two, 0, 3)).toBe(200);
    await expect.poll(() => witness.log()).toContain('SIGHUP: read again');
    expect(await post(one, 3, 4, long)).toBe(413);
    expect(await post(two, 3, 4)).toBe(429);
    const restart = witness
      .log()
      .split('\n')
      .find((line) => line.includes('take effect with a restart'))!;
    expect((JSON.parse(restart) as { settings: string[] }).settings.sort()).toEqual(['limits.requestTimeout', 'poll']);

    await writeFile(logs, 'log nonsense\n');
    witness.signal('SIGHUP');
    await expect.poll(alarms).toContain(logs);
    expect(await post(one, 3, 3)).not.toBe(404);
    await writeFile(config, 'limits: { bodyBytes: 1 }\n');
    witness.signal('SIGHUP');
    await expect.poll(alarms).toContain('limits.bodyBytes');
    const metrics = await (await fetch(`${witness.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^stele_witness_config_reload_failed 1$/m);

    await writeFile(logs, `log ${two.vkey}\n`);
    await writeFile(config, '');
    for (let i = 0; i < 20; i++) witness.signal('SIGHUP');
    await expect.poll(alarms).not.toContain('alarms');
    expect(await post(one, 3, 4)).toBe(404);
    const stopped = witness.stop();
    witness.signal('SIGHUP');
    expect(await stopped).toBe(0);
  });
});
