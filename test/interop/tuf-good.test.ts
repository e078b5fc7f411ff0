/**
 * Good TUF repositories before the clients of other projects, from the maker of these tests: the forms that they have in common.
 * What Stele writes is in tuf-stele.test.ts.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { skips } from '../support/skip.ts';
import { DELEGATED_TARGET, followed, SIGNING_CONFIG, TARGET, trustedRootTarget } from '../support/tuf-bad/base.ts';
import { expiryAt, type TufMaker } from '../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../support/tuf-mirror.ts';
import { until } from '../support/until.ts';
import { type Answer, sigstoreJs, sigstoreJsGet, TUF_CLIENTS } from './tuf-clients.ts';

afterAll(async () => {
  for (const client of TUF_CLIENTS) await client.close?.();
});

describe.each(TUF_CLIENTS)('$name', (client) => {
  describe.skipIf(skips(`good TUF repositories before ${client.name}`, client.lacking))(
    'before a good repository',
    () => {
      let dir: Awaited<ReturnType<typeof tempDir>>;
      let maker: TufMaker;
      let mirror: TufMirror;
      const at = (name: string) => join(dir.path, name);
      const get = (target: string): Promise<Answer> => client.get(mirror.url, target, at('client'));

      beforeEach(async () => {
        dir = await tempDir();
        ({ maker } = followed());
        mirror = await startMirror(maker.files, '/below/a-path');
        await mkdir(at('client'));
        await writeFile(at('root.json'), maker.root());
      });
      afterEach(async () => {
        await mirror?.close();
        await dir?.remove();
      });

      const trust = async () => expect(await client.trust(mirror.url, at('root.json'), at('client'))).toBeUndefined();

      it('gets the bytes of every target, and those that come later', async () => {
        await trust();
        const names = client.anyTarget ? [TARGET, SIGNING_CONFIG, DELEGATED_TARGET] : [TARGET, SIGNING_CONFIG];
        for (const name of names) expect(await get(name)).toMatchObject({ bytes: fileOf(maker, name) });
        maker.target(TARGET, trustedRootTarget('next'));
        maker.publish();
        const { bytes } = await get(TARGET);
        expect(bytes).toEqual(fileOf(maker, TARGET));
        expect(String(bytes)).toContain('next');
      });

      it.each(['ed25519', 'ecdsa-p256'] as const)('takes a repository with keys of %s alone', async (only) => {
        ({ maker } = followed({ algorithm: () => only }));
        mirror.files = maker.files;
        await writeFile(at('root.json'), maker.root());
        await trust();
        expect(await get(TARGET)).toMatchObject({ bytes: fileOf(maker, TARGET) });
      });

      it('follows a root that replaces three of five keys at once', async () => {
        await trust();
        await get(TARGET);
        replaceThree(maker);
        maker.target(TARGET, trustedRootTarget('next'));
        maker.publish();
        expect(await get(TARGET)).toMatchObject({ bytes: fileOf(maker, TARGET) });
      });

      it('follows from a root that is two versions behind, of which each replaced three of five keys', async () => {
        replaceThree(maker);
        replaceThree(maker);
        for (const role of ['targets', 'snapshot', 'timestamp'] as const) {
          maker.replace(role, maker.newKeys(maker.keys[role].length));
        }
        maker.newRoot(maker.keys.root);
        maker.target(TARGET, trustedRootTarget('next'));
        maker.publish();
        await trust();
        const { bytes } = await get(TARGET);
        expect(String(bytes)).toContain('next');
        expect(bytes).toEqual(fileOf(maker, TARGET));
      });

      it('does not go on with a mirror that stopped at a time, once the timestamp is over (freeze)', async () => {
        await trust();
        // A busy machine may need longer for the client than the timestamp is valid.
        let end = 0;
        for (let seconds = 3, got: Answer['bytes']; got === undefined; seconds *= 2) {
          end = Math.ceil(Date.now() / 1000 + seconds) * 1000;
          maker.bodies.timestamp.expires = expiryAt(end);
          maker.target(TARGET, trustedRootTarget('frozen'));
          maker.publish();
          ({ bytes: got } = await get(TARGET));
          expect(got === undefined ? Date.now() > end : String(got).includes('frozen')).toBe(true);
        }
        await until(() => Date.now() > end);
        expect(await get(TARGET)).toMatchObject({ bytes: undefined, said: expect.stringMatching(/expired/i) });
      });
    },
  );
});

describe.skipIf(skips('@sigstore/tuf without a network', sigstoreJs.lacking))('@sigstore/tuf without a network', () => {
  it('gives the target from its cache with forceCache, and fails without', async () => {
    const dir = await tempDir();
    const { maker } = followed();
    const mirror = await startMirror(maker.files);
    try {
      await writeFile(join(dir.path, 'root.json'), maker.root());
      const get = (forceCache: boolean) => sigstoreJsGet(mirror.url, TARGET, dir.path, forceCache);
      expect(await get(false)).toMatchObject({ bytes: fileOf(maker, TARGET) });
      await mirror.close();
      expect(await get(true)).toMatchObject({ bytes: fileOf(maker, TARGET) });
      expect(await get(false)).toMatchObject({ bytes: undefined });
    } finally {
      await dir.remove();
    }
  });
});

function replaceThree(maker: TufMaker): void {
  const before = [...maker.keys.root];
  maker.replace('root', [...before.slice(3), ...maker.newKeys(3)]);
  maker.newRoot(before);
}

/** What the metadata of the maker say that a target is. */
function fileOf(maker: TufMaker, name: string): Buffer {
  const bodies = [maker.bodies.targets, ...[...maker.delegated.values()].map(({ body }) => body)];
  const { sha256 } = bodies.map(({ targets }) => targets[name]).find((entry) => entry !== undefined)!.hashes;
  const [, bytes] = [...maker.files].find(([path]) => path.includes(`${sha256}.`))!;
  return Buffer.from(bytes);
}
