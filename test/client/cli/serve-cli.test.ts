/** What `stele serve` prints at its start, and what it refuses. Built first (`npm test` does). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { printedAtStart, stele } from '../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeEach(async () => {
  dir = await tempDir();
});
afterEach(() => dir.remove());

const args = (...more: string[]) => [
  ...['serve', '--data', join(dir.path, 'data'), '--listen-port', '0', '--admin-port', '0', '--log-level', 'warn'],
  ...more,
];

describe('the start of a log', () => {
  it('asks for the origin, and makes nothing without it', async () => {
    const { code, stderr, stdout } = await stele(args());
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^stele: error \[config\]: `origin` is not set, .*holds no log yet/);
    expect(existsSync(join(dir.path, 'data'))).toBe(false);
  });

  it('gives others no address of this machine, where the public one is known', async () => {
    const { stdout, stderr } = await printedAtStart(
      args('--origin', 'log.example.com', '--public-url', 'https://log.example.com/'),
    );
    const [first, ...rest] = stdout.split('\n');
    expect(first).toMatch(
      /^The log "log.example.com" is at https:\/\/log.example.com, and listens on http:\/\/localhost:/,
    );
    expect(rest.join('\n')).toContain('--log https://log.example.com --log-key');
    expect(rest.join('\n')).not.toContain('localhost');
    expect(stderr).not.toContain('warning');
  });

  it('says which setting is missing where it does not know the public address', async () => {
    const { stderr } = await printedAtStart(args('--origin', 'log.example.com'));
    expect(stderr).toMatch(
      /^stele: warning: `publicUrl` is not set: http:\/\/localhost:\d+ is this log on this machine/m,
    );
    // A log that is only tried.
    expect((await printedAtStart(args('--origin', 'localhost', '--data', join(dir.path, 'try')))).stderr).not.toContain(
      'warning',
    );
  });
});
