/**
 * The key of a witness in the hands of a thief, with real processes. Alone it signs nothing that counts: a checkpoint needs the
 * key of its log too. Together with a log that lies, it cosigns a second history. docs/trust.md, "A stolen key".
 */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { later, tempDir } from '../support/log-files.ts';
import { startServer, stele } from '../support/serve.ts';
import { startWitness } from '../support/witness-process.ts';

it('a stolen witness key', { timeout: 180_000 }, async () => {
  const dir = await tempDir();
  const at = (...names: string[]) => join(dir, ...names);
  const first = await startServer(at('data'));
  const [key = ''] = first.verifierKeys;
  expect(await first.stop()).toBe(0);
  const witness = async (name: string, data = name) => {
    const running = await startWitness(at(data), `${name}.test/w`, [key]);
    later(() => running.kill());
    return running;
  };
  const one = await witness('one');
  expect(await one.stop()).toBe(0);
  await cp(at('data'), at('lying-log'), { recursive: true });
  await cp(at('one'), at('stolen'), { recursive: true });
  const [kept, stolen, two, three] = [
    await witness('one'),
    await witness('one', 'stolen'),
    await witness('two'),
    await witness('three'),
  ];
  const policy = async (file: string, quorum: string, lines: string[], url = 'http://localhost') => {
    await writeFile(at(file), `log ${key} ${url}\n${lines.join('')}${quorum}`);
    return ['--policy', at(file)];
  };
  const both = 'group both all one two\nquorum both\n';
  const any = (a: string, b: string) => `group some any ${a} ${b}\nquorum some\n`;
  const honest = await policy('log-policy', both, [kept.policyLine('one'), two.policyLine('two')]);
  const lying = await policy('lying-policy', 'quorum one\n', [stolen.policyLine('one')]);
  const log = await startServer(at('data'), { args: honest });
  later(() => log.kill());
  const thief = await startServer(at('lying-log'), { args: lying });
  later(() => thief.kill());
  const sign = async (name: string, url: string) => {
    await writeFile(at(name), name);
    return await stele(['sign', at(name), '--log', url, '--log-key', key]);
  };
  expect(await sign('old', log.url)).toMatchObject({ code: 0 });
  expect(await sign('of-the-thief', thief.url)).toMatchObject({ code: 0 });
  const verify = async (name: string, trust: string[]) =>
    (await stele(['verify', at(name), '--key', at(`${name}.pub.pem`), ...trust])).code;

  // One of two witnesses is not enough where both must cosign; where one is enough, the thief's word counts.
  const lines = [kept.policyLine('one'), two.policyLine('two')];
  expect(await verify('of-the-thief', await policy('strict', both, lines))).toBe(1);
  const lenient = await policy('lenient', any('one', 'two'), lines);
  expect(await verify('of-the-thief', lenient)).toBe(0);
  expect(await verify('old', lenient)).toBe(0);

  // The monitor sees the second history where it is shown.
  const monitor = `state: state
logs: [{ url: '${log.url}', keys: ['${key}'], policy: lenient, peers: ['${thief.url}'] }]
sinks: [{ type: stdout }]
retry: 10ms
`;
  await writeFile(at('monitor.yaml'), monitor);
  const seen = await stele(['monitor', '--config', at('monitor.yaml'), '--once', '--from-start']);
  expect(seen.code).toBe(1);
  expect(seen.stdout).toContain('"kind":"split-view"');

  // The operator adds a third witness, and then leaves the stolen key out.
  const next = await policy('next', any('two', 'three'), [two.policyLine('two'), three.policyLine('three')]);
  expect(await verify('old', next)).toBe(0);
  expect(await verify('of-the-thief', next)).toBe(1);
  expect(await log.stop()).toBe(0);
  const all = 'group both all two three\nquorum both\n';
  const logPolicy = await policy('next-log', all, [two.policyLine('two'), three.policyLine('three')]);
  const again = await startServer(at('data'), { args: logPolicy });
  later(() => again.kill());
  const signed = await sign('new', again.url);
  expect(signed, signed.stderr).toMatchObject({ code: 0 });
  expect(await verify('new', next)).toBe(0);
});
