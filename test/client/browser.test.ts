/** The verify core in a real browser: bundled as a web page would, it must come to the same outcomes as in Node. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI, startServer } from '../support/serve.ts';
import { find, skips } from '../support/skip.ts';
import { bundleCases } from '../support/vectors.ts';
import { type Inputs, verifyInputs, type verifyProof } from './browser-page.ts';

const executablePath = process.env.CHROMIUM ?? find('chromium') ?? find('chromium-browser') ?? find('google-chrome');
const noBrowser = skips(
  'the bundle in a browser',
  executablePath === undefined ? 'chromium not on PATH (apt-get install chromium)' : undefined,
);

const execute = promisify(execFile);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

describe('the bundle for browsers', () => {
  let dir: string;
  let code: string;
  let browser: Browser | undefined;
  let page: Page;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'stele-browser-'));
    await build({
      configFile: false,
      logLevel: 'silent',
      build: {
        outDir: dir,
        target: 'es2022',
        lib: { entry: join(import.meta.dirname, 'browser-page.ts'), formats: ['es'], fileName: () => 'page.js' },
      },
    });
    code = readFileSync(join(dir, 'page.js'), 'utf8');
    if (executablePath === undefined) return;
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
    page = await browser.newPage();
    await page.addScriptTag({ content: code, type: 'module' });
    await page.waitForFunction('typeof verifyInputs === "function"');
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const inBrowser = (inputs: Inputs) =>
    page.evaluate(
      (given) => (globalThis as unknown as { verifyInputs: typeof verifyInputs }).verifyInputs(given),
      inputs,
    );
  const proofInBrowser = (inputs: Parameters<typeof verifyProof>[0]) =>
    page.evaluate((given) => (globalThis as unknown as { verifyProof: typeof verifyProof }).verifyProof(given), inputs);

  it('needs nothing of Node', () => {
    expect(code).not.toMatch(/(?:from|import)\s*\(?\s*["'](?:node:|fs|crypto|buffer)/);
    expect(code).not.toContain('browser-external');
  });

  it.skipIf(noBrowser)('verifies what a log of ours gave, and refuses what was changed', async () => {
    const server = await startServer(join(dir, 'data'));
    const file = join(dir, 'artifact');
    writeFileSync(file, 'an artifact');
    const log = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
    await execute(process.execPath, [CLI, 'sign', file, ...log, '--tlog-proof']);
    await server.stop();
    const inputs: Inputs = {
      bundle: base64(readFileSync(`${file}.sigstore.json`)),
      artifact: base64(readFileSync(file)),
      key: readFileSync(`${file}.pub.pem`, 'utf8'),
      logKey: server.verifierKeys[0]!,
    };
    const outcome = await inBrowser(inputs);
    expect(outcome).toEqual(verifyInputs(inputs));
    expect(outcome).toEqual(expect.arrayContaining([expect.stringContaining('inclusion')]));
    expect(await inBrowser({ ...inputs, artifact: base64(Buffer.from('another')) })).toBe('digest-mismatch');

    const proof = {
      proof: base64(readFileSync(`${file}.tlog-proof`)),
      artifact: inputs.artifact,
      key: inputs.key!,
      policy: base64(Buffer.from(`log ${server.verifierKeys[0]!}\nquorum none\n`)),
    };
    expect(await proofInBrowser(proof)).toBe(`entry 0 of ${server.origin}`);
    expect(await proofInBrowser({ ...proof, artifact: base64(Buffer.from('another')) })).toBe('digest-mismatch');
    expect(await proofInBrowser({ ...proof, key: 'no key' })).toBe('key');
  });

  it.skipIf(noBrowser).each(bundleCases())('comes to the same outcome as Node with every bundle: %s', async (cases) => {
    for (const { name, refused, bundle, artifact, trustedRoot, key, identity, issuer } of cases.all) {
      const inputs = {
        bundle: base64(bundle),
        artifact: base64(artifact),
        trustedRoot: base64(trustedRoot),
        key,
        identity,
        issuer,
      };
      const outcome = await inBrowser(inputs);
      expect([name, typeof outcome]).toEqual([name, refused ? 'string' : 'object']);
      expect([name, outcome]).toEqual([name, verifyInputs(inputs)]);
    }
  });
});
