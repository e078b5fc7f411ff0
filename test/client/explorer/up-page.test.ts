/**
 * The page of `stele up` in Chromium, with all that `stele up` starts as processes: a log, its witnesses, an index with its output log,
 * and a rebuilder. Built first (`npm test` does).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumLaunch, claims, noChromium, openPage } from '../../support/explorer-bed.ts';
import { tempDir } from '../../support/log.ts';
import { CLI, steleJson } from '../../support/serve.ts';
import { until } from '../../support/until.ts';

interface Up {
  readonly url: string;
  readonly explorer: string;
  readonly verifierKeys: readonly string[];
  readonly index: { readonly url: string };
}

describe.skipIf(noChromium)('the page of stele up', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let child: ReturnType<typeof spawn>;
  let ended: Promise<unknown>;
  let browser: Browser;
  let up: Up;

  beforeAll(async () => {
    dir = await tempDir();
    const ports = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0', '--index-port', '0'];
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
    const args = [CLI, 'up', '--json', '--data', join(dir.path, 'data'), ...ports];
    child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'], env });
    ended = once(child, 'close');
    let out = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    up = await until(async () => {
      if (child.exitCode !== null) throw new Error(`stele up ended: ${out}`);
      return out.endsWith('\n}\n') && (JSON.parse(out) as Up);
    });
    browser = await chromium.launch(chromiumLaunch);
    for (const name of ['first.txt', 'signed.txt', 'third.txt', 'unsigned.txt']) {
      const file = join(dir.path, name);
      await writeFile(file, name);
      if (name !== 'unsigned.txt') await steleJson(['sign', file, '--log', up.url, '--log-key', up.verifierKeys[0]!]);
    }
    await until(async () => {
      const description = await (await fetch(`${up.index.url}/stele/v1/index`)).json();
      const { parts } = description as { parts: { map: { size?: number; checkpoint?: string }[] } };
      const [map] = parts.map;
      return map?.size === 3 && map.checkpoint?.includes('localhost/rebuilder-1') === true;
    });
  });

  afterAll(async () => {
    await browser?.close();
    child?.kill('SIGTERM');
    await ended;
    await dir?.remove();
  });

  /** Drops a file onto the page, as a person does. */
  async function drop(name: string) {
    const opened = await openPage(browser, up.explorer, {});
    await opened.page.waitForSelector('[data-claim="checked"]');
    const text = JSON.stringify(name);
    const data = await opened.page.evaluateHandle(`(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([${text}], ${text}));
      return transfer;
    })()`);
    await opened.page.dispatchEvent('body', 'drop', { dataTransfer: data });
    return opened;
  }

  it('finds a dropped file that was signed, verifies and draws its entry, and proves that there is no other', async () => {
    const { page, told, requests } = await drop('signed.txt');
    const found = page.locator('[data-hash="sha256"]');
    await expect.poll(() => found.getByTestId('count').innerText()).toBe('1 entry');
    await expect.poll(() => found.locator('[data-place]').count()).toBeGreaterThanOrEqual(3);
    const checked = await claims(page, 'checked');
    expect(checked).toContainEqual(expect.stringContaining('Entry 1 is in the log and is what was searched for'));
    expect(checked).toContainEqual(
      expect.stringMatching(/Nothing is left out, and nothing is invented[\s\S]*rebuilt by 1/),
    );
    expect(checked).toContainEqual(expect.stringContaining('quorum of witnesses'));
    expect(await found.locator('[data-tone="good"]').count()).toBeGreaterThan(0);
    expect(await found.locator('[data-tone="bad"]').count()).toBe(0);
    expect([await claims(page, 'failed'), await claims(page, 'not-checked')]).toEqual([[], []]);
    // Of no server but the log, its index and its output log.
    expect(requests.every((url) => /^(http:\/\/localhost:|http:\/\/127\.0\.0\.1:|blob:)/.test(url))).toBe(true);
    expect(await told()).toEqual([]);

    await page.getByRole('link', { name: 'Entry 1' }).click();
    await expect.poll(() => page.locator('h1').innerText()).toBe('Entry 1');
    await expect.poll(async () => (await claims(page, 'checked')).join()).toContain('The key in the entry signed');
    expect(await claims(page, 'failed')).toEqual([]);
  });

  it('proves of a file that nobody signed that there is no entry', async () => {
    const { page, told } = await drop('unsigned.txt');
    const found = page.locator('[data-hash="sha256"]');
    await expect.poll(() => found.getByTestId('count').innerText()).toBe('No entry');
    await expect
      .poll(() => claims(page, 'checked'))
      .toContainEqual(expect.stringMatching(/It is proven that there is no such entry[\s\S]*rebuilt by 1/));
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await told()).toEqual([]);
  });
});
