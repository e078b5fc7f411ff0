/**
 * A ceremony command by command, each in a process of its own, with the tokens of SoftHSM. Built first (`npm test` does). The file is
 * long because each test needs the same holders, tokens and steps, whose making takes its first part.
 */
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeHolders, type TestTokenHolder } from '../../../support/holders.ts';
import { tempDir } from '../../../support/log.ts';
import { type Ran, run, type ServeProcess, startServer, stele, steleJson } from '../../../support/serve.ts';
import { lacking, skips } from '../../../support/skip.ts';
import { NO_SOFTHSM, SOFTHSM_MODULE } from '../../../support/softhsm.ts';
import { startMirror } from '../../../support/tuf-mirror.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const PLAN = `
name: root of example.com
holders: [holder-1, holder-2, holder-3]
threshold: 2
online: online.pub.pem
`;

describe.skipIf(skips('a ceremony', NO_SOFTHSM ?? lacking('npm')))('stele ceremony', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let holders: Map<string, TestTokenHolder>;
  let tgz: string;
  let plans = 0;
  const at = (...names: string[]) => join(dir.path, ...names);
  const main = () => at('main');
  const steps = (ceremony = main()) => readFileSync(join(ceremony, 'steps.jsonl'), 'utf8');
  const step = (name: string, ceremony = main(), ...args: string[]) =>
    stele(['ceremony', name, ceremony, ...args], { cwd: dir.path });
  /** A step of a holder, with the holder's token alone. */
  const by = (name: string, holder: string, ceremony = main(), ...more: string[]): Promise<Ran> => {
    const { env, args, keyArgs } = holders.get(holder)!;
    return stele(['ceremony', name, ceremony, ...(name === 'key' ? keyArgs : args), ...more], { cwd: dir.path, env });
  };
  const prepare = async (name: string) => {
    await mkdir(at(name));
    writeFileSync(at(name, 'ceremony.yaml'), PLAN);
    cpSync(at('online.pub.pem'), at(name, 'online.pub.pem'));
    return at(name);
  };
  const begun = async (name: string) => {
    const ceremony = await prepare(name);
    expect(await step('begin', ceremony, '--package', tgz)).toMatchObject({ code: 0 });
    return ceremony;
  };
  /** As the ceremony is now, to go on from elsewhere. */
  const copy = (name: string, from = main()) => {
    cpSync(from, at(name), { recursive: true });
    return at(name);
  };
  /** The command line of the package as users install it, in a directory of its own. */
  const installed = () => at('bare', 'node_modules', 'stele', 'dist', 'client', 'cli', 'main.js');
  const refused = (code: string, message: RegExp, status = 1) => ({
    code: status,
    stderr: expect.stringMatching(new RegExp(`error \\[${code}\\]: .*${message.source}`, 's')),
  });

  beforeAll(async () => {
    dir = await tempDir();
    holders = await makeHolders(dir.path, ['holder-1', 'holder-2', 'holder-3']);
    const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir.path], {
      cwd: ROOT,
    });
    const [{ filename }] = Object.values(JSON.parse(packed.stdout) as object) as [{ filename: string }];
    tgz = at(filename);
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('online.pem')]);
    await begun('main');
  }, 60_000);
  afterAll(() => dir?.remove());

  it('begins with the package that runs, and with no other', async () => {
    const again = await step('begin', main(), '--package', tgz);
    expect(again).toMatchObject({ code: 0 });
    const [line, ...more] = steps().trimEnd().split('\n');
    expect(more).toEqual([]);
    const { package: of, nonce } = JSON.parse(line!);
    expect(again.stdout).toContain(of.sha256.match(/.{4}/g).join(' '));
    expect(nonce).toMatch(/^[0-9a-f]{64}$/);
    expect((await run('sha256sum', [tgz])).stdout).toContain(of.sha256);

    const other = at('other.tgz');
    const tar = gunzipSync(readFileSync(tgz));
    tar[tar.indexOf('An append-only transparency log')]! ^= 1;
    writeFileSync(other, gzipSync(tar));
    const elsewhere = await prepare('other-package');
    expect(await step('begin', elsewhere, '--package', other)).toMatchObject(
      refused('ceremony', /not the package .* differs/),
    );
    expect(await step('begin', elsewhere, '--package', __filename)).toMatchObject(
      refused('ceremony', /not one that npm packed/),
    );
    expect(existsSync(join(elsewhere, 'steps.jsonl'))).toBe(false);
  });

  it('does not begin where the package that tokens need is not installed', async () => {
    const modules = at('bare', 'node_modules');
    await mkdir(join(modules, 'stele'), { recursive: true });
    await run('tar', ['-xzf', tgz, '-C', join(modules, 'stele'), '--strip-components=1']);
    const { dependencies } = JSON.parse(readFileSync(join(modules, 'stele', 'package.json'), 'utf8'));
    for (const name of Object.keys(dependencies)) {
      await mkdir(join(modules, name, '..'), { recursive: true });
      symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
    const ceremony = await prepare('without-package');
    const bare = await run(process.execPath, [installed(), 'ceremony', 'begin', ceremony, '--package', tgz]);
    expect(bare).toMatchObject(refused('pkcs11-module', /needs the package pkcs11js, which is not installed/, 2));
    expect(existsSync(join(ceremony, 'steps.jsonl'))).toBe(false);
  });

  it.each([
    ['holders: [holder-1, holder-2, holder-3]', 'holders: [holder-1, holder-1]', /twice/],
    ['holders: [holder-1, holder-2, holder-3]', 'holders: [Holder One]', /cannot name a holder/],
    ['holders: [holder-1, holder-2, holder-3]', 'holders: [online, holder-2]', /service/],
    ['threshold: 2', 'threshold: 4', /threshold is 4/],
    ['threshold: 2', 'threshold: 0', /threshold/],
    ['online: online.pub.pem', 'online: nowhere.pem', /not there/],
    ['online: online.pub.pem', 'nothing: 1', /unknown field/],
    ['name: root of example.com', 'name: ""', /line of text/],
    ['threshold: 2', 'threshold: 2\nexpires: 12h', /shorter than 1d/],
  ])('refuses a plan with "%s" as "%s"', async (from, to, message) => {
    const ceremony = await prepare(`plan-${++plans}`);
    writeFileSync(join(ceremony, 'ceremony.yaml'), PLAN.replace(from, to));
    expect(await step('begin', ceremony, '--package', tgz)).toMatchObject(refused('trust', message, 2));
  });

  it('refuses PINs that are wrong or lie open, and records nothing', async () => {
    const before = steps();
    const wrong = at('wrong-pin');
    writeFileSync(wrong, '0000-wrong\n', { mode: 0o600 });
    const { env, keyArgs } = holders.get('holder-1')!;
    const args = (pin: string) => keyArgs.map((word) => (word === holders.get('holder-1')!.pinFile ? pin : word));
    const failed = await stele(['ceremony', 'key', main(), ...args(wrong)], { env });
    expect(failed).toMatchObject(refused('pkcs11-pin', /CKR_PIN_INCORRECT/, 2));
    expect(failed.stdout + failed.stderr).not.toContain('0000');
    chmodSync(wrong, 0o644);
    expect(await stele(['ceremony', 'key', main(), ...args(wrong)], { env })).toMatchObject(
      refused('secret', /chmod/, 2),
    );
    const none = keyArgs.filter((word) => word !== '--pin-file' && word !== holders.get('holder-1')!.pinFile);
    expect(await stele(['ceremony', 'key', main(), ...none], { env })).toMatchObject(
      refused('usage', /nobody can type/, 2),
    );
    expect(steps()).toBe(before);
  });

  it('has no option for a PIN', async () => {
    for (const name of ['key', 'sign', 'sign-transcript']) {
      const { stdout } = await step(name, main(), '--help');
      expect(stdout.match(/--pin\S*/g)).toEqual(expect.arrayContaining(['--pin-file']));
      expect(new Set(stdout.match(/--pin\S*/g))).toEqual(new Set(['--pin-file']));
    }
  });

  it('makes a key in the token of each holder, once', async () => {
    const first = await by('key', 'holder-1');
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('never extractable, always sensitive') });
    const after = steps();
    // The repeat needs no PIN.
    const { env, keyArgs } = holders.get('holder-1')!;
    expect(await stele(['ceremony', 'key', main(), ...keyArgs.slice(0, 2), ...keyArgs.slice(4)], { env })).toEqual(
      first,
    );
    expect(await by('key', 'holder-1', main(), '--token', 'other')).toMatchObject(refused('ceremony', /already/));
    expect(steps()).toBe(after);
  });

  it('refuses two holders with one token', async () => {
    const before = steps();
    const { env, keyArgs } = holders.get('holder-1')!;
    const asOther = (label: string[]) =>
      stele(['ceremony', 'key', main(), ...keyArgs, '--holder', 'holder-2', ...label], { env });
    expect(await asOther([])).toMatchObject(refused('ceremony', /holder-2 has the key of holder-1/));
    expect(await asOther(['--label', 'second'])).toMatchObject(refused('ceremony', /holds the key of holder-1/));
    expect(await asOther(['--holder', 'holder-9'])).toMatchObject(refused('ceremony', /no holder/));
    expect(steps()).toBe(before);
  });

  it('refuses a key from outside, and a token that is not there, and records nothing', async () => {
    const before = steps();
    const { env, pin, keyArgs, takeAway, giveBack } = holders.get('holder-2')!;
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('outside.pem')]);
    const put = [
      '--import',
      at('outside.pem'),
      '--token',
      'holder-2',
      '--label',
      'outside',
      '--id',
      '01',
      '--pin',
      pin,
    ];
    expect(await run('softhsm2-util', put, { env })).toMatchObject({ code: 0 });
    const outside = await stele(['ceremony', 'key', main(), ...keyArgs, '--label', 'outside'], { env });
    expect(outside).toMatchObject(
      refused('ceremony', /not CKA_LOCAL, not CKA_NEVER_EXTRACTABLE, not CKA_ALWAYS_SENSITIVE/),
    );
    await takeAway();
    expect(await by('key', 'holder-2')).toMatchObject(refused('pkcs11-token', /no token is labelled "holder-2"/, 2));
    await giveBack();
    expect(steps()).toBe(before);
  });

  it('makes the root with the keys of all holders', async () => {
    expect(await by('key', 'holder-2')).toMatchObject({ code: 0 });
    expect(await step('root')).toMatchObject(refused('ceremony', /holder-3 have made none/));
    expect(await by('sign', 'holder-1')).toMatchObject(refused('ceremony', /no root/));
    // The third holder has a machine of their own, with the same package and another version of what it loads.
    cpSync(join(ROOT, 'node_modules', 'pkcs11js'), at('bare', 'node_modules', 'pkcs11js'), { recursive: true });
    writeFileSync(at('bare', 'node_modules', 'pkcs11js', 'more.txt'), 'another version');
    const { env, keyArgs } = holders.get('holder-3')!;
    const elsewhere = [installed(), 'ceremony', 'key', main(), ...keyArgs];
    expect(await run(process.execPath, elsewhere, { env })).toMatchObject({ code: 0 });
    const changed = copy('changed-plan');
    appendFileSync(join(changed, 'ceremony.yaml'), 'targets: 1\n');
    expect(await step('root', changed)).toMatchObject(refused('ceremony', /was changed since/));
    expect(await by('sign', 'holder-1', changed)).toMatchObject(refused('ceremony', /was changed since/));
    const service = copy('changed-service');
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('thief.pem')]);
    cpSync(at('thief.pub.pem'), join(service, 'online.pub.pem'));
    expect(await step('root', service)).toMatchObject(refused('ceremony', /key of the service was changed since/));
    expect(await step('begin', service, '--package', tgz)).toMatchObject(
      refused('ceremony', /another plan, online key/),
    );
    const made = await step('root');
    expect(made).toMatchObject({ code: 0 });
    expect(await step('root')).toEqual(made);
    const root = JSON.parse(readFileSync(join(main(), '1.root.json'), 'utf8'));
    expect(root.signed.roles.root).toMatchObject({
      threshold: 2,
      keyids: [expect.any(String), expect.any(String), expect.any(String)],
    });
    expect(root.signed.roles.timestamp.keyids).toHaveLength(1);
  });

  it('signs the root, and says its digest before the PIN is asked', async () => {
    const signed = await by('sign', 'holder-1');
    expect(signed).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of the 2') });
    expect(signed.stderr).toMatch(/targets: 2 of 3 must sign/);
    expect(signed.stderr).toMatch(/timestamp: ADDS online/);
    const { sha256 } = JSON.parse(
      steps()
        .trimEnd()
        .split('\n')
        .find((line) => line.includes('"step":"root"'))!,
    );
    expect(signed.stderr).toContain(sha256.match(/.{4}/g).join(' '));
    const after = steps();
    expect(await by('sign', 'holder-1')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('has signed already'),
    });
    expect(steps()).toBe(after);
    expect(await step('transcript')).toMatchObject(refused('ceremony', /2 of 3 holders must sign the root, and 1 did/));
    expect(existsSync(join(main(), 'transcript.json'))).toBe(false);
  });

  it('says what is wrong with a token, and records nothing', async () => {
    const before = steps();
    const holder = holders.get('holder-2')!;
    await holder.takeAway();
    expect(await by('sign', 'holder-2')).toMatchObject(refused('pkcs11-token', /no token is labelled "holder-2"/, 2));
    // The token of somebody else, and an empty one of the same label.
    expect(
      await stele(['ceremony', 'sign', main(), ...holder.args], { env: holders.get('holder-3')!.env }),
    ).toMatchObject(refused('pkcs11-token', /there: "holder-3"/, 2));
    await holder.initialize();
    expect(await by('sign', 'holder-2')).toMatchObject(refused('ceremony', /another token, or was initialized again/));
    const second = copy('another-ceremony');
    expect(await by('key', 'holder-2', second)).toMatchObject({ code: 0 });
    await holder.giveBack();
    expect(steps()).toBe(before);
    expect(await by('sign', 'holder-2')).toMatchObject({ code: 0, stdout: expect.stringContaining('2 of the 2') });
  });

  it.each([
    ['steps.jsonl', /does not follow/, (text: string) => text.replace('"stele":"', '"stele":"9')],
    ['steps.jsonl', /whole line/, (text: string) => text.slice(0, -5)],
    ['1.root.json', /digest is in the steps/, (text: string) => text.replace('"threshold": 2', '"threshold": 1')],
    ['package.sha256', /not the list/, (text: string) => text.replace(/^[0-9a-f]/, 'z')],
  ])('refuses to go on with a changed %s', async (file, message, change) => {
    const ceremony = copy(`changed-${message.source.length}`);
    const text = readFileSync(join(ceremony, file), 'utf8');
    expect(change(text)).not.toBe(text);
    writeFileSync(join(ceremony, file), change(text));
    expect(await step('transcript', ceremony)).toMatchObject(refused('ceremony', message));
    expect(await by('sign', 'holder-3', ceremony)).toMatchObject(refused('ceremony', message));
  });

  it('makes the transcript, which freezes the ceremony', async () => {
    const made = await step('transcript');
    expect(made).toMatchObject({ code: 0 });
    expect(await step('transcript')).toEqual(made);
    const { subject, predicateType, predicate } = JSON.parse(readFileSync(join(main(), 'transcript.json'), 'utf8'));
    expect(predicateType).toBe('urn:stele:ceremony:v1');
    expect((await run('sha256sum', [join(main(), '1.root.json')])).stdout).toContain(subject[0].digest.sha256);
    expect(predicate.steps.map(({ step: name }: { step: string }) => name)).toEqual([
      'begin',
      'key',
      'key',
      'key',
      'root',
      'sign',
      'sign',
    ]);
    expect(await by('sign', 'holder-3')).toMatchObject(refused('ceremony', /no further signature fits in/));
  });

  it('takes signatures of the transcript, each holder once', async () => {
    expect(await step('log', main(), '--log', 'http://localhost:9')).toMatchObject(
      refused('ceremony', /must sign the transcript, and 0 did/),
    );
    const { takeAway, giveBack } = holders.get('holder-3')!;
    await takeAway();
    expect(await by('sign-transcript', 'holder-3')).toMatchObject(refused('pkcs11-token', /no token is labelled/, 2));
    expect(existsSync(join(main(), 'transcript.dsse.json'))).toBe(false);
    await giveBack();
    for (const [holder, said] of [
      ['holder-3', /1 of the 2/],
      ['holder-3', /has signed already/],
      ['holder-1', /2 of the 2/],
    ] as const) {
      expect(await by('sign-transcript', holder)).toMatchObject({ code: 0, stdout: expect.stringMatching(said) });
    }
    const changed = copy('changed-transcript');
    const text = readFileSync(join(changed, 'transcript.json'), 'utf8');
    writeFileSync(join(changed, 'transcript.json'), text.replace('holder-1', 'holder-7'));
    expect(await by('sign-transcript', 'holder-2', changed)).toMatchObject(refused('ceremony', /a line was changed/));
  });

  it('says how far the ceremony is', async () => {
    const { stdout } = await step('status');
    expect(stdout).toMatch(/holder-1 .* signed root and transcript/);
    expect(stdout).toMatch(/Next: the log/);
    const { holders: all } = (await steleJson(['ceremony', 'status', main()])) as {
      holders: { signedRoot: boolean }[];
    };
    expect(all.map(({ signedRoot }) => signedRoot)).toEqual([true, true, false]);
  });

  it('prints the script of the day, with what is known by now', async () => {
    const { stdout } = await step('script');
    const { stdout: empty } = await step('script', await prepare('script'));
    for (const text of [stdout, empty]) {
      expect(text).toContain('# Ceremony: root of example.com');
      expect(text).toContain('tpm2_dictionarylockout --clear-lockout');
      for (const holder of holders.keys()) expect(text).toContain(`--holder ${holder}`);
    }
    expect((await step('script', await prepare('of two words'))).stdout).toContain(`begin '${at('of two words')}' --`);
    const { package: of } = JSON.parse(steps().split('\n')[0]!);
    expect(stdout).toContain(of.sha256.match(/.{4}/g).join(' '));
    expect(empty).not.toContain(of.sha256.match(/.{4}/g).join(' '));
  });

  describe('and a log', () => {
    let server: ServeProcess;
    let bundles: string;
    let key: string;
    const verify = (root: string, file: string, ...trust: string[]) =>
      stele(['verify', root, '--ceremony', file, ...(trust.length === 0 ? ['--log-key', key] : trust)], {
        cwd: dir.path,
      });
    const root = () => join(main(), '1.root.json');

    beforeAll(async () => {
      server = await startServer(at('data'));
      [key] = server.verifierKeys as [string];
      bundles = join(main(), 'transcript.sigstore.jsonl');
      const logged = await step('log', main(), '--log', server.url, '--log-key', key);
      expect(logged).toMatchObject({ code: 0, stdout: expect.stringContaining('0, 1') });
      const file = readFileSync(bundles, 'utf8');
      expect(await step('log', main(), '--log', server.url, '--log-key', key)).toMatchObject({ code: 0 });
      expect(readFileSync(bundles, 'utf8').split('\n').length).toBe(file.split('\n').length);
    });
    afterAll(() => server?.kill());

    it('verifies with the repository that begins with its root, which the same tokens lead on to the next root', async () => {
      const repository = join(main(), 'repository');
      const trust = async (name: string, ...args: string[]) => {
        const ran = await stele(['trust', name, ...args], { cwd: dir.path });
        expect(ran.code, ran.stderr).toBe(0);
      };
      const signWith = async (role: string, ...names: string[]) => {
        for (const name of names) {
          const { env, pinFile } = holders.get(name)!;
          const { token, label } = keyIn(name);
          const key = ['--pkcs11-module', SOFTHSM_MODULE!, '--token', token, '--label', label, '--pin-file', pinFile];
          const ran = await stele(['trust', 'sign', repository, '--role', role, ...key, '--yes'], { env });
          expect(ran.code, ran.stderr).toBe(0);
        }
      };
      const keyIn = (name: string) => {
        const all = steps().trimEnd().split('\n');
        const { token, label } = all
          .map((line) => JSON.parse(line))
          .find(({ step: kind, holder }) => {
            return kind === 'key' && holder === name;
          });
        return { token: token.label as string, label: label as string };
      };
      const published = () =>
        new Map(
          readdirSync(join(repository, 'public'), { recursive: true, withFileTypes: true }).flatMap((entry) => {
            const path = join(entry.parentPath, entry.name);
            return entry.isFile() ? [[relative(join(repository, 'public'), path), readFileSync(path)] as const] : [];
          }),
        );
      await trust('files', at('trust'), '--log', server.url, '--log-key', key);
      await trust('stage', repository, at('trust'));
      await signWith('targets', 'holder-1', 'holder-2');
      await trust('publish', repository, '--key', at('online.pem'));
      const mirror = await startMirror(published());
      const env = { STELE_TRUST: at('followed') };
      try {
        expect(await stele(['trust', 'use', mirror.url, '--root', root()], { env })).toMatchObject({ code: 0 });
        const asked = mirror.requests.length;
        const verified = await stele(['verify', root(), '--ceremony', bundles], { env });
        expect(verified, verified.stderr).toMatchObject({
          code: 0,
          stdout: expect.stringContaining('OK: 1.root.json'),
        });
        expect(mirror.requests).toHaveLength(asked);

        // The next root: a fourth holder in the place of the third. One of the two tokens is not enough.
        await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('holder-4.pem')]);
        const fourth = ['--holder', 'holder-4', '--public-key', at('holder-4.pub.pem'), '--role', 'root', 'targets'];
        await trust('add-key', repository, ...fourth);
        await trust('remove-key', repository, '--holder', 'holder-3');
        await signWith('root', 'holder-1');
        const early = await stele(['trust', 'publish', repository, '--role', 'root', '--key', at('online.pem')]);
        expect(early).toMatchObject({ code: 1, stderr: expect.stringMatching(/error \[tuf-signatures\].*root/s) });
        await signWith('root', 'holder-2');
        await trust('publish', repository, '--key', at('online.pem'));
        mirror.files = published();
        expect(await stele(['trust', 'update'], { env })).toMatchObject({ code: 0 });
        expect(await steleJson(['trust', 'show'], { env })).toMatchObject({ root: { version: 2 } });
      } finally {
        await mirror.close();
      }
    });

    it('verifies offline, and says what the word of a token is worth', async () => {
      await server.kill();
      const { code, stdout } = await verify(root(), bundles);
      expect(code).toBe(0);
      expect(stdout).toContain('OK: 1.root.json was made in the ceremony "root of example.com"');
      expect(stdout).toMatch(/signatures +of the root by holder-1, holder-2; 2 are needed/);
      expect(stdout).toMatch(/transcript +signed by holder-3, holder-1; 2 are needed/);
      expect(stdout).toMatch(/Not proven:.*No manufacturer attests them.*SoftHSM is software/s);
      const json = JSON.parse((await verify(root(), bundles, '--log-key', key, '--json')).stdout);
      expect(json).toMatchObject({
        ok: true,
        attested: false,
        threshold: 2,
        signedTranscript: ['holder-3', 'holder-1'],
      });
      expect(stdout.match(/^ {2}programs +Node v.*, with SHA-256 [0-9a-f]{64}$/gm)).toHaveLength(2);
      expect(stdout).toMatch(/Not proven:.*same programs: the steps record 2 different sets/s);
      expect(json.programs).toHaveLength(2);
      expect(json.keys).toHaveLength(3);
      expect(json.notProven.join('\n')).toContain('SoftHSM is software');
    });

    it('refuses another root, another log, and what is not logged', async () => {
      const other = at('other.root.json');
      writeFileSync(other, readFileSync(root(), 'utf8').replace('"threshold": 2', '"threshold": 1'));
      expect(await verify(other, bundles)).toMatchObject(refused('ceremony', /about a root/));
      const stranger = await steleJson(['keygen', '--out', at('stranger.pem'), '--origin', 'localhost']);
      expect(await verify(root(), bundles, '--log-key', String(stranger.verifierKey))).toMatchObject(
        refused('bad-checkpoint', /./),
      );
      expect(await verify(root(), join(main(), 'transcript.dsse.json'))).toMatchObject(
        refused('unsupported', /no Sigstore bundle/, 2),
      );
      expect(await verify(root(), bundles, '--log-key', key, '--key', 'x.pem')).toMatchObject(
        refused('usage', /--key/, 2),
      );
    });

    it('refuses one signature where two are needed, also when it comes twice', async () => {
      const [first] = readFileSync(bundles, 'utf8').split('\n');
      for (const text of [`${first}\n`, `${first}\n${first}\n`]) {
        writeFileSync(at('one.jsonl'), text);
        expect(await verify(root(), at('one.jsonl'))).toMatchObject(refused('ceremony', /and 1 did: holder-3/));
      }
    });

    it('refuses a transcript with a changed line', async () => {
      const changed = readFileSync(bundles, 'utf8').replace(/"payload":"([^"]*)"/g, (_, payload: string) => {
        const text = Buffer.from(payload, 'base64').toString().replace('"local":true', '"local":false');
        return `"payload":"${Buffer.from(text).toString('base64')}"`;
      });
      writeFileSync(at('changed.jsonl'), changed);
      expect(await verify(root(), at('changed.jsonl'))).toMatchObject(refused('ceremony', /does not follow/));
      // The last step has no step after it: its change shows in the signatures.
      const last = readFileSync(bundles, 'utf8').replace(/"payload":"([^"]*)"/g, (_, payload: string) => {
        const text = Buffer.from(payload, 'base64').toString();
        const end = text.lastIndexOf('"time":"20');
        return `"payload":"${Buffer.from(`${text.slice(0, end)}"time":"19${text.slice(end + 10)}`).toString('base64')}"`;
      });
      writeFileSync(at('last.jsonl'), last);
      expect(await verify(root(), at('last.jsonl'))).toMatchObject(refused('ceremony', /by no holder/));
    });
  });
});
