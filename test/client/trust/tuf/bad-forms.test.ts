/** Every bad form of a TUF repository before Stele's client: nothing is taken, and the error says what is wrong. */
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientError } from '../../../../client/errors.ts';
import { loadTrust } from '../../../../client/trust/tuf/load-trust.ts';
import { TrustStore } from '../../../../client/trust/tuf/trust-store.ts';
import { updateTrust, useTrust } from '../../../../client/trust/tuf/update.ts';
import { tempDir } from '../../../support/log.ts';
import { followed, TARGET } from '../../../support/tuf-bad/base.ts';
import { BAD_ROOTS, BAD_UPDATES } from '../../../support/tuf-bad.ts';
import { startMirror, type TufMirror } from '../../../support/tuf-mirror.ts';

const { maker, first } = followed();
let dir: Awaited<ReturnType<typeof tempDir>>;
let mirror: TufMirror;
let count = 0;

beforeAll(async () => {
  dir = await tempDir();
  mirror = await startMirror(maker.files);
  await useTrust(new TrustStore(join(dir.path, 'good')), `${mirror.url}/`, maker.root());
});
afterAll(async () => {
  await mirror.close();
  await dir.remove();
});

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'taken';
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return error.code;
  }
}

describe('a bad update', () => {
  // Targets of delegated roles that no command uses are not fetched.
  it.each(BAD_UPDATES.filter(({ target }) => target === undefined))('$name', async (form) => {
    const spoiled = maker.copy();
    form.spoil(spoiled, first);
    mirror.files = spoiled.files;
    const path = join(dir.path, `client-${count++}`);
    await mkdir(path);
    await cp(join(dir.path, 'good'), path, { recursive: true });
    const store = new TrustStore(path);
    expect(await code(updateTrust(store))).toBe(form.code);
    let held: unknown;
    try {
      held = await loadTrust(store)?.target(TARGET);
    } catch {
      // A root that ends the old set leaves nothing to use: that is no evil target.
    }
    expect(String(held === undefined ? '' : Buffer.from(held as Uint8Array))).not.toContain('evil');
  });
});

describe('a bad root', () => {
  it.each(BAD_ROOTS)('$name', async (form) => {
    mirror.files = maker.files;
    const store = new TrustStore(join(dir.path, `fresh-${count++}`));
    const bytes = Buffer.from(form.root(maker));
    expect(await code(useTrust(store, `${mirror.url}/`, bytes))).toBe(form.code);
    expect(store.read()).toBeUndefined();
  });
});
