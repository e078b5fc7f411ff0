/** The state of a log in the explorer, in a browser: what it verifies, what it remembers, and each lie that it finds. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ExplorerFileLog } from '../../../client/explorer/write-explorer.ts';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { stele } from '../../support/serve.ts';
import { policyOf, TestWitness } from '../../support/witness.ts';

const ofFake = async (log: FakeLog): Promise<ExplorerFileLog> => ({
  origin: log.origin,
  url: await log.listen(),
  keys: [log.vkey],
});

/** Waits for the end of a look. */
async function looked(page: Page): Promise<void> {
  await page.locator('[data-looked]').filter({ hasText: 'Looked at' }).waitFor();
}

async function lookAgain(page: Page): Promise<void> {
  const before = await page.locator('[data-looked]').getAttribute('data-looked');
  await page.getByRole('button', { name: 'Look again' }).click();
  await expect
    .poll(async () => [
      await page.locator('[data-looked]').getAttribute('data-looked'),
      await page.getByRole('button', { name: 'Look again' }).isEnabled(),
    ])
    .toEqual([expect.not.stringMatching(`^${before}$`), true]);
}

describe.skipIf(noChromium)('the state of a log', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await startBed();
  });
  afterEach(() => bed.configure([bed.log]));
  afterAll(() => bed?.stop());

  it('is verified, drawn and remembered while the log grows', async () => {
    const { page, told } = await bed.open();
    await looked(page);
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await claims(page, 'checked')).toEqual([
      expect.stringContaining('The log signed its newest checkpoint, of 3 entries'),
      expect.stringContaining('2 of 2 witnesses'),
    ]);
    expect(await page.locator('[data-witness]').allInnerTexts()).toEqual([
      expect.stringMatching(/^w1 cosigned less than a minute ago/),
      expect.stringMatching(/^w2 cosigned less than a minute ago/),
    ]);
    expect(await page.locator('[data-witness] svg .bar').count()).toBe(2);
    await bed.add('one more');
    await lookAgain(page);
    expect(await claims(page, 'checked')).toContainEqual(expect.stringContaining('of 3 entries\n\nThe proof'));
    expect(await page.locator('[data-size]').getAttribute('data-size')).toBe('4');
    await page.getByText('2 checkpoints, the first seen at').waitFor();
    await page.locator('.plot canvas').waitFor();
    await page.reload();
    await looked(page);
    expect(await claims(page, 'checked')).toContainEqual(
      expect.stringContaining('The log shows the tree that this browser saw before'),
    );
    expect(await told()).toEqual([]);
  });

  it.each<[string, (log: FakeLog) => void, string]>([
    [
      'of another key',
      (log) => {
        log.note = new FakeLog(log.view, log.origin).sign(log.text());
      },
      'none of its signatures is by a key',
    ],
    [
      'of another log',
      (log) => {
        log.note = new FakeLog(log.view, 'other.test').sign(new FakeLog(log.view, 'other.test').text());
      },
      'another log',
    ],
    [
      'with a signature that is damaged',
      (log) => {
        const note = log.sign(log.text());
        log.note = note.replace(/(.{8})=?\n$/, 'AAAAAAAA\n');
      },
      'cannot be used',
    ],
    [
      'that is cut',
      (log) => {
        log.note = log.sign(log.text()).slice(0, 60);
      },
      'cannot be used',
    ],
    [
      'of markup',
      (log) => {
        log.note = '<script>alert(1)</script>';
      },
      'cannot be used',
    ],
    [
      'of an empty tree with another root',
      (log) => {
        log.note = log.sign(log.textOf(0, new Uint8Array(32)));
      },
      'the empty tree does not have',
    ],
  ])('is not believed by a checkpoint %s', async (_, forge, why) => {
    const log = new FakeLog(new View(entriesOf(10)));
    forge(log);
    await bed.configure([await ofFake(log)]);
    const { page, told } = await bed.open();
    await looked(page);
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining(why)]);
    expect(await claims(page, 'checked')).toEqual([]);
    expect(await page.getByText('Nothing yet.').isVisible()).toBe(true);
    expect(await told()).toEqual([]);
  });

  it('shows a quorum that is missing, and which witnesses', async () => {
    const log = new FakeLog(new View(entriesOf(10)));
    const [good, absent, liar] = ['good', 'absent', 'liar'].map((name) => new TestWitness(name, log.key)) as [
      TestWitness,
      TestWitness,
      TestWitness,
    ];
    const [line] = await good.cosignatures(log.text());
    const [other] = await liar.cosignatures(log.text(5));
    log.cosignatures = [line!, other!];
    await bed.configure([{ ...(await ofFake(log)), policy: policyOf([good, absent, liar], 'any') }]);
    const { page } = await bed.open();
    await looked(page);
    // A line of a known witness that does not verify refuses all, as with every verifier of Stele.
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining('the witness liar')]);
    expect(await page.locator('[data-witness="absent"]').innerText()).toBe('absent did not cosign');
    expect(await page.locator('[data-witness="liar"]').innerText()).toContain('does not count');
    expect(await page.locator('[data-witness="good"]').innerText()).toContain('cosigned less than a minute ago');

    log.cosignatures = [line!];
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([]);
    await bed.configure([{ ...(await ofFake(log)), policy: policyOf([good, absent], 'all') }]);
    const { page: strict } = await bed.open();
    await looked(strict);
    expect(await claims(strict, 'failed')).toEqual([expect.stringContaining('those that cosigned are good')]);
    expect(await strict.getByText('Nothing yet.').isVisible()).toBe(true);
  });

  it('says that nobody was asked to vouch where explorer.json has no policy', async () => {
    await bed.configure([{ ...bed.log, policy: undefined }]);
    const { page } = await bed.open();
    await looked(page);
    expect(await claims(page, 'not-checked')).toEqual([expect.stringContaining('asks for none')]);
  });

  it('tells when a log went back, also later', async () => {
    const log = new FakeLog(new View(entriesOf(600)));
    await bed.configure([await ofFake(log)]);
    const { page } = await bed.open();
    await looked(page);
    log.size = 300;
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining('It shows a smaller tree now')]);
    expect(await page.locator('[data-lie="went-back"]').innerText()).toContain('Nothing proves it to others');
    log.size = 600;
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await page.locator('[data-lie="went-back"]').count()).toBe(1);
    await page.reload();
    await looked(page);
    expect(await page.locator('[data-lie="went-back"]').count()).toBe(1);
  });

  it('tells when a log shows no checkpoint any more', async () => {
    const log = new FakeLog(new View(entriesOf(20)));
    await bed.configure([await ofFake(log)]);
    const { page } = await bed.open();
    await looked(page);
    log.serve = () => undefined;
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining('this browser saw one of 20 entries')]);
  });

  it.each([
    ['larger', 700],
    ['of the same size', 600],
    ['smaller', 500],
  ])('proves two histories where the other tree is %s, with evidence for others', async (_, size) => {
    const log = new FakeLog(new View(entriesOf(600)));
    await bed.configure([await ofFake(log)]);
    const { page, told } = await bed.open();
    await looked(page);
    const before = log.view;
    log.show(entriesOf(size, 'another', 400));
    // A log that went back must show tiles of the larger tree, or nothing is proven.
    if (size < 600) log.serve = (path, bytes) => (path.startsWith('tile/') ? before.file(path) : bytes);
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining('It signed two histories')]);
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the evidence' }).click();
    const saved = join(bed.dir, 'evidence.json');
    await (await waiting).saveAs(saved);
    const { code, stdout, stderr } = await stele(['verify', '--evidence', saved, '--log-key', log.vkey]);
    expect([code, stdout + stderr]).toEqual([0, expect.stringContaining(log.origin)]);
    // The other history is not remembered, and the first one goes on.
    log.view = before;
    log.size = 600;
    log.serve = (_path, bytes) => bytes;
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await page.locator('[data-lie="fork"]').count()).toBe(1);
    expect(await told()).toEqual([]);
  });

  it('takes tiles that prove nothing for no proof, and remembers nothing', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    await bed.configure([await ofFake(log)]);
    const { page } = await bed.open();
    await looked(page);
    log.view.grow(entriesOf(400).slice(300));
    log.size = 400;
    log.serve = (path, bytes) => (path.startsWith('tile/0/') ? bytes!.with(0, bytes![0]! ^ 1) : bytes);
    await lookAgain(page);
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('they prove nothing'));
    await page.getByText('1 checkpoint, the first seen').waitFor();
    log.serve = (_path, bytes) => bytes;
    await lookAgain(page);
    await page.getByText('2 checkpoints, the first seen').waitFor();
  });

  it('tells when a frozen log grew', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    log.extensions = ['Log frozen — 2026-01-02T03:04:05Z'];
    await bed.configure([await ofFake(log)]);
    const { page } = await bed.open();
    await looked(page);
    expect(await claims(page, 'checked')).toContainEqual(expect.stringContaining('The log is frozen'));
    log.extensions = [];
    log.show(entriesOf(301));
    await lookAgain(page);
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining('after it had said that it is frozen')]);
  });

  it('is remembered once by two tabs that look at the same time', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    await bed.configure([await ofFake(log)]);
    const first = await bed.open();
    await looked(first.page);
    const second = await bed.open('#/', { context: first.context });
    await looked(second.page);
    for (const size of [400, 500, 600]) {
      log.view.grow(entriesOf(size).slice(size - 100));
      log.size = size;
      await Promise.all([lookAgain(first.page), lookAgain(second.page)]);
    }
    for (const { page, told } of [first, second]) {
      await page.reload();
      await looked(page);
      expect(await claims(page, 'failed')).toEqual([]);
      await page.getByText('4 checkpoints, the first seen').waitFor();
      expect(await told()).toEqual([]);
    }
  });

  it('says where the browser has no room to remember', async () => {
    const context = await chromium.launchPersistentContext(join(bed.dir, 'full'), bed.launch);
    const { page } = await bed.open('#/', {
      context,
      before: async (page) => {
        const devtools = await context.newCDPSession(page);
        await devtools.send('Storage.overrideQuotaForOrigin', { origin: bed.server.url, quotaSize: 1 });
      },
    });
    await looked(page);
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('has no room left for this page'));
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await claims(page, 'checked')).toHaveLength(2);
    await context.close();
  });

  it('says where the browser lets pages keep nothing', async () => {
    const profile = join(bed.dir, 'forbidden');
    await mkdir(join(profile, 'Default'), { recursive: true });
    const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
    await writeFile(join(profile, 'Default/Preferences'), JSON.stringify(preferences));
    const context = await chromium.launchPersistentContext(profile, bed.launch);
    const { page } = await bed.open('#/', { context });
    await looked(page);
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('keeps nothing for this page'));
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await claims(page, 'checked')).toHaveLength(2);
    await context.close();
  });

  it('is forgotten where the person says so', async () => {
    const log = new FakeLog(new View(entriesOf(30)));
    await bed.configure([await ofFake(log)]);
    const { page } = await bed.open();
    await looked(page);
    log.show(entriesOf(20));
    await lookAgain(page);
    expect(await page.locator('[data-lie]').count()).toBe(1);
    page.on('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'Forget them' }).click();
    await expect.poll(() => page.locator('[data-lie]').count()).toBe(0);
    await expect.poll(() => claims(page, 'failed')).toEqual([]);
  });

  it('is told while the log is away, with what is remembered', async () => {
    const log = new FakeLog(new View(entriesOf(30)));
    const shown = await ofFake(log);
    await bed.configure([shown]);
    const { page, context, told } = await bed.open();
    await looked(page);
    await context.setOffline(true);
    await lookAgain(page);
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('cannot be read now'));
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await page.getByText('entries, when this browser last saw it').isVisible()).toBe(true);
    await context.setOffline(false);
    await expect.poll(() => claims(page, 'not-checked')).not.toContainEqual(expect.stringContaining('cannot be read'));
    expect(await told()).toEqual([]);
  });

  it('says how far its index is, by the word of the index alone', async () => {
    const log = new FakeLog(new View(entriesOf(30)));
    const shown = await ofFake(log);
    const index = {
      extractor: 'v1',
      logs: [{ origin: log.origin, size: '20', root: Buffer.alloc(32).toString('base64'), checkpoint: 'x' }],
    };
    const { url } = shown;
    await bed.configure([{ ...shown, index: `${url}/index` }]);
    const { page } = await bed.open('#/', {
      before: (page) =>
        page.route('**/index/stele/v1/index', (route) =>
          route.fulfill({ json: index, headers: { 'access-control-allow-origin': '*' } }),
        ),
    });
    await expect.poll(() => claims(page, 'not-checked')).toContainEqual(expect.stringContaining('is 10 behind'));
  });
});
