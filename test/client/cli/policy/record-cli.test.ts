/** `stele record` and `stele decide --layout`, as users run them, with a log of this test. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Functionary, layoutOf, metablock, newFunctionary, type StepPlan } from '../../../support/layout-maker.ts';
import { CLI } from '../../../support/serve.ts';
import { type Ran, SteleIn } from '../../../support/stele-in.ts';
import { until } from '../../../support/until.ts';

let stele: SteleIn;
let log: string[];
const [owner, builder, rsa, ed] = [newFunctionary(), newFunctionary('P-256'), newFunctionary('rsa'), newFunctionary()];
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const keyFile = (name: string, { privatePem }: Functionary) => {
  stele.write(name, privatePem);
  chmodSync(stele.path(name), 0o600);
};

beforeAll(async () => {
  stele = await SteleIn.start();
  log = ['--log', stele.log.url, '--log-key', stele.log.vkey];
  keyFile('builder.pem', builder);
  keyFile('rsa.pem', rsa);
  keyFile('ed.pem', ed);
  stele.write('owner.pub', owner.publicPem);
  mkdirSync(stele.path('src'));
  stele.write('src/a.c', 'int main;');
}, 60_000);
afterAll(() => stele.end());

const COPY = ['--', 'cp', 'src/a.c', 'app'];
const build = (...args: readonly string[]) =>
  stele.run('record', '-n', 'build', '-m', 'src', '-p', 'app', ...args, ...COPY);
const json = ({ out }: Ran) => JSON.parse(out);
/** The statement and the link that a bundle or a link file holds. */
const payloadOf = (name: string) => {
  const file = JSON.parse(readFileSync(stele.path(name), 'utf8'));
  return JSON.parse(Buffer.from((file.dsseEnvelope ?? file).payload, 'base64').toString());
};

describe('stele record', () => {
  it('logs a statement about the products, with the materials and the command', async () => {
    const ran = await build('--key', 'builder.pem', ...log, '--json');
    expect(ran.status, ran.err).toBe(0);
    expect(json(ran)).toMatchObject({
      ok: true,
      bundle: 'build.link.sigstore.json',
      predicateType: 'https://in-toto.io/attestation/link/v0.3',
      step: 'build',
      returnValue: 0,
      materials: 1,
      products: 1,
      log: { origin: 'localhost' },
    });
    expect(payloadOf('build.link.sigstore.json')).toEqual({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'app', digest: { sha256: sha256('int main;') } }],
      predicateType: 'https://in-toto.io/attestation/link/v0.3',
      predicate: {
        name: 'build',
        command: ['cp', 'src/a.c', 'app'],
        materials: [{ name: 'src/a.c', digest: { sha256: sha256('int main;') } }],
        byproducts: { 'return-value': 0, stdout: '', stderr: '' },
        environment: {},
      },
    });
    const verify = ['verify', 'app', '--bundle', 'build.link.sigstore.json', '--policy', 'quorum'];
    stele.write('builder.pub', builder.publicPem);
    expect((await stele.run(...verify, '--key', 'builder.pub', '--type', 'link03')).status).toBe(0);
    stele.write('changed', 'int mein;');
    const other = await stele.run('verify', 'changed', ...verify.slice(2), '--key', 'builder.pub', '--type', 'link03');
    expect(other.status).toBe(1);
  });

  it('signs nothing where the command fails, and says so; with --sign-failed it signs what happened', async () => {
    const run = (...args: readonly string[]) =>
      stele.run(
        'record',
        '-n',
        'fails',
        '-p',
        'src',
        '--key',
        'builder.pem',
        '--no-log',
        ...args,
        '--',
        'sh',
        '-c',
        'exit 7',
      );
    const ran = await run('--json');
    expect(ran.status).toBe(1);
    expect(json(ran).error).toMatchObject({
      code: 'command',
      message: expect.stringContaining('status 7: nothing was signed'),
    });
    expect(existsSync(stele.path('fails.link.sigstore.json'))).toBe(false);
    const signed = await run('--sign-failed');
    expect(signed.status).toBe(1);
    expect(payloadOf('fails.link.sigstore.json').predicate.byproducts['return-value']).toBe(7);
  });

  it('cannot try where the program is not there, no shell is asked for, or an option is wrong', async () => {
    const record = (...args: readonly string[]) => stele.run('record', '--key', 'builder.pem', '--no-log', ...args);
    for (const args of [
      ['-n', 'x', '-p', 'app', '--', 'no-such-program'],
      ['-n', 'x', '-p', 'app', '--', 'cp src/a.c app'],
      ['-n', 'x', '-p', 'app', '--'],
      ['-n', '../x', '-p', 'app', '--', 'true'],
      ['-n', 'a*', '-p', 'app', '--', 'true'],
      ['-n', '', '-p', 'app', '--', 'true'],
      ['-n', 'x', '--', 'true'],
      ['-p', 'app', '--', 'true'],
      ['-n', 'x', '-p', 'app', '--link-form', 'xml', '--', 'true'],
    ]) {
      const { status, err } = await record(...args);
      expect({ args, status, err }).toMatchObject({ status: 2, err: expect.stringMatching(/error \[usage\]/) });
    }
    const { status } = await stele.run(
      'record',
      '-n',
      'x',
      '-p',
      'app',
      '--key',
      'none.pem',
      '--no-log',
      '--',
      'touch',
      'ran',
    );
    expect(status).toBe(2);
    // The key and the trust are looked at before the command runs.
    expect(existsSync(stele.path('ran'))).toBe(false);
  });

  it('passes the words of the command as they are, and what they print, and records it where asked', async () => {
    const echo = ['--', 'printf', '%s', '$HOME; --json "x"'];
    const record = ['record', '-n', 'echo', '-p', 'src', '--key', 'builder.pem', '--no-log'];
    expect((await stele.run(...record, ...echo)).out).toMatch(/^\$HOME; --json "x"/);
    const aside = await stele.run(...record, '--json', '--record-streams', ...echo);
    expect(json(aside).ok).toBe(true);
    expect(aside.err).toContain('$HOME; --json "x"');
    const { predicate } = payloadOf('echo.link.sigstore.json');
    expect(predicate.byproducts).toEqual({ 'return-value': 0, stdout: '$HOME; --json "x"', stderr: '' });
    expect(predicate.command).toEqual(echo.slice(1));
    const long = ['--', process.execPath, '-e', "process.stdout.write('x'.repeat(200000))"];
    await stele.done(...record, '--record-streams', ...long);
    const cut = payloadOf('echo.link.sigstore.json').predicate.byproducts;
    expect(cut).toMatchObject({ stdout: 'x'.repeat(65_536), 'stdout-cut': true, stderr: '' });
  });

  it('passes signals to the command, signs nothing then, and ends with 130', async () => {
    const ready = stele.path('ready');
    const script = `trap 'echo > ${stele.path('stopped')}; exit 0' TERM; echo > ${ready}; while :; do sleep 0.05; done`;
    const child = spawn(
      process.execPath,
      [CLI, 'record', '-n', 'long', '-p', 'src', '--key', 'builder.pem', '--no-log', '--', 'sh', '-c', script],
      { cwd: stele.dir, stdio: 'ignore' },
    );
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await until(() => existsSync(ready));
    child.kill('SIGTERM');
    expect(await ended).toBe(130);
    expect(existsSync(stele.path('stopped'))).toBe(true);
    expect(existsSync(stele.path('long.link.sigstore.json'))).toBe(false);
  });

  it('records links to files under their own names, leaves out what --exclude names, and refuses what is no file', async () => {
    mkdirSync(stele.path('tree/sub'), { recursive: true });
    stele.write('tree/a', 'A');
    stele.write('tree/sub/b.o', 'B');
    stele.write('tree/-', 'dash');
    symlinkSync('a', stele.path('tree/to-a'));
    symlinkSync('sub', stele.path('tree/to-sub'));
    const record = (...args: readonly string[]) =>
      stele.run('record', '-n', 'tree', ...args, '--key', 'builder.pem', '--no-log', '--', 'true');
    const names = () => payloadOf('tree.link.sigstore.json').subject.map((one: { name: string }) => one.name);
    const { err } = await record('-p', './tree/', '-p', 'tree/a');
    expect(names()).toEqual(['tree/-', 'tree/a', 'tree/sub/b.o', 'tree/to-a']);
    expect(err).toContain('1 symbolic links to folders were not followed');
    await record('-p', 'tree', '--exclude', '*.o', '--exclude', 'tree/to-?');
    expect(names()).toEqual(['tree/-', 'tree/a']);
    await record('-p', 'tree', '--exclude', 'tree/sub');
    expect(names()).not.toContain('tree/sub/b.o');
    symlinkSync('nowhere', stele.path('tree/dangling'));
    expect(await record('-p', 'tree')).toMatchObject({
      status: 2,
      err: expect.stringContaining('tree/dangling cannot be recorded'),
    });
    rmSync(stele.path('tree/dangling'));
    execFileSync('mkfifo', [stele.path('tree/pipe')]);
    expect(await record('-m', 'tree', '-p', 'app')).toMatchObject({
      status: 2,
      err: expect.stringContaining('it is a pipe'),
    });
    rmSync(stele.path('tree/pipe'));
    expect(await record('-p', 'not-there')).toMatchObject({
      status: 2,
      err: expect.stringContaining('it is not there'),
    });
  });

  it('keeps the link alone of a step without products, where that is asked for', async () => {
    const record = (...args: readonly string[]) =>
      stele.run('record', '-n', 'test', '-m', 'src', '--key', 'builder.pem', ...args, '--', 'true');
    expect(await record(...log)).toMatchObject({
      status: 2,
      err: expect.stringContaining('the step made no products'),
    });
    const ran = await record('--link-dir', 'alone', '--no-log', '--json');
    expect(json(ran)).toMatchObject({ ok: true, step: 'test', products: 0, logged: false });
    expect(readdirSync(stele.path('alone'))).toEqual([`test.${builder.keyId.slice(0, 8)}.link`]);
  });
});

describe('stele decide --layout', () => {
  const plan = (by: Functionary, more: Partial<StepPlan> = {}): StepPlan => ({
    name: 'build',
    keys: [by],
    materials: [
      ['ALLOW', 'src/*'],
      ['DISALLOW', '*'],
    ],
    products: [
      ['CREATE', 'app'],
      ['DISALLOW', '*'],
    ],
    ...more,
  });
  const layout = (name: string, ...steps: readonly StepPlan[]) => stele.write(name, metablock(layoutOf(steps), owner));
  const decide = (name: string, links: string, ...args: readonly string[]) =>
    stele.run('decide', '--layout', name, '--layout-key', 'owner.pub', '--links', links, ...args);

  it.each([
    ['builder.pem', builder],
    ['rsa.pem', rsa],
    ['ed.pem', ed],
  ])('allows what stele record made with %s in both forms, and denies a changed product', async (key, by) => {
    layout('root.layout', plan(by));
    for (const form of ['dsse', 'metablock']) {
      const links = `links-${key}-${form}`;
      const ran = await build('--key', key, '--no-log', '--link-dir', links, '--link-form', form);
      expect(ran.status, ran.err).toBe(0);
      const file = `${links}/build.${by.keyId.slice(0, 8)}.link`;
      expect(ran.err).toContain(`wrote the link ${file}`);
      const allowed = await decide('root.layout', links, '--json', 'app');
      expect(json(allowed), allowed.out).toMatchObject({
        ok: true,
        verdict: 'allow',
        layout: { file: 'root.layout', keys: [owner.keyId] },
        steps: [
          { name: 'build', holds: true, links: [{ file: file.slice(links.length + 1), keyId: by.keyId, holds: true }] },
        ],
      });
      const bytes = readFileSync(stele.path(file));
      expect(json(allowed).steps[0].links[0].digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
      stele.write('other', 'another product');
      const other = await decide('root.layout', links, '--json', 'other');
      expect(other.status).toBe(1);
      expect(json(other)).toMatchObject({ verdict: 'deny', reasons: [{ code: 'not-a-product' }] });
    }
  });

  it('denies with the rule, the link by its digest, and status 1', async () => {
    layout('strict.layout', plan(builder, { materials: [['DISALLOW', 'src/*']] }));
    await build('--key', 'builder.pem', '--no-log', '--link-dir', 'strict');
    const { status, out, err } = await decide('strict.layout', 'strict');
    expect(status).toBe(1);
    expect(out).toContain('DENY: strict.layout');
    expect(out).toContain('materials: rule "DISALLOW src/*": no earlier rule consumed "src/a.c"');
    expect(out).toMatch(/build\.[0-9a-f]{8}\.link, signed by [0-9a-f]{64}\n +sha256:[0-9a-f]{64}/);
    expect(err).toMatch(/^stele: error \[denied\]: strict\.layout: /);
  });

  it('can ask that each link is in a log', async () => {
    layout('root.layout', plan(builder));
    const links = 'logged';
    expect((await build('--key', 'builder.pem', ...log, '--link-dir', links)).status).toBe(0);
    const trust = ['--require-logged', '--quorum-policy', 'quorum'];
    const allowed = await decide('root.layout', links, ...trust, '--json');
    expect(json(allowed), allowed.out).toMatchObject({ ok: true });
    const bundle = `${links}/build.${builder.keyId.slice(0, 8)}.link.sigstore.json`;
    const bytes = readFileSync(stele.path(bundle));
    const denied = async (why: string) => {
      const { status, out } = await decide('root.layout', links, ...trust);
      expect({ status, out }).toMatchObject({ status: 1, out: expect.stringContaining(why) });
      expect(out).toContain('not-logged');
    };
    rmSync(stele.path(bundle));
    await denied('there is no bundle beside it');
    // A bundle without an entry, and of another link.
    await build('--key', 'builder.pem', '--no-log', '--link-dir', 'unlogged');
    stele.write(bundle, readFileSync(stele.path(bundle.replace(links, 'unlogged'))));
    await denied('the bundle beside it does not hold');
    stele.write('src/a.c', 'int changed;');
    await build('--key', 'builder.pem', ...log, '--link-dir', 'later');
    stele.write('src/a.c', 'int main;');
    stele.write(bundle, readFileSync(stele.path(bundle.replace(links, 'later'))));
    await denied('names other products');
    // Of another key.
    await build('--key', 'rsa.pem', ...log, '--out', bundle);
    await denied('the bundle beside it does not hold');
    stele.write(bundle, 'no bundle');
    await denied('the bundle beside it does not hold');
    stele.write(bundle, bytes);
    expect((await decide('root.layout', links, ...trust)).status).toBe(0);
    const strange = await decide(
      'root.layout',
      links,
      '--require-logged',
      '--log-key',
      'other.example.com+1a2b3c4d+AbCd',
    );
    expect(strange.status).toBe(2);
  }, 60_000);

  it('cannot try without keys, links or a layout, and with options of policies', async () => {
    layout('root.layout', plan(builder));
    for (const args of [
      ['--layout', 'root.layout', '--links', 'logged'],
      ['--layout', 'root.layout', '--layout-key', 'owner.pub'],
      ['--layout', 'root.layout', '--layout-key', 'owner.pub', '--links', 'logged', '--policy', 'p.yaml'],
      ['--layout', 'root.layout', '--layout-key', 'owner.pub', '--links', 'logged', '--sarif', 's.json'],
      ['--layout', 'root.layout', '--layout-key', 'owner.pub', '--links', 'no-folder'],
      ['--layout', 'no.layout', '--layout-key', 'owner.pub', '--links', 'logged'],
      ['--layout', 'root.layout', '--layout-key', 'builder.pem', '--links', 'logged'],
      ['app', '--links', 'logged'],
      ['--layout', 'root.layout', '--layout-key', 'owner.pub', '--links', 'logged', '--require-logged'],
    ]) {
      const { status, out } = await stele.run('decide', ...args);
      expect({ args, status, out }).toEqual({ args, status: 2, out: '' });
    }
  });

  it('waits for no pipe in the place of a link', async () => {
    layout('root.layout', plan(builder));
    mkdirSync(stele.path('pipes'));
    execFileSync('mkfifo', [stele.path(`pipes/build.${builder.keyId.slice(0, 8)}.link`)]);
    const { status, err } = await decide('root.layout', 'pipes');
    expect({ status, err }).toMatchObject({ status: 2, err: expect.stringContaining('it is no regular file') });
  });

  it('denies a layout with inspections, without running them', async () => {
    const inspect = [
      {
        _type: 'inspection',
        name: 'x',
        run: ['touch', stele.path('inspected')],
        expected_materials: [],
        expected_products: [],
      },
    ];
    stele.write('inspect.layout', metablock({ ...layoutOf([plan(builder)]), inspect }, owner));
    const { status, out } = await decide('inspect.layout', 'logged');
    expect({ status, out }).toMatchObject({ status: 1, out: expect.stringContaining('inspections') });
    expect(existsSync(stele.path('inspected'))).toBe(false);
  });
});
