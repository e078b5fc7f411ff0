/**
 * The key of a log in the hands of a thief, with real processes: the thief runs a second history under it. The monitor sees
 * both, the key is replaced, old proofs stay verifiable, and what the thief signs is refused. docs/trust.md, "A stolen key".
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { later, tempDir } from '../support/log-files.ts';
import { startServer, stele } from '../support/serve.ts';
import { makeRepository, twoNames } from './cli/rotate/rotating.ts';

it('a stolen log key', { timeout: 180_000 }, async () => {
  const dir = await tempDir();
  const at = (...names: string[]) => join(dir, ...names);
  const repository = await makeRepository(dir);
  const log = await twoNames(at('data'), ['--trust-directory', repository.dir]);
  let server = await log.start();
  const [key = ''] = server.verifierKeys;
  const sign = async (name: string, url: string) => {
    await writeFile(at(name), name);
    return await stele(['sign', at(name), '--log', url, '--log-key', key]);
  };
  const verify = async (name: string, ...trust: string[]) =>
    await stele(['verify', at(name), '--key', at(`${name}.pub.pem`), ...trust]);
  expect(await sign('old', log.first)).toMatchObject({ code: 0 });
  expect(await server.stop()).toBe(0);

  // The thief has the key. The bundles of the second history hold as long as only the log's key is asked for.
  await cp(at('data'), at('stolen'), { recursive: true });
  server = await log.start();
  later(() => server.kill());
  const thief = await startServer(at('stolen'));
  later(() => thief.kill());
  expect(await sign('of-the-log', log.first)).toMatchObject({ code: 0 });
  expect(await sign('of-the-thief', thief.url)).toMatchObject({ code: 0 });
  expect(await verify('of-the-thief', '--log-key', key)).toMatchObject({ code: 0 });

  // The monitor compares what two readers see.
  const monitor = `state: state
logs: [{ url: '${log.first}', keys: ['${key}'], peers: ['${thief.url}'] }]
sinks: [{ type: stdout }]
retry: 10ms
`;
  await writeFile(at('monitor.yaml'), monitor);
  const seen = await stele(['monitor', '--config', at('monitor.yaml'), '--once', '--from-start']);
  expect(seen.code).toBe(1);
  expect(seen.stdout).toContain('"kind":"split-view"');
  const { evidence } = JSON.parse(seen.stdout.split('\n').find((line) => line.includes('split-view'))!) as {
    evidence: string;
  };
  expect(await stele(['verify', '--evidence', evidence, '--log-key', key])).toMatchObject({ code: 0 });

  // Both histories go on.
  expect(await sign('next-of-the-log', log.first)).toMatchObject({ code: 0 });
  expect(await sign('next-of-the-thief', thief.url)).toMatchObject({ code: 0 });

  // The operator replaces the key; clients learn of it from the repository.
  const rotated = await stele(['log', 'rotate', log.next, ...repository.options, ...log.settings, '--yes', '--json']);
  expect(rotated, rotated.stderr).toMatchObject({ code: 0 });
  await writeFile(at('1.root.json'), await readFile(join(repository.dir, 'public', '1.root.json')));
  const trust = ['--trust', at('trust')];
  const used = await stele(['trust', 'use', `${log.first}/trust`, '--root', at('1.root.json'), ...trust]);
  expect(used, used.stderr).toMatchObject({ code: 0 });
  for (const name of ['old', 'of-the-log', 'next-of-the-log']) {
    const verified = await verify(name, ...trust);
    expect(verified, verified.stderr).toMatchObject({ code: 0 });
  }

  // What the thief signed before is another history than the pinned one, and what comes now is behind its end.
  expect(await sign('later', thief.url)).toMatchObject({ code: 0 });
  for (const name of ['next-of-the-thief', 'later']) {
    expect(await verify(name, ...trust)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/was frozen with 3 entries/),
    });
  }

  // A smaller tree may be a beginning of the pinned one. Without witnesses and time stamps nothing refuses it.
  const smaller = await verify('of-the-thief', ...trust);
  expect(smaller).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing shows that the entry is older') });
  const dated = await verify('of-the-thief', '--require-timestamps', '1', ...trust);
  expect(dated).toMatchObject({ code: 1, stderr: expect.stringMatching(/time stamp|time-stamp/) });
  await writeFile(at('new'), 'new');
  const signed = await stele(['sign', at('new'), ...trust]);
  expect(signed, signed.stderr).toMatchObject({ code: 0 });
  expect(await verify('new', ...trust)).toMatchObject({ code: 0 });
});
