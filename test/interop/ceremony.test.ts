/**
 * The section "A ceremony" of docs/trust.md, followed literally with five tokens of SoftHSM. All but its last step runs in a
 * network namespace without an interface, not even that of this machine itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, type Ran, run, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { NO_SOFTHSM } from '../support/softhsm.ts';
import { ok } from './tools.ts';

const ROOT = join(import.meta.dirname, '../..');
const text = readFileSync(join(ROOT, 'docs/trust.md'), 'utf8');
const section = text.slice(text.indexOf('\n## A ceremony\n'), text.indexOf('\n## Change targets\n'));
const blocks = [...section.matchAll(/^```\n([\s\S]*?)^```/gm)].map(([, block]) => block!);
const unable = NO_SOFTHSM ?? lacking('unshare', 'npm', 'softhsm2-util');

describe.skipIf(skips('the ceremony of docs/trust.md', unable))('the ceremony of docs/trust.md', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let log: ChildProcess;
  let url: string;
  const at = (...names: string[]) => join(dir.path, ...names);
  const shell = (script: string, alone: boolean): Promise<Ran> => {
    const words = [...(alone ? ['unshare', '--map-root-user', '--net'] : []), 'sh', '-ec', script];
    const env = { PATH: `${at('bin')}:${process.env.PATH}` };
    return run(words[0]!, words.slice(1), { cwd: dir.path, env });
  };
  const offline = async (...scripts: string[]) => {
    let out = '';
    for (const script of scripts) {
      const { code, stdout, stderr } = await shell(script, true);
      expect(code, stderr).toBe(0);
      out += stdout;
    }
    return out;
  };

  beforeAll(async () => {
    dir = await tempDir();
    mkdirSync(at('bin'));
    symlinkSync(CLI, at('bin', 'stele'));
    await ok('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', dir.path, ROOT]);
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('online.pem')]);
    const free = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0'];
    log = spawn(process.execPath, [CLI, 'up', '--json', '--data', at('data'), ...free], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    for await (const part of log.stdout!.setEncoding('utf8')) {
      out += part;
      if (out.endsWith('\n}\n')) break;
    }
    ({ url } = JSON.parse(out) as { url: string });
    copyFileSync(at('data', 'trust', 'policy'), at('policy'));
    mkdirSync(at('trust'));
    copyFileSync(at('policy'), at('trust', 'policy'));
  });
  afterAll(async () => {
    if (log?.exitCode === null) {
      log.kill('SIGTERM');
      await once(log, 'close');
    }
    await dir?.remove();
  });

  it('has the steps', () => expect(blocks).toHaveLength(10));

  it('runs where no connection can be made', async () => {
    const script = `${process.execPath} -e 'fetch("${url}/checkpoint").then(() => process.exit(0), () => process.exit(7))'`;
    expect(await shell(script, false)).toMatchObject({ code: 0 });
    expect(await shell(script, true)).toMatchObject({ code: 7 });
  });

  it('prepares the plan, the script and the tokens', async () => {
    await offline(...blocks.slice(0, 3));
    const script = readFileSync(at('script.md'), 'utf8');
    expect(script).toContain('At least 3 holders sign');
    expect(script).toContain('tpm2_dictionarylockout');
  });

  it('makes five keys in five tokens', async () => {
    const said = await offline(...blocks.slice(3, 5));
    expect(said.match(/^holder-\d has a key in the token "holder-\d" \(SoftHSM/gm)).toHaveLength(5);
  });

  it('signs the root and the transcript', async () => {
    const said = await offline(...blocks.slice(5, 7));
    expect(said).toContain('Signed by holder-1, holder-3, holder-5: 3 of the 3 that are needed.');
    expect(said).toContain('Next: the log');
  });

  it('publishes a repository that begins with this root', async () => {
    const said = await offline(blocks[7]!);
    expect(said).toMatch(/root version 1/);
    expect(existsSync(at('ceremony', 'repository', 'public', 'timestamp.json'))).toBe(true);
  });

  it('logs the transcript, and verifies it offline', async () => {
    const logged = await shell(blocks[8]!.replace('https://log.example.com', url), false);
    expect(logged.code, logged.stderr).toBe(0);
    const said = await offline(blocks[9]!);
    expect(said).toContain('OK: 1.root.json was made in the ceremony "root of example.com"');
    expect(said.match(/^ {2}logged /gm)).toHaveLength(3);
    expect(said.match(/^ {2}cosigned /gm)!.length).toBeGreaterThanOrEqual(2);
    expect(said).toContain('No manufacturer attests them');
    expect(said.match(/^ {2}programs /gm)).toHaveLength(1);
    expect(said).not.toContain('different sets');
  });

  it.skipIf(skips('cosign on the transcript', lacking('cosign')))('gives bundles that cosign verifies', async () => {
    const lines = readFileSync(at('ceremony', 'transcript.sigstore.jsonl'), 'utf8').trimEnd().split('\n');
    const steps = readFileSync(at('ceremony', 'steps.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { publicKey } = steps.find(({ step, holder }) => step === 'key' && holder === 'holder-1');
    const { writeFile } = await import('node:fs/promises');
    await writeFile(at('holder-1.sigstore.json'), lines[0]!);
    await writeFile(at('holder-1.pub.pem'), publicKey);
    await ok('cosign', [
      ...['verify-blob-attestation', '--key', at('holder-1.pub.pem'), '--bundle', at('holder-1.sigstore.json')],
      ...['--type', 'urn:stele:ceremony:v1', '--trusted-root', at('data', 'trust', 'trusted_root.json')],
      at('ceremony', '1.root.json'),
    ]);
  });
});
