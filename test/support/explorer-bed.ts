/**
 * The explorer under test: the built page, served by a real log under its real headers, in Debian's Chromium. Run `npm run build`
 * first.
 *
 *     const bed = await startBed();                            // a log with two witnesses, and the page
 *     const { page, told } = await bed.open('#/');             // a new browser profile
 *     await expect.poll(() => claims(page, 'failed')).toEqual([]);
 *     told();                                                  // what the page did that it must not: empty
 *     await bed.stop();
 *
 * A log that lies is a `FakeLog`; `configure` puts it into explorer.json.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { type ExplorerFileLog, formatExplorerConfig, writeExplorer } from '../../client/explorer/write-explorer.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../merkle/note.ts';
import { createKeyFile } from '../../merkle/runtime/keys/keyfile.ts';
import { bodyOf } from './log.ts';
import { type ServeProcess, startServer } from './serve.ts';
import { find, skips } from './skip.ts';
import { policyOf, TestWitness } from './witness.ts';

const executablePath = process.env.CHROMIUM ?? find('chromium') ?? find('chromium-browser') ?? find('google-chrome');

/** Whether to skip tests with the page. Each file that has some is told so. */
export const noChromium = skips(
  'the explorer in a browser',
  executablePath === undefined ? 'chromium not on PATH (apt-get install chromium)' : undefined,
);

/** How the browser is started. */
export const chromiumLaunch = { executablePath: executablePath!, args: ['--no-sandbox'] };

interface BedOptions {
  /** How many witnesses cosign; all of them must. Default 2. */
  readonly witnesses?: number;
  /** How many entries the log has at first. Default 3. */
  readonly entries?: number;
  readonly args?: readonly string[];
}

interface OpenOptions {
  readonly width?: number;
  readonly scheme?: 'light' | 'dark';
  /** The browser profile; a new one by default. A second page of the same profile has the same memory. */
  readonly context?: BrowserContext;
  /** Called before the page loads. */
  readonly before?: (page: Page) => Promise<unknown>;
}

export interface OpenPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** The URLs of all requests so far. */
  readonly requests: readonly string[];
  /** Violations of the policy, uncaught errors and warnings of the console so far: a good page has none. */
  readonly told: () => Promise<readonly string[]>;
}

export interface Bed {
  readonly server: ServeProcess;
  /** Of the page, with its slash. */
  readonly url: string;
  readonly policy: string;
  readonly witnesses: readonly TestWitness[];
  /** The log of this bed, as explorer.json has it. */
  readonly log: ExplorerFileLog;
  readonly browser: Browser;
  /** How the browser is started, for a test that needs one of its own. */
  readonly launch: { readonly executablePath: string; readonly args: string[] };
  /** A directory for files of the test. */
  readonly dir: string;
  /** Replaces explorer.json: logs, or a text as it is. */
  configure(logs: readonly ExplorerFileLog[] | string): Promise<void>;
  /** Logs entries with these names. */
  add(...names: readonly string[]): Promise<void>;
  open(hash?: string, options?: OpenOptions): Promise<OpenPage>;
  stop(): Promise<void>;
}

export async function startBed({ witnesses: count = 2, entries = 3, args = [] }: BedOptions = {}): Promise<Bed> {
  const dir = await mkdtemp(join(tmpdir(), 'stele-explorer-'));
  const at = (name: string) => join(dir, name);
  const { publicKey } = await createKeyFile(at('log.pem'), 'ed25519');
  const key = ed25519VerifierKey('localhost', publicKey.slice(-32));
  const witnesses = await Promise.all(
    Array.from({ length: count }, (_, i) => new TestWitness(`w${i + 1}`, key).start()),
  );
  const policy = count === 0 ? `quorum none\n` : policyOf(witnesses, 'all');
  await writeFile(at('policy'), policy);
  const log: ExplorerFileLog = { origin: 'localhost', url: '/', keys: [formatVerifierKey(key)], policy };
  await writeExplorer(at('explorer'), encodeUtf8(formatExplorerConfig([log])));
  const own = ['--key-file', at('log.pem'), '--policy', at('policy'), '--explorer-directory', at('explorer')];
  const server = await startServer(at('data'), { args: [...own, ...args] });
  const browser = await chromium.launch(chromiumLaunch);
  const bed: Bed = {
    server,
    url: `${server.url}/explorer/`,
    policy,
    witnesses,
    log,
    browser,
    launch: chromiumLaunch,
    dir,
    configure: async (logs) => {
      const text = typeof logs === 'string' ? logs : formatExplorerConfig(logs);
      await writeFile(at('explorer/explorer.json'), text);
    },
    add: async (...names) => {
      for (const name of names) {
        const reply = await fetch(`${server.url}/api/v2/log/entries`, {
          method: 'POST',
          body: Buffer.from(bodyOf(name)),
        });
        if (reply.status !== 201) throw new Error(await reply.text());
      }
    },
    open: (hash = '#/', options = {}) => openPage(browser, `${server.url}/explorer/${hash}`, options),
    stop: async () => {
      await browser.close();
      await server.kill();
      for (const witness of witnesses) await witness.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await bed.add(...Array.from({ length: entries }, (_, i) => `entry ${i}`));
  return bed;
}

/** Opens the page, and watches what it does. */
export async function openPage(browser: Browser, url: string, options: OpenOptions): Promise<OpenPage> {
  const { width = 1280, scheme = 'light' } = options;
  const size = { viewport: { width, height: 800 }, colorScheme: scheme };
  const context = options.context ?? (await browser.newContext(size));
  const page = await context.newPage();
  const requests: string[] = [];
  const faults: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => faults.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    // What a server answered is for the page to tell.
    const isAnswer = /^Failed to load resource/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !isAnswer) faults.push(message.text());
  });
  await page.addInitScript(`
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      globalThis.violations.push('violation: ' + violatedDirective + ' ' + blockedURI);
    });`);
  await options.before?.(page);
  await page.goto(url);
  const told = async () => [...faults, ...(await page.evaluate<string[]>('globalThis.violations'))];
  return { page, context, requests, told };
}

/** The claims that the page shows in one state: what each is about, with its reason on the lines behind. */
export async function claims(page: Page, state: 'checked' | 'failed' | 'not-checked'): Promise<string[]> {
  const texts = await page.locator(`[data-claim="${state}"] > div`).allInnerTexts();
  return texts.map((text) => text.replace(/^(?:Checked|Failed|Not checked):\s*/, ''));
}
