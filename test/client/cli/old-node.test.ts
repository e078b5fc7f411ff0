/** An old Node is told so, before it meets what it cannot read. A real one: test/interop/old-node.test.ts. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { CLI, run } from '../../support/serve.ts';

const { engines, version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));

/** Runs the built program as if by Node `node`. */
async function under(node: string, ...args: string[]) {
  const dir = await tempDir();
  onTestFinished(() => dir.remove());
  const hook = join(dir.path, 'hook.cjs');
  await writeFile(
    hook,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${node}' } });`,
  );
  return await run(process.execPath, ['--require', hook, CLI, ...args]);
}

it.each(['18.20.8', '20.18.3', '16.0.0', '8.17.0'])('Node %s', async (node) => {
  for (const args of [['serve'], ['verify', 'x'], []]) {
    const { code, stdout, stderr } = await under(node, ...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe(`stele: error [usage]: Stele needs Node 20.19 or later; this is ${node}\n`);
  }
});

it.each(['20.19.0', '22.0.0', '24.1.0', '100.0.0'])('Node %s is not', async (node) => {
  expect(await under(node, '--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
});

it('is what package.json says', () => {
  expect(engines.node).toBe('>=20.19');
});
