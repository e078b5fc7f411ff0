/** `stele index import` and `forget`, on a directory and on a running service: what comes in piece by piece, and what is refused. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { LOG_KEEPS, STORE_NOTICE } from '../../../client/search/store/store-notice.ts';
import { IndexProcess } from '../../support/index-process.ts';
import { tempDir } from '../../support/log.ts';
import { BUNDLE, OciServer } from '../../support/oci-server.ts';
import { stele } from '../../support/serve.ts';
import { attested, fresh, log, provenanceOf } from '../search/store/store-parts.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let index: IndexProcess | undefined;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const file = () => attested(provenanceOf(fresh()));

beforeAll(async () => {
  dir = await tempDir();
  mkdirSync(join(dir.path, 'bundles/below'), { recursive: true });
  const settings = (store: string) => `data: ./data
listen: { port: 0 }
admin: { port: 0 }
logs: [{ url: 'http://127.0.0.1:9', keys: ['${log.vkey}'] }]
store: { enabled: ${store}, submissions: true }
`;
  writeFileSync(join(dir.path, 'index.yaml'), settings('true'));
  writeFileSync(join(dir.path, 'off.yaml'), settings('false'));
});
afterEach(async () => {
  await index?.end('SIGKILL');
  index = undefined;
});
afterAll(() => dir.remove());

async function run(command: string, ...args: string[]) {
  const config = args.includes('--config') ? [] : ['--config', 'index.yaml'];
  const { code, stdout, stderr } = await stele(['index', command, ...args, ...config, '--json'], { cwd: dir.path });
  return { code, json: stdout === '' ? undefined : JSON.parse(stdout), stderr };
}

it.each(['a directory', 'a running service'])('works on %s', { timeout: 120_000 }, async (where) => {
  if (where === 'a running service') index = await IndexProcess.start(dir.path);
  const [one, two, three, four, five] = [file(), file(), file(), file(), file()];
  const write = (name: string, content: Uint8Array | string) => writeFileSync(join(dir.path, name), content);
  const parsed = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());
  const line = (bytes: Uint8Array) => JSON.stringify(parsed(bytes));
  write('bundles/one.json', one);
  write('bundles/below/lines.jsonl', `${line(two)}\n${line(three)}\n`);
  write('bundles/.hidden', 'not read');
  write('list.json', JSON.stringify({ attestations: [{ bundle: parsed(four) }] }));
  const first = await run('import', 'bundles', 'list.json');
  expect(first).toMatchObject({ code: 0, json: { ok: true, kept: 4, known: 0, refused: [], notice: STORE_NOTICE } });
  // The lines are kept as they are.
  const again = await run('import', 'bundles');
  expect(again).toMatchObject({ code: 0, json: { kept: 0, known: 3 } });

  write('bad.json', '{"mediaType":"x"}');
  write('mixed.jsonl', `${line(five)}\n{}\n`);
  const mixed = await run('import', 'bad.json', 'mixed.jsonl');
  expect(mixed).toMatchObject({ code: 1, json: { ok: false, kept: 1 } });
  expect(mixed.json.refused.map(({ source }: { source: string }) => source)).toEqual([
    'bad.json',
    'mixed.jsonl line 2',
  ]);
  expect(mixed.stderr).toContain('mixed.jsonl line 2');
  expect((await run('import', 'missing')).code).toBe(2);
  expect((await run('import', 'bundles', '--config', 'off.yaml')).code).toBe(2);

  const registry = await new OciServer().start();
  const image = registry.image('1');
  registry.attach(image, Buffer.from(file()).toString(), BUNDLE);
  const named = `${registry.host}/team/app@${image.digest}`;
  const ofImage = await run('import', named, `${registry.host}/team/app:1`, '--insecure-registry', registry.host);
  expect(ofImage).toMatchObject({ code: 0, json: { kept: 1, known: 1 } });
  await registry.close();

  const digest = `sha256:${sha256(one)}`;
  expect(await run('forget', digest, '--block')).toMatchObject({
    code: 0,
    json: { pieces: [{ digest, forgotten: true, blocked: true }], note: LOG_KEEPS, notice: STORE_NOTICE },
  });
  expect(await run('forget', digest)).toMatchObject({ code: 1, json: { ok: false } });
  expect(await run('import', 'bundles/one.json')).toMatchObject({
    code: 1,
    json: { kept: 0, refused: [{ error: { code: 'refused' } }] },
  });
  expect((await run('forget', digest, '--unblock')).code).toBe(0);
  expect(await run('import', 'bundles/one.json')).toMatchObject({ code: 0, json: { kept: 1 } });
  expect((await run('forget', 'sha256:../x')).code).toBe(2);
  if (index === undefined) return;
  const { url } = index;
  expect((await fetch(`${url}/stele/v1/attestations/${digest}`)).status).toBe(200);
  const about = await (await fetch(`${url}/stele/v1/index`)).json();
  expect(JSON.stringify(about)).toContain('no promise of the log');
  expect(await (await fetch(`${url}/openapi.json`)).text()).toContain('/stele/v1/attestations/{digest}');
  write('pushed.json', file());
  const args = ['index', 'import', 'pushed.json', '--store', url, '--json'];
  const pushed = await stele(args, { cwd: dir.path });
  expect({ code: pushed.code, json: JSON.parse(pushed.stdout) }).toMatchObject({ code: 0, json: { kept: 1 } });
});
