/** Bad TUF repositories before the clients of other projects: each refuses what the specification refuses, as Stele does. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { skips } from '../support/skip.ts';
import { DELEGATED_TARGET, EVIL, followed, TARGET } from '../support/tuf-bad/base.ts';
import { BAD_ROOTS, BAD_UPDATES } from '../support/tuf-bad.ts';
import { startMirror, type TufMirror } from '../support/tuf-mirror.ts';
import { TUF_CLIENTS } from './tuf-clients.ts';

/** What a Go program says that ends without an answer. A form that ends a client so is `ownOnly`. */
const CRASH = /\bpanic:|\bgoroutine \d/;

const { maker, first } = followed();
const forms = BAD_UPDATES.filter(({ ownOnly }) => ownOnly === undefined);
const roots = BAD_ROOTS.filter(({ ownOnly }) => ownOnly === undefined);

describe.each(TUF_CLIENTS)('$name', (client) => {
  describe.skipIf(skips(`bad TUF repositories before ${client.name}`, client.lacking))(
    'before a bad repository',
    () => {
      let dir: Awaited<ReturnType<typeof tempDir>>;
      let mirror: TufMirror;
      let count = 0;
      const at = (name: string) => join(dir.path, name);

      beforeAll(async () => {
        dir = await tempDir();
        mirror = await startMirror(maker.files);
        await mkdir(at('good'));
        await writeFile(at('root.json'), maker.root());
        expect(await client.trust(mirror.url, at('root.json'), at('good'))).toBeUndefined();
        for (const target of client.anyTarget ? [TARGET, DELEGATED_TARGET] : [TARGET]) {
          expect(await client.get(mirror.url, target, at('good'))).toMatchObject({ bytes: expect.any(Buffer) });
        }
      });
      afterAll(async () => {
        await client.close?.();
        await mirror?.close();
        await dir?.remove();
      });

      /** A copy of what the client has after it followed the good repository. */
      async function known(): Promise<string> {
        const path = at(`known-${count++}`);
        await cp(at('good'), path, { recursive: true, verbatimSymlinks: true });
        return path;
      }

      it.each(forms.filter(({ target }) => target === undefined || client.anyTarget))('refuses $name', async (form) => {
        const spoiled = maker.copy();
        form.spoil(spoiled, first);
        mirror.files = spoiled.files;
        const { bytes, said } = await client.get(mirror.url, form.target ?? TARGET, await known());
        expect(String(bytes ?? '')).not.toContain(EVIL);
        expect(bytes).toBeUndefined();
        expect(said).toMatch(/\S/);
        expect(said).not.toMatch(CRASH);
      });

      it.each(roots)('does not trust $name', async ({ root }) => {
        mirror.files = maker.files;
        const path = at(`fresh-${count++}`);
        await mkdir(path);
        await writeFile(at('bad-root.json'), root(maker));
        await client.trust(mirror.url, at('bad-root.json'), path);
        const { bytes, said } = await client.get(mirror.url, TARGET, path);
        expect(bytes).toBeUndefined();
        expect(said).toMatch(/\S/);
        expect(said).not.toMatch(CRASH);
      });

      it('refuses a repository that another root signed', async () => {
        mirror.files = followed().maker.files;
        const path = at(`fresh-${count++}`);
        await mkdir(path);
        await client.trust(mirror.url, at('root.json'), path);
        expect(await client.get(mirror.url, TARGET, path)).toMatchObject({ bytes: undefined });
      });

      it('takes the good repository, so that it was the forms that it refused', async () => {
        mirror.files = maker.files;
        const { bytes } = await client.get(mirror.url, TARGET, await known());
        expect(String(bytes)).toContain('good');
      });
    },
  );
});
