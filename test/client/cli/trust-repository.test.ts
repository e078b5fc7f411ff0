/** The commands of a TUF repository as its operator and its holders run them. Built first (`npm test` does). */
import { createHash, createPublicKey } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { canonicalize } from '@tufjs/canonical-json';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { stele, steleJson } from '../../support/serve.ts';
import { skips } from '../../support/skip.ts';
import { NO_SOFTHSM, startSoftHsm } from '../../support/softhsm.ts';
import { NO_SSH_AGENT, startSshAgent } from '../../support/ssh-agent.ts';
import { readAsClient } from '../trust/tuf/repository.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
const at = (...names: string[]) => join(dir.path, ...names);
const cwd = () => ({ cwd: dir.path });
const trust = (...args: string[]) => stele(['trust', ...args], cwd());
const trustJson = (...args: string[]) => steleJson(['trust', ...args], cwd());
const fails = async (args: string[], status: number, code: string, why: RegExp) => {
  const { code: exit, stdout, stderr } = await trust(...args, '--json');
  expect(JSON.parse(stdout), stderr).toMatchObject({ ok: false, error: { code, message: expect.stringMatching(why) } });
  expect(exit).toBe(status);
};

const PLAN = `holders:
  holder-1: holder-1.pub.pem
  holder-2: holder-2.pub.pem
  online: online.pub.pem
root: { holders: [holder-1, holder-2], threshold: 2 }
targets: { holders: [holder-1, holder-2], threshold: 1 }
snapshot: { holders: [online] }
timestamp: { holders: [online] }
`;

beforeAll(async () => {
  dir = await tempDir();
  for (const [name, algorithm] of [
    ['holder-1', 'ed25519'],
    ['holder-2', 'ecdsa-p256'],
    ['holder-3', 'ed25519'],
    ['online', 'ed25519'],
  ]) {
    await steleJson(['keygen', '--out', `${name}.pem`, '--algorithm', algorithm!], cwd());
  }
  writeFileSync(at('plan.yaml'), PLAN);
  mkdirSync(at('files', 'sub'), { recursive: true });
  writeFileSync(at('files', 'policy'), 'quorum none\n');
  writeFileSync(at('files', 'sub', 'x.json'), '{}\n');
});
afterAll(() => dir.remove());

describe('stele trust', () => {
  it('refuses a wrong plan with its line, and makes nothing', async () => {
    writeFileSync(at('wrong.yaml'), PLAN.replace('threshold: 2', 'threshold: 3'));
    await fails(
      ['init', 'none', '--plan', 'wrong.yaml'],
      2,
      'trust',
      /"root.threshold" \(line 5\) is 3: it must be from 1 to 2/,
    );
    await fails(['init', 'none', '--plan', 'nothing.yaml'], 2, 'file', /cannot be read/);
    await fails(['status', 'none'], 2, 'trust', /no TUF repository/);
    expect(existsSync(at('none'))).toBe(false);
  });

  it('leads from a plan to a published repository, with holders elsewhere', async () => {
    expect(await trustJson('init', 'r', '--plan', 'plan.yaml')).toMatchObject({
      staged: [
        { role: 'root', version: 1 },
        { role: 'targets', version: 1 },
      ],
    });
    await fails(['init', 'r', '--plan', 'plan.yaml'], 2, 'trust', /holds a TUF repository already/);
    expect(await trustJson('stage', 'r', 'files')).toMatchObject({ targets: ['policy', 'sub/x.json'] });
    const empty = await trust('status', 'r');
    expect(empty.code).toBe(1);
    expect(empty.stdout).toContain(
      '"root" version 1 lacks 2 of 2 signatures by version 1 of root: holder-1, holder-2 can sign',
    );

    // Without a terminal and without --yes nothing is signed, but everything is shown.
    const before = readFileSync(at('r', 'staged', 'root.json'));
    const shown = await trust('sign', 'r', '--key', 'holder-1.pem');
    expect(shown.code).toBe(2);
    expect(shown.stderr).toMatch(
      /root: ADDS holder-1, Ed25519, key ID [0-9a-f]{64}[\s\S]*ADDS policy: 12 bytes, SHA-256[\s\S]*add --yes/,
    );
    expect(readFileSync(at('r', 'staged', 'root.json'))).toEqual(before);

    const { signed } = (await trustJson('sign', 'r', '--key', 'holder-1.pem', '--yes')) as {
      signed: { role: string; digest: string }[];
    };
    expect(signed.map(({ role }) => role)).toEqual(['root', 'targets']);
    const json = JSON.parse(readFileSync(at('r', 'staged', 'root.json'), 'utf8'));
    expect(signed[0]!.digest).toBe(createHash('sha256').update(canonicalize(json.signed)).digest('hex'));
    await fails(['publish', 'r', '--key', 'online.pem'], 1, 'tuf-signatures', /"root" needs valid signatures of 2/);

    // The second holder gets one file, and sends back another one.
    mkdirSync(at('elsewhere'));
    copyFileSync(at('r', 'staged', 'root.json'), at('elsewhere', 'root.json'));
    await fails(['sign', 'elsewhere/root.json', '--key', 'holder-3.pem', '--yes'], 2, 'key', /may not sign root/);
    await trustJson('sign', 'elsewhere/root.json', '--key', 'holder-2.pem', '--yes', '--out', 'copy.json');
    expect(await trustJson('stage', 'r', '--signed', 'copy.json')).toMatchObject({
      taken: [{ role: 'root', signatures: 1 }],
    });
    writeFileSync(at('forged.json'), readFileSync(at('copy.json'), 'utf8').replace('"threshold": 2', '"threshold": 1'));
    await fails(['stage', 'r', '--signed', 'forged.json'], 2, 'trust', /not what is staged/);

    await fails(['publish', 'r', '--key', 'holder-1.pem'], 2, 'key', /online key/);
    await fails(['publish', 'r'], 2, 'usage', /say which key signs/);
    expect(readdirSync(at('r', 'public'))).toEqual(['targets']);
    const { published } = (await trustJson('publish', 'r', '--key', 'online.pem')) as { published: { role: string }[] };
    expect(published.map(({ role }) => role)).toEqual(['root', 'targets', 'snapshot', 'timestamp']);
    expect(readAsClient(at('r'), Date.now()).targets).toEqual({ policy: 'quorum none\n', 'sub/x.json': '{}\n' });
    expect(await trustJson('status', 'r')).toMatchObject({
      ok: true,
      todo: [],
      targets: [{ name: 'policy', role: 'targets' }, { name: 'sub/x.json' }],
    });
    expect((await trust('publish', 'r', '--key', 'online.pem')).stdout).toBe('Everything is public already.\n');
  });

  it('says which public file is lost or damaged, and what to do', async () => {
    cpSync(at('r'), at('broken'), { recursive: true });
    const file = (...names: string[]) => at('broken', 'public', ...names);
    const spoilt = async (name: string, content: string, args: string[], status: number, why: RegExp) => {
      const before = existsSync(file(name)) ? readFileSync(file(name)) : undefined;
      writeFileSync(file(name), content);
      await fails(args, status, status === 2 ? 'trust' : 'tuf-malformed', why);
      if (before === undefined) rmSync(file(name));
      else writeFileSync(file(name), before);
    };
    for (const name of ['timestamp.json', '1.snapshot.json', '1.targets.json', '1.root.json']) {
      const why = new RegExp(`broken/public is damaged: .*${name} is empty.* Bring the file back`);
      await spoilt(name, '', ['status', 'broken'], 1, why);
    }
    writeFileSync(at('next'), 'next\n');
    // A version 2^53 would be refused by every command after it.
    const stage = ['stage', 'broken', 'next'];
    await spoilt('9007199254740991.targets.json', '', stage, 2, /the last version that there can be: remove/);
    expect(existsSync(at('broken', 'staged', 'targets.json'))).toBe(false);
    expect((await trust('status', 'broken')).code).toBe(0);
    const [policy] = readdirSync(file('targets')).filter((name) => name.endsWith('.policy'));
    truncateSync(file('targets', policy!), 3);
    const { code, stdout } = await trust('status', 'broken');
    expect(stdout).toContain('the file of the target policy is lost or cut off in public/targets: bring it back');
    expect(code).toBe(1);
  });

  it('leaves out nothing of a directory without a word', async () => {
    mkdirSync(at('linked'));
    symlinkSync(at('files', 'policy'), at('linked', 'policy'));
    await fails(['stage', 'r', 'linked'], 2, 'file', /linked\/policy is no regular file/);
    expect(existsSync(at('r', 'staged', 'targets.json'))).toBe(false);
  });

  it('tells a holder that a version is not the next one', async () => {
    cpSync(at('r'), at('ahead'), { recursive: true });
    writeFileSync(at('more'), 'more\n');
    await trustJson('stage', 'ahead', 'more');
    const file = at('ahead', 'staged', 'targets.json');
    const sign = () => trust('sign', 'ahead', '--role', 'targets', '--key', 'holder-1.pem', '--yes');
    const { signed } = JSON.parse(readFileSync(file, 'utf8'));
    expect((await sign()).stderr).not.toContain('NOTE');
    const ahead = { signed: { ...signed, version: signed.version + 8 }, signatures: [] };
    writeFileSync(file, JSON.stringify(ahead));
    const why = `version ${signed.version + 8} is not the next one, as version ${signed.version - 1} is the one before it`;
    expect((await sign()).stderr).toContain(`NOTE: ${why}: ask why`);
  });

  it('tells a holder that the version was changed after another one signed it', async () => {
    await trustJson('init', 'changed', '--plan', 'plan.yaml');
    await trustJson('sign', 'changed', '--key', 'holder-1.pem', '--yes');
    const file = at('changed', 'staged', 'targets.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"version": 1', '"version": 2'));
    const { stderr } = await trust('sign', 'changed', '--role', 'targets', '--key', 'holder-2.pem', '--yes');
    expect(stderr).toContain('NOTE: the signature of holder-1 in it does not hold: holder-1 signed something else');
    expect(stderr).toContain('NOTE: version 2 is not the next one, as no version before it is published: ask why');
    const root = await trust('sign', 'changed', '--role', 'root', '--key', 'holder-2.pem', '--yes');
    expect(root.stderr).not.toContain('NOTE');
  });

  it('says why there is nothing to sign', async () => {
    await trustJson('init', 'nothing', '--plan', 'plan.yaml');
    const sign = (dir: string, ...more: string[]) => ['sign', dir, '--key', 'holder-1.pem', '--yes', ...more];
    await fails(sign('nothing', '--role', 'team'), 2, 'trust', /no version of team waits .* staged are root, targets/);
    // A plan alone, as where init was forgotten.
    mkdirSync(at('plan-only'));
    for (const name of ['plan.yaml', 'holder-1.pub.pem', 'holder-2.pub.pem', 'online.pub.pem']) {
      copyFileSync(at(name), at('plan-only', name));
    }
    await fails(
      ['stage', 'plan-only', 'files'],
      2,
      'trust',
      /nothing was ever published, run `mkdir -p plan-only\/public\/targets`/,
    );
    mkdirSync(at('plan-only', 'public', 'targets'), { recursive: true });
    await trustJson('stage', 'plan-only', 'files');
    await fails(sign('plan-only'), 2, 'trust', /plan-only has no root that says whose keys sign/);
  });

  it('signs carried targets only beside what they follow', async () => {
    writeFileSync(at('new.txt'), 'new\n');
    await trustJson('stage', 'r', 'new.txt', '--as', 'notes/new.txt', '--remove', 'sub/x.json');
    copyFileSync(at('r', 'staged', 'targets.json'), at('elsewhere', 'targets.json'));
    copyFileSync(at('r', 'public', '1.root.json'), at('elsewhere', '1.root.json'));
    copyFileSync(at('r', 'public', '1.targets.json'), at('elsewhere', '1.targets.json'));
    const sign = ['sign', 'elsewhere/targets.json', '--key', 'holder-1.pem', '--yes', '--out', 'targets.copy'];
    await fails(sign, 2, 'usage', /is version 2 of "targets": give the published version before it/);
    await fails([...sign, '--published', 'elsewhere/1.targets.json'], 2, 'usage', /give the root with --published/);
    const { signed } = await trustJson(...sign, '--published', 'elsewhere/1.root.json', 'elsewhere/1.targets.json');
    expect(signed).toMatchObject([
      {
        changes: [
          expect.stringMatching(/^expires/),
          expect.stringMatching(/^ADDS notes\/new.txt: 4 bytes/),
          'REMOVES sub/x.json',
        ],
      },
    ]);
    await trustJson('stage', 'r', '--signed', 'targets.copy');
    await trustJson('publish', 'r', '--key', 'online.pem');
    expect(readAsClient(at('r'), Date.now()).targets).toEqual({ policy: 'quorum none\n', 'notes/new.txt': 'new\n' });
  });

  it('refuses targets and changes of keys that could not be published', async () => {
    await fails(['stage', 'r', '--remove', 'nothing'], 2, 'trust', /has no target nothing/);
    await fails(['stage', 'r', 'new.txt', '--as', '../new.txt'], 2, 'trust', /no name of a target/);
    await fails(['stage', 'r', 'new.txt', '--role', 'team'], 2, 'trust', /"team" holds no targets/);
    await fails(['stage', 'r', 'new.txt', 'files/policy', '--as', 'x'], 2, 'usage', /--as names one target/);
    await fails(['remove-key', 'r', '--holder', 'holder-1'], 2, 'trust', /root.threshold is 2: it must be from 1 to 1/);
    await fails(['remove-key', 'r', '--holder', 'nobody'], 2, 'usage', /knows no holder "nobody"/);
    const add = ['add-key', 'r', '--holder', 'twin', '--role', 'root', '--public-key'];
    await fails([...add, 'holder-1.pub.pem'], 2, 'trust', /same key as holder-1/);
    await fails([...add, 'holder-1.pem'], 2, 'key', /must hold one PEM block "PUBLIC KEY"/);
    await fails(['add-key', 'r', '--holder', 'holder-1', '--role', 'root'], 2, 'usage', /signs "root" already/);
    await fails(['expire', 'r', '--role', 'timestamp'], 2, 'usage', /give their period with --in/);
    await fails(['expire', 'r', '--role', 'nothing'], 2, 'trust', /"nothing" is no role/);
    await fails(['expire', 'r', '--role', 'root', '--in', '1w'], 2, 'usage', /written as 12h or 90d/);
    expect(await trustJson('status', 'r')).toMatchObject({ ok: true });
  });

  it('replaces a holder and a period, and says so to the holders', async () => {
    await trustJson(
      'add-key',
      'r',
      '--holder',
      'holder-3',
      '--public-key',
      'holder-3.pub.pem',
      '--role',
      'root',
      'targets',
    );
    await trustJson('remove-key', 'r', '--holder', 'holder-2', '--role', 'root');
    await trustJson('expire', 'r', '--role', 'targets', '--in', '30d');
    const { signed } = (await trustJson(
      'sign',
      'r',
      '--key',
      'holder-1.pem',
      'holder-2.pem',
      'holder-3.pem',
      '--yes',
    )) as {
      signed: { role: string; holder: string; changes: string[] }[];
    };
    expect(signed.map(({ role, holder }) => `${role} ${holder}`)).toEqual([
      'root holder-1',
      'root holder-2',
      'root holder-3',
      'targets holder-1',
      'targets holder-2',
      'targets holder-3',
    ]);
    expect(signed[0]!.changes.join('\n')).toMatch(
      /root: ADDS holder-3[\s\S]*root: REMOVES holder-2[\s\S]*targets: who must sign 1 of 3 \(before: 1 of 2\)/,
    );
    await trustJson('publish', 'r', '--key', 'online.pem');
    expect(readAsClient(at('r'), Date.now()).versions).toMatchObject({ root: 2, 'targets.json': 3 });
    expect(readFileSync(at('r', 'plan.yaml'), 'utf8')).toContain('expires: 30d');
  });

  it.skipIf(skips('a repository with keys in a token and an agent', NO_SOFTHSM ?? NO_SSH_AGENT))(
    'signs with keys in a token and in an ssh-agent',
    async () => {
      const [hsm, agent] = [(await startSoftHsm())!, await startSshAgent()];
      try {
        await hsm.initToken('holder-1', '1234');
        const pin = await hsm.pinFile('1234');
        const token = ['--pkcs11-module', hsm.module, '--token', 'holder-1', '--label', 'root', '--pin-file', pin];
        const made = await steleJson(['keygen', ...token, '--algorithm', 'ecdsa-p256'], { ...cwd(), env: hsm.env });
        writeFileSync(at('token.pem'), String(made.publicKey));
        const { line, fingerprint } = await agent.add('ed25519');
        const raw = Buffer.from(line.split(' ')[1]!, 'base64').subarray(-32);
        const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
        writeFileSync(
          at('agent.pem'),
          createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }),
        );
        writeFileSync(at('hardware.yaml'), PLAN.replace('holder-1.pub', 'token').replace('holder-2.pub', 'agent'));
        await trustJson('init', 'h', '--plan', 'hardware.yaml');
        await steleJson(['trust', 'sign', 'h', ...token, '--yes'], { ...cwd(), env: hsm.env });
        const env = { SSH_AUTH_SOCK: agent.socket };
        await steleJson(['trust', 'sign', 'h', '--agent-key', fingerprint, '--role', 'root', '--yes'], {
          ...cwd(),
          env,
        });
        await trustJson('publish', 'h', '--key', 'online.pem');
        expect(readAsClient(at('h'), Date.now()).versions).toMatchObject({ root: 1 });
      } finally {
        await agent.stop();
        await hsm.stop();
      }
    },
  );
});
