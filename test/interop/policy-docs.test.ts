/**
 * The walk of docs/policy.md, "From a signed image to a denied deploy", command by command as it stands: with cosign, docker-registry and
 * in-toto-golang, a log with three witnesses, and the webhook. Only the ports are others.
 */
import { spawn } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/policy.md'), 'utf8');
const SECTION = 'From a signed image to a denied deploy and a logged VSA';
const unable = lacking('cosign', 'docker-registry', 'in-toto-golang', 'openssl', 'curl', 'bash', 'tar');

/** The blocks of each step, by the title of the step. */
function steps(): [title: string, script: string][] {
  const start = PAGE.indexOf(`\n## ${SECTION}\n`);
  expect(start).toBeGreaterThan(0);
  const section = PAGE.slice(start, PAGE.indexOf('\n## ', start + 4));
  return section
    .split(/^### /m)
    .slice(1)
    .map((step) => {
      const blocks = [...step.matchAll(/^```\n([\s\S]*?)^```/gm)].map(([, block]) => block!);
      return [step.split('\n')[0]!, blocks.join('')];
    });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

describe.skipIf(skips('the walk of docs/policy.md', unable))('the walk of docs/policy.md', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let said: Map<string, string>;
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    await mkdir(at('bin'));
    symlinkSync(CLI, at('bin/stele'));
    const [log, admin, registry, webhook, probes] = (await freePorts(5)) as [number, number, number, number, number];
    const ports: [RegExp, string][] = [
      [/stele up /g, `stele up --listen-port ${log} --admin-port ${admin} --witness-port 0 `],
      [/\b3000\b/g, String(log)],
      [/\b5000\b/g, String(registry)],
      [/listen: \{ port: 8443 \}/g, `listen: { port: ${webhook} }\nadmin: { port: ${probes} }`],
      [/\b8443\b/g, String(webhook)],
      [/\b8444\b/g, String(probes)],
    ];
    const blocks = steps()
      .map(([title, script]) => `echo '=== ${title}'\n${script}`)
      .join('');
    const script = ports.reduce((text, [here, real]) => text.replaceAll(here, real), blocks);
    // The log ends in order; everything that runs behind the walk ends with it.
    const frame = `set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n${script}`;
    const out = await bash(frame);
    said = new Map(
      out
        .split(/^=== /m)
        .slice(1)
        .map((part) => [part.split('\n')[0]!, part]),
    );
  }, 600_000);
  afterAll(() => dir?.remove());

  async function bash(script: string): Promise<string> {
    const env = { ...process.env, HOME: dir.path, PATH: `${at('bin')}:${process.env.PATH}` };
    const child = spawn('bash', ['-c', script], { cwd: dir.path, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const code = await new Promise((resolve) => child.on('exit', resolve));
    if (code !== 0) throw new Error(`the walk ended with ${code}:\n${out}\n${err}`);
    return out;
  }

  const step = (title: string) => said.get(title) ?? '';

  it('allows the signed image by both rules, and denies the other for want of evidence', () => {
    const text = step('4. A policy, and a decision');
    expect(text).toMatch(/^ALLOW: localhost:\d+\/team\/app@sha256:/m);
    expect(text).toContain('Rule "released" holds');
    expect(text).toContain('Rule "built by our CI from our source" holds');
    expect(text).toMatch(/^DENY: localhost:\d+\/team\/app@sha256:/m);
    expect(text).toContain('[no-evidence]');
  });

  it('has the verdict of in-toto-golang on the steps, and takes no other product', () => {
    expect(step('5. The steps of the build')).toMatch(/ALLOW[\s\S]*DENY[\s\S]*no product of the last step/);
  });

  it('makes a summary of the decision that holds for the image, and is in the log under a quorum', async () => {
    const image = /ALLOW: localhost:\d+\/team\/app@(sha256:[0-9a-f]{64})/.exec(step('6. A summary for consumers'))![1]!;
    const bundle = JSON.parse(await readFile(at('vsa.sigstore.json'), 'utf8'));
    const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString());
    expect(statement).toMatchObject({
      predicateType: 'https://slsa.dev/verification_summary/v1',
      subject: [{ digest: { sha256: image.slice(7) } }],
      predicate: { verificationResult: 'PASSED', verifiedLevels: ['SLSA_BUILD_LEVEL_2'] },
    });
    const args = [
      'verify',
      image,
      '--bundle',
      at('vsa.sigstore.json'),
      '--key',
      at('verifier.pub'),
      '--policy',
      at('log/trust/policy'),
      '--type',
      'vsa',
    ];
    expect(await steleJson(args)).toMatchObject({ ok: true });
  });

  it('admits the image, and denies the other with words for the person at the keyboard', () => {
    const text = step('7. A deploy that is denied');
    const [first, second] = [...text.matchAll(/\{"apiVersion":"admission[^\n]*?\}(?=\{"apiVersion"|\s*$)/gm)].map(
      ([review]) => JSON.parse(review).response,
    );
    expect(first).toMatchObject({ allowed: true });
    expect(second).toMatchObject({ allowed: false });
    expect(second.status.message).toContain('team/app@sha256:');
  });
});
