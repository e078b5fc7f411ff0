import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundle } from '../../../../client/formats/bundle.ts';
import { formatPublicKeyPem } from '../../../../client/formats/key.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { stele } from '../../../support/serve.ts';
import { attestation, digestsOf, hex, messageBundle, testKey, text } from '../../verify/verify-parts.ts';

const file = text('hello');
const key = testKey();
const log = FakeLog.empty();
let dir: string;

const about = (predicateType: string, ...names: readonly string[]) => {
  const digest = { sha256: hex(digestsOf(file).sha256) };
  const subject = names.map((name) => ({ name, digest }));
  return attestation(
    file,
    key,
    log,
    text(JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate: {} })),
  );
};
const verify = (bundle: string, ...args: readonly string[]) =>
  stele(['verify', 'app', '--bundle', bundle, '--key', 'key.pub', '--log-key', log.vkey, ...args], { cwd: dir });

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-claim-'));
  const put = (name: string, bytes: string | Uint8Array) => writeFileSync(join(dir, name), bytes);
  put('app', file);
  put('key.pub', formatPublicKeyPem(key.info));
  put('message.json', formatBundle(messageBundle(file, key, log)));
  put('slsa.json', formatBundle(about('https://slsa.dev/provenance/v1', 'app', 'copy of the app')));
  put('link.json', formatBundle(about('https://in-toto.io/Link/v1', 'app')));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('stele verify --type and --subject', () => {
  it('hold for an attestation of this type, by short name or URI', async () => {
    for (const type of ['slsaprovenance1', 'https://slsa.dev/provenance/v1']) {
      expect(await verify('slsa.json', '--type', type), type).toMatchObject({ code: 0, stderr: '' });
    }
    expect(await verify('link.json', '--type', 'link')).toMatchObject({ code: 0 });
    const named = await verify('slsa.json', '--type', 'slsaprovenance1', '--subject', 'copy of the app', '--json');
    expect(JSON.parse(named.stdout)).toMatchObject({ ok: true, statement: { subject: 'copy of the app' } });
  });

  it('refuse any other with 1, and never take a signature over the file instead', async () => {
    for (const [bundle, ...args] of [
      ['slsa.json', '--type', 'slsaprovenance'],
      ['slsa.json', '--type', 'custom'],
      ['link.json', '--type', 'https://in-toto.io/attestation/link/v0.3'],
      ['message.json', '--type', 'slsaprovenance1'],
      ['message.json', '--subject', 'app'],
      ['slsa.json', '--subject', 'App'],
      ['link.json', '--type', 'link', '--subject', 'copy of the app'],
    ] as const) {
      const ran = await verify(bundle, ...args);
      expect(ran, args.join(' ')).toMatchObject({ code: 1, stderr: expect.stringContaining('[attestation]') });
    }
  });

  it('are refused with 2 where they say nothing', async () => {
    expect(await verify('slsa.json', '--type', 'provenance')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('slsaprovenance, slsaprovenance02, slsaprovenance1'),
    });
    expect(await verify('slsa.json', '--subject', '')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--subject is empty'),
    });
    const proof = ['verify', 'app', '--tlog-proof', 'proof', '--key', 'key.pub', '--policy', 'policy'];
    for (const claim of ['--type=link', '--subject=app']) {
      const ran = await stele([...proof, claim], { cwd: dir });
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('holds no attestation') });
    }
  });
});
