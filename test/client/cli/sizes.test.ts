import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundle } from '../../../client/formats/bundle.ts';
import { formatPublicKeyPem } from '../../../client/formats/key.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { attestation, digestsOf, hex, testKey, text } from '../verify/verify-parts.ts';

const MIB = 1024 * 1024;
/** What `npm run build` made: the command line as users run it. */
const STELE = fileURLToPath(new URL('../../../dist/client/cli/main.js', import.meta.url));

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
  /** The largest resident set, in millions of bytes. */
  readonly peak: number;
}

let dir: string;
const path = (name: string) => join(dir, name);
const log = FakeLog.empty('log.example');
const file = text('hello');

function stele(...args: readonly string[]): Promise<Ran> {
  const program = `process.argv.splice(1, 0, ${JSON.stringify(STELE)});
process.on('exit', () => console.error(process.resourceUsage().maxRSS));
await import(${JSON.stringify(pathToFileURL(STELE).href)});`;
  return new Promise((resolve) => {
    const all = ['--input-type=module', '--eval', program, '--', ...args];
    execFile(process.execPath, all, { cwd: dir }, (error, out, err) => {
      const peak = (Number(/([0-9]+)\n$/.exec(err)?.[1]) * 1024) / 1e6;
      resolve({ status: error === null ? 0 : Number(error.code), out, err, peak });
    });
  });
}
const verify = (bundle: string) =>
  stele('verify', 'art.txt', '--bundle', bundle, '--key', 'key.pem', '--log-key', log.vkey);

/** A bill of materials about the file, of so many bytes. */
function statementOf(size: number): Uint8Array {
  const one = JSON.stringify({
    name: 'package-0',
    SPDXID: 'SPDXRef-0',
    versionInfo: '1.2.3',
    location: 'https://example.com/p',
  });
  const head = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"art.txt","digest":{"sha256":"${hex(digestsOf(file).sha256)}"}}],"predicateType":"https://spdx.dev/Document","predicate":{"packages":[`;
  const count = Math.floor((size - head.length - 3) / (one.length + 1));
  return text(`${head}${Array(count).fill(one).join(',')}]}}`);
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-sizes-'));
  const key = testKey();
  writeFileSync(path('art.txt'), file);
  writeFileSync(path('key.pem'), formatPublicKeyPem({ spki: key.info.spki }));
  for (const mib of [15, 32]) {
    writeFileSync(path(`${mib}.json`), formatBundle(attestation(file, key, log, statementOf(mib * MIB))));
  }
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('stele verify', { timeout: 60_000 }, () => {
  it('takes less than 200 MB for an attestation of 15 MiB', async () => {
    const { status, out, peak } = await verify('15.json');
    expect(out).toMatch(/^OK: art\.txt has a signed attestation/);
    expect(status).toBe(0);
    expect(peak).toBeLessThan(200);
  });

  it('takes an attestation of 32 MiB, in less than 400 MB', async () => {
    const { status, out, peak } = await verify('32.json');
    expect(out).toMatch(/^OK: art\.txt has a signed attestation/);
    expect(status).toBe(0);
    expect(peak).toBeLessThan(400);
  });
});

describe('a file that is too large', { timeout: 60_000 }, () => {
  it.each([
    ['a bundle', 64, ['verify', 'art.txt', '--bundle', 'large', '--key', 'key.pem', '--log-key', log.vkey]],
    ['a bundle or an envelope', 64, ['submit', 'large', '--key', 'key.pem', '--log', 'https://log.example.com']],
    [
      'a predicate',
      32,
      [
        'attest',
        'art.txt',
        '--predicate',
        'large',
        '--type',
        'spdx',
        '--key',
        'none',
        '--log',
        'https://log.example.com',
      ],
    ],
    ['a trusted root', 4, ['verify', 'art.txt', '--bundle', '15.json', '--key', 'key.pem', '--trusted-root', 'large']],
    ['a key', 1 / 16, ['verify', 'art.txt', '--bundle', '15.json', '--key', 'large', '--log-key', log.vkey]],
  ])('is refused before it is read, by the limit of %s', async (what, mib, args) => {
    const limit = mib * MIB;
    // A file of zeroes that takes no space on the disk.
    writeFileSync(path('large'), '');
    truncateSync(path('large'), limit + 1);
    const { status, err, peak } = await stele(...args);
    expect(err).toContain(`large is larger than ${limit} bytes, the most that ${what} may have`);
    expect(status).toBe(2);
    expect(peak).toBeLessThan(110);
    truncateSync(path('large'), limit);
    const exact = await stele(...args);
    expect(exact.err).not.toContain('larger');
    expect(exact.status).toBeGreaterThan(0);
  });
});
