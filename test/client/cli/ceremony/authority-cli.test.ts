/**
 * A ceremony that makes the root of a certificate authority too, and what this root certifies afterwards, command by command with
 * tokens of SoftHSM. Built first (`npm test` does).
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeHolders, type TestTokenHolder } from '../../../support/holders.ts';
import { tempDir } from '../../../support/log.ts';
import { type Ran, run, startServer, stele, steleJson } from '../../../support/serve.ts';
import { lacking, skips } from '../../../support/skip.ts';
import { NO_SOFTHSM, SOFTHSM_MODULE } from '../../../support/softhsm.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const PLAN = `
name: root of example.com
holders: [holder-1]
threshold: 1
online: online.pub.pem
authority: { name: signers of example.com, organization: Example, expires: 365d }
`;

describe.skipIf(skips('a certificate authority by ceremony', NO_SOFTHSM ?? lacking('npm')))(
  'a certificate authority by ceremony',
  () => {
    let dir: Awaited<ReturnType<typeof tempDir>>;
    let holders: Map<string, TestTokenHolder>;
    const at = (...names: string[]) => join(dir.path, ...names);
    const main = () => at('main');
    const text = (...names: string[]) => readFileSync(at(...names), 'utf8');
    const env = (holder: string) => holders.get(holder)!.env;
    const inToken = (holder: string) => [
      '--module',
      SOFTHSM_MODULE!,
      '--token',
      holder,
      '--pin-file',
      holders.get(holder)!.pinFile,
    ];
    const ceremony = (name: string, holder: string | undefined, ...args: string[]): Promise<Ran> =>
      stele(['ceremony', name, main(), ...args], { cwd: dir.path, ...(holder && { env: env(holder) }) });
    /** A key in a token, for other commands. */
    const key = (holder: string, label: string) => [
      '--pkcs11-module',
      SOFTHSM_MODULE!,
      '--token',
      holder,
      '--label',
      label,
      '--pin-file',
      holders.get(holder)!.pinFile,
    ];
    const step = () =>
      JSON.parse(
        text('main', 'steps.jsonl')
          .split('\n')
          .find((line) => line.includes('"step":"authority"'))!,
      );
    const refused = (code: string, message: RegExp, status = 1) => ({
      code: status,
      stderr: expect.stringMatching(new RegExp(`error \\[${code}\\]: .*${message.source}`, 's')),
    });

    beforeAll(async () => {
      dir = await tempDir();
      holders = await makeHolders(dir.path, ['holder-1', 'ca', 'build']);
      const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir.path], {
        cwd: ROOT,
      });
      const [{ filename }] = Object.values(JSON.parse(packed.stdout) as object) as [{ filename: string }];
      await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('online.pem')]);
      await mkdir(main());
      writeFileSync(at('main', 'ceremony.yaml'), PLAN);
      writeFileSync(at('main', 'online.pub.pem'), text('online.pub.pem'));
      expect(await ceremony('begin', undefined, '--package', at(filename))).toMatchObject({ code: 0 });
      const args = [...holders.get('holder-1')!.args, '--module', SOFTHSM_MODULE!, '--token', 'holder-1'];
      expect(await ceremony('key', 'holder-1', ...args)).toMatchObject({ code: 0 });
    }, 90_000);
    afterAll(() => dir?.remove());

    it('refuses the token of a holder', async () => {
      const before = text('main', 'steps.jsonl');
      const made = await ceremony('authority', 'holder-1', ...inToken('holder-1'));
      expect(made).toMatchObject(refused('ceremony', /token "holder-1" .* holds the key of holder-1/));
      expect(text('main', 'steps.jsonl')).toBe(before);
    });

    it('makes the root in a token of its own, records the certificate, and says its digest', async () => {
      const made = await ceremony('authority', 'ca', ...inToken('ca'));
      expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('never extractable, always sensitive') });
      const { sha256, certificate, attributes } = step();
      expect(made.stdout).toContain(sha256.match(/.{4}/g).join(' '));
      expect(attributes).toEqual({
        sensitive: true,
        extractable: false,
        local: true,
        neverExtractable: true,
        alwaysSensitive: true,
      });
      const root = new X509Certificate(text('main', 'ca', 'root.pem'));
      expect(root.raw.toString('base64')).toBe(certificate);
      expect(root.verify(root.publicKey)).toBe(true);
      expect(root.subject).toBe('O=Example\nCN=signers of example.com');
      // A repeat, also after a crash before the certificate was written, gives the same and needs no PIN.
      rmSync(at('main', 'ca'), { recursive: true });
      const again = await ceremony('authority', 'ca', '--module', SOFTHSM_MODULE!, '--token', 'ca');
      expect(again).toMatchObject({ code: 0, stdout: made.stdout });
      expect(new X509Certificate(text('main', 'ca', 'root.pem')).raw.equals(root.raw)).toBe(true);
      expect(await ceremony('authority', 'ca', ...inToken('build'))).toMatchObject(refused('ceremony', /"ca" already/));
    });

    it('stands in the signed transcript, the status and the script', async () => {
      const { sha256 } = step();
      expect(await ceremony('root', undefined)).toMatchObject({ code: 0 });
      for (const name of ['sign', 'transcript', 'sign-transcript']) {
        const args = name === 'transcript' ? [] : holders.get('holder-1')!.args;
        expect(await ceremony(name, 'holder-1', ...args)).toMatchObject({ code: 0 });
      }
      const { predicate } = JSON.parse(text('main', 'transcript.json'));
      expect(predicate.steps.map(({ step: name }: { step: string }) => name)).toEqual([
        'begin',
        'key',
        'authority',
        'root',
        'sign',
      ]);
      const grouped = sha256.match(/.{4}/g).join(' ');
      expect((await ceremony('status', undefined)).stdout).toContain(grouped);
      expect((await ceremony('script', undefined)).stdout).toContain(grouped);
    });

    it('certifies a team with the key in the token, and no other key', async () => {
      const made = await stele(['keygen', '--algorithm', 'ecdsa-p256', ...key('build', 'ca')], { env: env('build') });
      expect(made).toMatchObject({ code: 0 });
      const request = await stele(['ca', 'request', ...key('build', 'ca'), '--out', at('build.csr')], {
        env: env('build'),
      });
      expect(request).toMatchObject({ code: 0 });
      const { label } = step();
      const team = (name: string, holder: string, own: string) =>
        stele(
          [
            'ca',
            'team',
            at('main', 'ca'),
            name,
            '--request',
            at('build.csr'),
            '--uri',
            `${name}.example.com`,
            ...key(holder, own),
          ],
          { env: env(holder) },
        );
      expect(await team('build', 'build', 'ca')).toMatchObject(
        refused('ca', /key of the request|not that of the root/),
      );
      expect(await team('build', 'ca', label)).toMatchObject({ code: 0 });
      const [chain, root] = [text('main', 'ca', 'teams', 'build', '1.chain.pem'), text('main', 'ca', 'root.pem')];
      const [authority, above] = [new X509Certificate(chain), new X509Certificate(root)];
      expect(authority.verify(above.publicKey) && authority.checkIssued(above)).toBe(true);
      // The token away: the repeat needs none, and another team gets nothing.
      await holders.get('ca')!.takeAway();
      expect(await team('build', 'ca', label)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('certified before'),
      });
      expect(await stele(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('other.pem')])).toMatchObject({ code: 0 });
      expect(await stele(['ca', 'request', '--key', at('other.pem'), '--out', at('build.csr')])).toMatchObject({
        code: 0,
      });
      expect(await team('other', 'ca', label)).toMatchObject(refused('pkcs11-token', /no token is labelled "ca"/, 2));
      await holders.get('ca')!.giveBack();
      expect(await team('other', 'ca', label)).toMatchObject({ code: 0 });
    });

    it('has a delegation that a log takes, and that verifies with the key of the root alone', async () => {
      const cer = at('main', 'ca', 'teams', 'build', '1.cer');
      const bundle = at('main', 'ca', 'teams', 'build', '1.sigstore.json');
      const rootKey = at('main', 'ca', 'root.pub.pem');
      const server = await startServer(at('data'));
      try {
        const key = server.verifierKeys[0]!;
        const verify = (file: string, by: string) =>
          stele(['verify', file, '--bundle', bundle, '--key', by, '--log-key', key]);
        expect((await verify(cer, rootKey)).code).not.toBe(0); // it is in no log yet
        const logged = await stele([
          'submit',
          bundle,
          '--key',
          rootKey,
          '--log',
          server.url,
          '--log-key',
          key,
          '--out',
          bundle,
        ]);
        expect(logged, logged.stderr).toMatchObject({ code: 0 });
        expect(await verify(cer, rootKey)).toMatchObject({ code: 0, stdout: expect.stringMatching(/ca-delegation/) });
        expect(await verify(cer, at('other.pub.pem'))).toMatchObject({ code: 1 });
        expect(await verify(at('main', 'ca', 'root.pem'), rootKey)).toMatchObject(refused('digest-mismatch', /./));
        // The root's directory takes the logged bundle in the place of the one before.
        const status = await stele([
          'ca',
          'team',
          at('main', 'ca'),
          'other',
          '--request',
          at('build.csr'),
          '--uri',
          'other.example.com',
          '--key',
          at('other.pem'),
        ]);
        expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining('certified before') });
      } finally {
        await server.stop();
      }
    });

    it('is told by `stele verify` with the ceremony', async () => {
      const server = await startServer(at('data'));
      try {
        const key = server.verifierKeys[0]!;
        expect(await ceremony('log', undefined, '--log', server.url, '--log-key', key)).toMatchObject({ code: 0 });
        const file = at('main', 'transcript.sigstore.jsonl');
        const told = await stele(['verify', at('main', '1.root.json'), '--ceremony', file, '--log-key', key]);
        expect(told, told.stderr).toMatchObject({
          code: 0,
          stdout: expect.stringContaining(`a root with the SHA-256 ${step().sha256}`),
        });
        expect(told.stdout).toMatch(/anything of the kind for holder-1, the certificate authority: SoftHSM/);
      } finally {
        await server.stop();
      }
    });
  },
);
