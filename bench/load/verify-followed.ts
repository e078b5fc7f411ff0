/**
 * The third part of `npm run bench:load -- --verify`: `stele verify` with the trust of a followed TUF repository, in turn with the
 * same files given as options. Each pair gives one difference.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trustFiles } from '../../client/trust/trust-files.ts';
import { TrustStore } from '../../client/trust/tuf/trust-store.ts';
import { useTrust } from '../../client/trust/tuf/update.ts';
import { parsePolicy } from '../../merkle/policy.ts';
import { TufMaker } from '../../test/support/tuf-maker.ts';
import { startMirror } from '../../test/support/tuf-mirror.ts';
import { median, type Row, round } from '../report.ts';
import { prepareVerifyOne, verifyOnce } from './verify-one.ts';

const PAIRS = 40;
const MAIN = 'dist/client/cli/main.js';

/** A repository with a root of 3 of 5 holders and targets of 2 of 3, as the files of one log with two witnesses. */
export async function verifyFollowedRows(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const [verify, file, key, spki] = await prepareVerifyOne(dir);
    const policy = readFileSync(join(dir, 'policy'), 'utf8');
    const log = parsePolicy(Buffer.from(policy)).logs[0]!.key;
    const maker = new TufMaker();
    const described = { origin: 'log.test', url: 'https://log.test', rekor: true, policy, start: 0 };
    for (const { name, text } of trustFiles([{ ...described, keys: [log] }])) {
      maker.target(name, text);
      writeFileSync(join(dir, name), text);
    }
    maker.publish();
    const mirror = await startMirror(maker.files);
    const trust = join(dir, 'trust');
    await useTrust(new TrustStore(trust), `${mirror.url}/`, maker.root());
    await mirror.close();
    const common = [MAIN, verify!, file!, key!, spki!];
    const root = ['--trusted-root', join(dir, 'trusted_root.v0.2.json')];
    return [
      difference('--trusted-root', [...common, ...root], [...common, '--trust', trust], dir, '10 ms'),
      difference(
        '--trusted-root and --policy',
        [...common, ...root, '--policy', join(dir, 'policy')],
        [...common, '--trust', trust],
        dir,
        '',
      ),
    ];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function difference(what: string, given: string[], followed: string[], dir: string, aim: string): Row {
  const pairs = Array.from({ length: PAIRS }, (_, at) => {
    // Each pair swaps which goes first.
    if (at % 2 === 0) return { given: verifyOnce(given, dir), followed: verifyOnce(followed, dir) };
    const second = verifyOnce(followed, dir);
    return { given: verifyOnce(given, dir), followed: second };
  });
  const of = (value: (pair: (typeof pairs)[number]) => number) => round(median(pairs.map(value)));
  return {
    'stele verify with followed trust, beside': what,
    'given, ms': of(({ given }) => given.wall),
    'followed: more, ms': of(({ given, followed }) => followed.wall - given.wall),
    'CPU ms, given': of(({ given }) => given.cpu),
    'followed: more CPU ms': of(({ given, followed }) => followed.cpu - given.cpu),
    aim,
  };
}
