/** A log as its configuration says it: keys, policy, what stops a start. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../../merkle/cosignature.ts';
import { ed25519VerifierKey, formatVerifierKey, openNote, parseNote, parseVerifierKey } from '../../../merkle/note.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { createMldsaKeyFile } from '../../../merkle/runtime/keys/mldsa.ts';
import { loadConfig } from '../../../server/config/load.ts';
import { layout } from '../../../server/dir/layout.ts';
import { type OpenLog, openLog } from '../../../server/open.ts';
import { checkDir } from '../../../server/tools/check.ts';
import { bodyOf, tempDir } from '../../support/log.ts';
import { silent } from '../../support/silent.ts';
import { policyOf, TestWitness } from '../../support/witness.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let opened: OpenLog | undefined;
let witness: TestWitness;
let origin: string;
const at = (name: string) => join(dir.path, name);

beforeEach(async () => {
  dir = await tempDir();
  origin = 'log.test';
  const { publicKey } = await createKeyFile(at('log.pem'), 'ed25519');
  witness = await new TestWitness('w', ed25519VerifierKey(origin, publicKey.slice(-32))).start();
  await writeFile(at('policy'), policyOf([witness], 'all'));
});

afterEach(async () => {
  await opened?.close();
  opened = undefined;
  await witness.stop();
  await dir.remove();
});

async function open(flags: Record<string, string> = {}): Promise<OpenLog> {
  const given = {
    origin,
    data: at('data'),
    'key-file': at('log.pem'),
    policy: at('policy'),
    'ingest-threads': '1',
    ...flags,
  };
  const config = loadConfig({ flags: given, env: {} });
  opened = await openLog({ config, logger: silent, onFatal: () => {} });
  return opened;
}

async function submit(name: string): Promise<string> {
  const [outcome] = await opened!.log.submit(bodyOf(name), 'json');
  if ('error' in outcome!) throw outcome.error;
  return outcome!.entry.proof.checkpoint;
}

describe('a log with a policy', () => {
  it('has its checkpoints cosigned, and shows its witnesses in the metrics', async () => {
    const { metrics } = await open();
    const note = await submit('one');
    expect(openNote(parseNote(note), [checkpointVerifier(witness.key, nodeNotePrimitives)]).verified).toHaveLength(1);
    expect(await metrics.registry.metrics()).toMatch(/stele_witness_size_entries\{witness="w"\} 1\n/);
  });

  it('signs with an ML-DSA-44 key as well', async () => {
    await createMldsaKeyFile(at('mldsa.pem'));
    await writeFile(at('none'), 'quorum none\n');
    const { log } = await open({ 'mldsa-key': at('mldsa.pem'), policy: at('none') });
    const keys = log.info.verifierKeys.map(parseVerifierKey);
    expect(keys.map(({ type, name }) => [type, name])).toEqual([
      [1, origin],
      [6, origin],
    ]);
    const note = await submit('one');
    expect(
      openNote(
        parseNote(note),
        keys.map((key) => checkpointVerifier(key, nodeNotePrimitives)),
      ).verified,
    ).toHaveLength(2);
    await opened!.close();
    opened = undefined;
    const report = await checkDir(at('data'));
    expect(report.signedBy).toHaveLength(2);
  });

  it.each([
    ['w is missing from the file', 'quorum w\n', /line 1/],
    [
      'it is of another log',
      `log ${formatVerifierKey(ed25519VerifierKey('log.test', new Uint8Array(32).fill(9)))}\n`,
      /another log/,
    ],
    ['its quorum has no URL', '', /no URL/],
    ['a URL is none', '', /is not http/],
  ])('does not start where %s', async (what, text, message) => {
    const line = witness.policyLine;
    const texts: Record<string, string> = {
      'it is of another log': `${text}${line}quorum w\n`,
      'its quorum has no URL': `${line.split(' ').slice(0, 3).join(' ')}\nquorum w\n`,
      'a URL is none': `${line.replace('http://', 'ftp://')}quorum w\n`,
    };
    await writeFile(at('policy'), texts[what] ?? text);
    await expect(open()).rejects.toMatchObject({ code: 'policy', message: expect.stringMatching(message) });
  });

  it('does not start with witnesses and without an Ed25519 key', async () => {
    await createKeyFile(at('ecdsa.pem'), 'ecdsa-p256');
    await expect(open({ 'key-file': at('ecdsa.pem') })).rejects.toMatchObject({
      code: 'policy',
      message: expect.stringContaining('no Ed25519 key'),
    });
    // With a second one it does, and the witness is sent both signatures.
    await witness.stop();
    await open({ 'key-file': at('ecdsa.pem'), 'ed25519-key-file': at('log.pem') });
    expect(opened!.log.info.verifierKeys).toHaveLength(2);
  });

  it('stays stopped over restarts once a witness proved another history, until its operator acts', async () => {
    await open();
    await submit('one');
    const other = await openLog({
      config: loadConfig({
        flags: { origin, data: at('twin'), 'key-file': at('log.pem'), 'ingest-threads': '1' },
        env: {},
      }),
      logger: silent,
      onFatal: () => {},
    });
    await other.log.submit(bodyOf('another'), 'json');
    await other.close();
    // Its checkpoint of one entry is known to the witness; the twin has another one.
    const twin = { data: at('twin') };
    await expect(open(twin)).rejects.toMatchObject({
      code: 'rollback',
      message: expect.stringContaining('another root'),
    });

    // While it runs: the witness shows it late.
    const { held } = witness;
    witness.held = undefined;
    await opened!.close();
    await open(twin);
    await submit('more');
    witness.held = held;
    await opened!.log.submit(bodyOf('and more'), 'json');
    expect(opened!.log.notReady().join()).toContain('two histories were signed');
    await opened!.close();
    opened = undefined;
    witness.held = undefined;
    await expect(open(twin)).rejects.toMatchObject({
      code: 'rollback',
      message: expect.stringContaining('stopped before'),
    });
    expect(await readFile(layout.halted(at('twin')), 'utf8')).toContain(`\n\n${origin}\n1\n`);
    await rm(layout.halted(at('twin')));
    await open(twin);
  });
});
