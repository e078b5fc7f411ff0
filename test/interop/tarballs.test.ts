/** Real input: packages from the npm registry, signed, logged and verified. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { run, type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { have, lacking, skips } from '../support/skip.ts';
import { type Cosign, ok, refused, tellCosign } from './tools.ts';

const PACKAGES = [
  'fastify@5.12.8',
  'level@10.0.0',
  'piscina@5.3.2',
  'undici@7.30.2',
  'pino@10.4.0',
  'commander@14.0.3',
  'vitest@4.1.12',
  'protobufjs@8.8.1',
  'yaml@2.9.1',
  'koffi@3.3.4',
];

/** One `npm pack` for all: a registry is asked as any user asks it. */
async function fetchAll(into: string): Promise<{ files: Map<string, string>; noNpm: string | undefined }> {
  if (!have('npm')) return { files: new Map(), noNpm: 'npm is not installed' };
  const args = ['pack', ...PACKAGES, '--json', '--ignore-scripts', '--pack-destination', into];
  const { code, stdout, stderr } = await run('npm', args, { cwd: into });
  if (code !== 0)
    return { files: new Map(), noNpm: `npm cannot fetch packages here: ${stderr.trim().split('\n').at(-1)}` };
  const packed: unknown = JSON.parse(stdout);
  // A list, and with newer versions of npm an object by name.
  const all = Object.values(packed as object) as { id: string; filename: string }[];
  return { files: new Map(all.map(({ id, filename }) => [id, join(into, filename)])), noNpm: undefined };
}

const noCosign = skips('cosign on tarballs', lacking('cosign'));

describe('tarballs of real packages (where npm can fetch them)', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let cosign: Cosign | undefined;
  let files: Map<string, string>;
  let noNpm: string | undefined;

  beforeAll(async () => {
    dir = await tempDir();
    ({ files, noNpm } = await fetchAll(dir.path));
    skips('tarballs of real packages', noNpm);
    server = await startServer(join(dir.path, 'data'));
    if (!noCosign) cosign = await tellCosign(server, dir.path);
  });
  afterAll(async () => {
    await server?.kill();
    await dir.remove();
  });

  it.for(PACKAGES)('%s: signed and logged, verified, and refused with one byte changed', async (name, { skip }) => {
    skip(noNpm !== undefined, noNpm);
    const file = files.get(name)!;
    const log = server.verifierKeys[0]!;
    const signed = await steleJson(['sign', file, '--log', server.url, '--log-key', log]);
    const [bundle, key] = [String(signed.bundle), String(signed.publicKey)];

    const changed = `${file}.changed`;
    const bytes = await readFile(file);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    await writeFile(changed, bytes);

    const how = ['--bundle', bundle, '--key', key, '--log-key', log];
    expect(await steleJson(['verify', file, ...how])).toMatchObject({ ok: true, index: signed.index });
    expect(await stele(['verify', changed, ...how])).toMatchObject({ code: 1 });
    if (cosign !== undefined) {
      const args = ['verify-blob', '--key', key, '--trusted-root', cosign.trustedRoot, '--bundle', bundle];
      await ok('cosign', [...args, file]);
      await refused('cosign', [...args, changed]);
    }
  });
});
