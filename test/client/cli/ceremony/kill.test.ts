/**
 * A ceremony whose every command dies by SIGKILL, before each change of a name in the file system, and is called again until it
 * comes to its end. `npm run test:crash` kills at each change, `npm test` at some (STELE_CEREMONY_KILLS).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeHolders, type TestTokenHolder } from '../../../support/holders.ts';
import { tempDir } from '../../../support/log.ts';
import { CLI, run, steleJson } from '../../../support/serve.ts';
import { lacking, skips } from '../../../support/skip.ts';
import { NO_SOFTHSM } from '../../../support/softhsm.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const KILL_AT = join(ROOT, 'test/support/kill-at.mjs');
/** Every change, or every fourth. */
const STRIDE = process.env.STELE_CEREMONY_KILLS === 'all' ? 1 : 4;

describe.skipIf(skips('a killed ceremony', NO_SOFTHSM ?? lacking('npm')))('a ceremony that is killed', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let holders: Map<string, TestTokenHolder>;
  let ceremony: string;
  let tgz: string;
  let kills = 0;

  /** Calls a command again and again, each time with a later death. Resolves with the number of deaths. */
  const untilDone = async (words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> => {
    for (let at = 1, deaths = 0; ; at += STRIDE, deaths++) {
      const args = ['--import', KILL_AT, CLI, 'ceremony', words[0]!, ceremony, ...words.slice(1)];
      const child = spawn(process.execPath, args, {
        env: { ...process.env, ...env, KILL_AT: String(at) },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
      if (signal === 'SIGKILL') continue;
      expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
      kills += deaths;
      return deaths;
    }
  };

  beforeAll(async () => {
    dir = await tempDir();
    ceremony = join(dir.path, 'ceremony');
    mkdirSync(ceremony);
    holders = await makeHolders(dir.path, ['holder-1', 'holder-2']);
    const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir.path], {
      cwd: ROOT,
    });
    const [{ filename }] = Object.values(JSON.parse(packed.stdout) as object) as [{ filename: string }];
    tgz = join(dir.path, filename);
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', join(dir.path, 'online.pem')]);
    cpSync(join(dir.path, 'online.pub.pem'), join(ceremony, 'online.pub.pem'));
    const plan = 'name: killed\nholders: [holder-1, holder-2]\nthreshold: 2\nonline: online.pub.pem\n';
    writeFileSync(join(ceremony, 'ceremony.yaml'), plan);
  }, 60_000);
  afterAll(() => dir?.remove());

  it('goes on with each step where it died, and does none twice', { timeout: 900_000 }, async () => {
    expect(await untilDone(['begin', '--package', tgz])).toBeGreaterThan(0);
    for (const { keyArgs, env } of holders.values()) await untilDone(['key', ...keyArgs], env);
    await untilDone(['root']);
    for (const { args, env } of holders.values()) await untilDone(['sign', ...args], env);
    await untilDone(['transcript']);
    for (const { args, env } of holders.values()) await untilDone(['sign-transcript', ...args], env);

    expect(kills).toBeGreaterThan(10);
    const steps = readFileSync(join(ceremony, 'steps.jsonl'), 'utf8').trimEnd().split('\n');
    expect(steps.map((line) => JSON.parse(line).step)).toEqual(['begin', 'key', 'key', 'root', 'sign', 'sign']);
    expect(await steleJson(['ceremony', 'status', ceremony])).toMatchObject({
      transcript: true,
      holders: [
        { signedRoot: true, signedTranscript: true },
        { signedRoot: true, signedTranscript: true },
      ],
    });
    const root = readFileSync(join(ceremony, '1.root.json'), 'utf8');
    expect(readFileSync(join(ceremony, 'repository', 'staged', 'root.json'), 'utf8')).toBe(root);
    expect(JSON.parse(root).signatures).toHaveLength(2);
    // A key that was made and not recorded is found again: each token holds one pair, in a file for each half.
    for (const { env } of holders.values()) {
      const [, tokens] = /tokendir = (.*)/.exec(readFileSync(env.SOFTHSM2_CONF!, 'utf8'))!;
      const files = readdirSync(tokens!, { recursive: true, encoding: 'utf8' });
      expect(files.filter((file) => file.endsWith('.object') && !file.endsWith('token.object'))).toHaveLength(2);
    }
  });
});
