/**
 * Searches beside a verifiable index, on the built page in Chromium. The index answers from memory, so that it can lie in each part of
 * what it says: it leaves a hit out or invents one, claims absence, shows an old root, or lacks its rebuilders.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { searchPageJson } from '../../../client/search/search-json.ts';
import { extractKeys } from '../../../merkle/index/extract.ts';
import type { KeyKind } from '../../../merkle/index/keys.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import { inclusionProof, rootAt } from '../../../merkle/proof.ts';
import { formatHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';
import { View } from '../../support/fake-log.ts';
import { INPUT_ORIGIN, nodesOf } from '../../support/memory-index.ts';
import { SignedIndex } from '../../support/signed-index.ts';

const keys = Array.from({ length: 4 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
const bodies = Array.from({ length: 40 }, (_, i) => {
  const { publicKey, privateKey } = keys[i % 4]!;
  const artifact = Buffer.from(`artifact ${i % 10}`);
  return formatHashedRekord({
    digestAlgorithm: 'SHA2_256',
    digest: createHash('sha256').update(artifact).digest(),
    signature: sign('sha256', artifact, privateKey),
    keyDetails: 'PKIX_ECDSA_P256_SHA_256',
    verifier: { publicKey: publicKey.export({ format: 'der', type: 'spki' }) },
  });
});
const digestOf = (i: number) => extractKeys(bodies[i]!).find(({ kind }) => kind === 'digest')!.value;

describe.skipIf(noChromium)('a search beside a verifiable index', () => {
  const signed = new SignedIndex();
  const view = new View([...bodies]);
  let bed: Bed;
  let server: Server;
  let url: string;
  /** Changes the indexes that the plain search finds. */
  let find: (indexes: number[]) => number[];
  /** Of a tree of 30 entries. */
  let older: Uint8Array;
  let lookup: (kind: KeyKind, value: string) => Uint8Array;

  beforeAll(async () => {
    for (const body of bodies.slice(0, 30)) signed.add(body);
    signed.publish();
    older = signed.bytes({ kind: 'digest', value: digestOf(3) });
    for (const body of bodies.slice(30)) signed.add(body);
    signed.publish();
    server = createServer((request, reply) => {
      reply.setHeader('access-control-allow-origin', '*');
      const { pathname, searchParams } = new URL(request.url!, 'http://local');
      if (pathname === '/checkpoint') return void reply.end(signed.note(INPUT_ORIGIN, signed.inputLeaves));
      if (pathname.startsWith('/tile/')) {
        const file = view.file(pathname.slice(1));
        return void (file === undefined ? reply.writeHead(404).end() : reply.end(file));
      }
      const [kind, value] = [...searchParams].find(([name]) => name === 'digest') ?? [
        searchParams.get('kind'),
        searchParams.get('value'),
      ];
      if (pathname === '/stele/v1/lookup') return void reply.end(lookup(kind as KeyKind, value!));
      if (pathname !== '/stele/v1/search') return void reply.writeHead(404).end();
      const all = [...bodies.keys()].filter((i) => extractKeys(bodies[i]!).some((key) => key.value === value));
      const read = nodesOf(signed.inputLeaves);
      const size = bodies.length;
      const hits = find(all).map((index) => ({
        index,
        body: bodies[index]!,
        proof: inclusionProof(index, size, read, fastSha256),
      }));
      const checkpoint = signed.note(INPUT_ORIGIN, signed.inputLeaves);
      const page = { log: INPUT_ORIGIN, size, root: rootAt(size, read, fastSha256), checkpoint, hits };
      reply.setHeader('content-type', 'application/json');
      reply.end(JSON.stringify(searchPageJson(page)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    bed = await startBed({ entries: 0, witnesses: 0 });
    const vkey = (key: { key: Parameters<typeof formatVerifierKey>[0] }) => formatVerifierKey(key.key);
    await bed.configure([
      {
        origin: INPUT_ORIGIN,
        url,
        keys: [vkey(signed.inputKey)],
        policy: `${signed.inputWitness.policyLine('w')}quorum w\n`,
        index: url,
        map: {
          outputLog: url,
          policy: `log ${vkey(signed.outputKey)}\n${signed.outputWitness.policyLine('o')}quorum o\n`,
          rebuilders: `${signed.rebuilders.map((key, i) => key.policyLine(`r${i}`)).join('')}group two 2 r0 r1 r2\nquorum two\n`,
        },
      },
    ]);
  }, 60_000);
  const honest = () => {
    find = (indexes) => indexes;
    lookup = (kind, value) => signed.bytes({ kind, value });
    signed.outputCosigners = [signed.outputWitness, ...signed.rebuilders];
  };
  honest();
  afterEach(honest);
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
    await bed?.stop();
  });

  const search = async (value: string, more = '', profile?: BrowserContext) => {
    const options = profile === undefined ? {} : { context: profile };
    const { page, told, context } = await bed.open(`#/search?kind=digest&value=${value}${more}`, options);
    await page.locator('main h1').waitFor();
    await expect.poll(() => page.locator('main [role=status]').count(), { timeout: 30_000 }).toBe(0);
    const found = {
      failed: (await claims(page, 'failed')).join('\n'),
      checked: (await claims(page, 'checked')).join('\n'),
      open: (await claims(page, 'not-checked')).join('\n'),
      told: await told(),
    };
    if (profile === undefined) await context.close();
    else await page.close();
    return found;
  };

  it('is proven to be complete, by the quorum of rebuilders', async () => {
    const { failed, checked, open, told } = await search(digestOf(3));
    expect(failed).toBe('');
    expect(open).not.toContain('left out');
    expect(checked).toContain('Nothing is left out, and nothing is invented');
    expect(checked).toContain('rebuilt by 3 others');
    expect(told).toEqual([]);
  });

  it('of what is not there is proven to be absent', async () => {
    const { failed, checked } = await search(`sha256:${'0'.repeat(64)}`);
    expect(failed).toBe('');
    expect(checked).toContain('It is proven that there is no such entry');
  });

  it('that leaves a hit out is red, and names it', async () => {
    find = (indexes) => indexes.slice(0, -1);
    const { failed, checked } = await search(digestOf(3));
    expect(failed).toContain('proves entry 33, which the search leaves out');
    expect(checked).not.toContain('Nothing is left out');
  });

  it('that finds nothing where something is, is red', async () => {
    find = () => [];
    expect((await search(digestOf(3))).failed).toContain('4 entries: 3, 13, 23, 33');
  });

  it('that invents a hit is red', async () => {
    find = (indexes) => [2, ...indexes];
    expect((await search(digestOf(3))).failed).toContain('entry at index 2 is in the log, and has no digest');
  });

  it.each([
    ['another key', () => signed.bytes({ kind: 'digest', value: digestOf(4) })],
    ['absence', () => signed.bytes({ kind: 'digest', value: `sha256:${'1'.repeat(64)}` })],
    ['nothing', () => new Uint8Array(0)],
    ['a changed answer', () => flipped(signed.bytes({ kind: 'digest', value: digestOf(3) }))],
  ])('whose verifiable index answers %s is red, and not complete', async (_what, answer) => {
    lookup = answer;
    const { failed, checked } = await search(digestOf(3));
    expect(failed).toContain('the answer of the verifiable index does not hold');
    expect(checked).not.toContain('Nothing is left out');
    expect(checked).not.toContain('no such entry');
  });

  it('with too few rebuilders is red', async () => {
    signed.outputCosigners = [signed.outputWitness, signed.rebuilders[0]!];
    const { failed, checked } = await search(digestOf(3));
    expect(failed).toContain('rebuilders');
    expect(checked).not.toContain('Nothing is left out');
  });

  it('without a cosignature of the output log is red', async () => {
    signed.outputCosigners = signed.rebuilders;
    expect((await search(digestOf(3))).failed).toContain('does not hold');
  });

  it('whose verifiable index goes back is red, also after the page was loaded again', async () => {
    const profile = await bed.browser.newContext();
    expect((await search(digestOf(3), '', profile)).failed).toBe('');
    lookup = () => older;
    const again = await search(digestOf(3), '', profile);
    expect(again.failed).toContain('the output log went back: it had 2 entries when this client saw it');
    expect(again.checked).not.toContain('Nothing is left out');
    // Who has seen nothing newer is told how far it proves anything.
    const fresh = await search(digestOf(3));
    expect(fresh.failed).toBe('');
    expect(fresh.open).toContain('Nothing is left out, and nothing is invented, from entry 30 on');
    expect(fresh.checked).toContain('Nothing is left out, and nothing is invented in the first 30 entries');
    lookup = (kind, value) => signed.bytes({ kind, value });
    expect((await search(digestOf(3), '', profile)).failed).toBe('');
    await profile.close();
  });

  it('where the browser keeps nothing says so, and is checked all the same', async () => {
    const dir = join(bed.dir, 'forbidden');
    await mkdir(join(dir, 'Default'), { recursive: true });
    const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
    await writeFile(join(dir, 'Default/Preferences'), JSON.stringify(preferences));
    const profile = await chromium.launchPersistentContext(dir, bed.launch);
    const { failed, checked, open } = await search(digestOf(3), '', profile);
    expect(failed).toBe('');
    expect(checked).toContain('Nothing is left out');
    expect(open).toContain('the browser keeps nothing');
    await profile.close();
  });

  it('by a prefix is not called complete', async () => {
    const { open, checked } = await search(digestOf(3).slice(0, 20), '&match=prefix');
    expect(`${open}${checked}`).not.toContain('Nothing is left out, and nothing is invented');
  });
});

function flipped(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  changed[40] = changed[40]! ^ 1;
  return changed;
}
