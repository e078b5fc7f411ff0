/**
 * The README's "Try it" and "Audit the log", as they are written, against `stele up`. The test puts its own address and key in
 * the place of those that the README shows, and starts the log itself. test/client/examples.test.ts has the examples of docs/.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, run } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';

const README = join(import.meta.dirname, '../../README.md');
const noCosign = skips("the README's example of cosign", lacking('cosign'));

describe('the README', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let child: ReturnType<typeof spawn>;
  let text: string;
  let started: { url: string; verifierKeys: string[] };
  const at = (...names: string[]) => join(dir.path, ...names);

  beforeAll(async () => {
    dir = await tempDir();
    text = await readFile(README, 'utf8');
    await Promise.all([mkdir(at('node_modules', '.bin'), { recursive: true }), mkdir(at('docs'))]);
    // As after `npm ci && npm start` in a checkout.
    await symlink(CLI, at('node_modules', '.bin', 'stele'));
    await writeFile(at('package.json'), '{"name":"checkout"}\n');
    await writeFile(at('docs', 'operation.md'), '# Operation\n');
    const free = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0'];
    child = spawn(process.execPath, [CLI, 'up', '--json', '--data', at('data'), ...free], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    for await (const part of child.stdout!.setEncoding('utf8')) {
      out += part;
      if (out.endsWith('\n}\n')) break;
    }
    started = JSON.parse(out) as typeof started;
  });
  afterAll(async () => {
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    await ended;
    await dir.remove();
  });

  /** Runs the example that begins with these words. */
  const example = (begin: string) => {
    const block = [...text.matchAll(/^```\n([\s\S]*?)^```/gm)]
      .map(([, code]) => code!)
      .find((code) => code.startsWith(begin));
    expect(block, begin).toBeDefined();
    const script = block!
      .replaceAll('http://localhost:3000', started.url)
      .replaceAll('localhost+1a2b3c4d+AbCd…', `'${started.verifierKeys[0]!}'`);
    return run('sh', ['-ec', script], { cwd: dir.path });
  };

  it('signs and verifies', async () => {
    const ran = await example('npx --no-install stele sign docs/operation.md');
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('OK: operation.md is signed') });
  });

  it.skipIf(noCosign)('verifies with cosign', async () => {
    expect(await example('cosign verify-blob')).toMatchObject({ code: 0 });
    await writeFile(at('docs', 'operation.md'), '# operation\n');
    expect((await example('cosign verify-blob')).code).not.toBe(0);
  });

  it('audits, and finds the byte that the operator changes', async () => {
    expect(await example('mkdir -p walk && for i in $(seq 300)')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('300 verified'),
    });
    const { code, stderr } = await example("printf '\\377' | dd of=data/public");
    expect(code).toBe(1);
    expect(stderr).toMatch(/entry \d+/);
  });
});
