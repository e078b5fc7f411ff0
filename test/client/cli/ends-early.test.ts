/** A command that has nothing left to wait for before it is done says so. Node itself would end in silence. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { CLI, run } from '../../support/serve.ts';

it('says that a start ended before it was done', async () => {
  const dir = await tempDir();
  try {
    // A port that never listens: the start waits for an event that nothing can cause any more.
    const preload = join(dir.path, 'never-listens.cjs');
    await writeFile(preload, "require('node:net').Server.prototype.listen = function () { return this; };\n");
    const args = ['--require', preload, CLI, 'serve', '--origin', 'localhost', '--data', join(dir.path, 'data')];
    const { code, stdout, stderr } = await run(process.execPath, [...args, '--listen-port', '0', '--admin-port', '0']);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/stele: error \[internal\]: the command ended before it was done/);
  } finally {
    await dir.remove();
  }
});
