/** The walk of docs/operation.md, "From an empty machine", command by command, on five machines with systemd. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { type Machine, type Machines, noMachines, startMachines } from '../support/machine.ts';
import { run } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';

const ROOT = join(import.meta.dirname, '../..');
const text = readFileSync(join(ROOT, 'docs/operation.md'), 'utf8');

/** Prometheus reads the metrics every 15 s, and evaluates the rules every 15 s. */
const PROMETHEUS = { timeout: 120_000, interval: 500 };

/** The commands of a step, block by block. */
function step(heading: string): string[] {
  const begin = text.indexOf(`\n### ${heading}`);
  expect(begin, heading).toBeGreaterThan(0);
  const end = text.indexOf('\n##', begin + 5);
  return [...text.slice(begin, end).matchAll(/^```\n([\s\S]*?)^```/gm)].map(([, block]) => block!);
}

const PROGRAMS = ['nginx', 'prometheus', 'openssl', 'softhsm2-util', 'curl', 'npm', 'g++', 'chroot'];
const unable = (await noMachines()) ?? lacking(...PROGRAMS);

describe.skipIf(skips('the walk of docs/operation.md', unable))('the walk from an empty machine', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let machines: Machines;
  const WITNESSES = ['w1', 'w2', 'w3'] as const;
  const all = ['log', ...WITNESSES, 'monitor'] as const;
  const at = {} as Record<(typeof all)[number], Machine>;
  /** What is printed in the walk, and what has to be put into its place. */
  const printed = new Map<string, string>();
  const filled = (block: string) => [...printed].reduce((script, [here, real]) => script.replaceAll(here, real), block);

  beforeAll(async () => {
    dir = await tempDir();
    machines = await startMachines();
    const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', dir.path], { cwd: ROOT });
    expect(packed.code, packed.stderr).toBe(0);
    const [install] = step('1. Install');
    // What needs a network is done once, on the files that all machines begin with.
    const [online, offline] = [install!.split('\ncd ')[0]!, `cd ${install!.split('\ncd ')[1]!}`];
    await machines.prepare(`cd '${dir.path}'; ${online.replace(/^apt-get .*$/m, ':')}`);
    for (const [i, name] of all.entries()) at[name] = await machines.start(name, `10.9.0.${i + 1}`);
    const hosts = all.map((name, i) => `10.9.0.${i + 1} ${name}.example.com`).join('\n');
    for (const name of all) await at[name].run(`printf '%s\n' '${hosts}' >> /etc/hosts\n${offline}`);
  });
  afterAll(async () => {
    await machines?.stop();
    await dir?.remove();
  });

  const share = async (from: Machine, path: string, to: Machine, target: string, mode = '644') => {
    const bytes = (await from.run(`base64 -w0 '${path}'`)).trim();
    await to.run(
      `mkdir -p "$(dirname '${target}')"; echo '${bytes}' | base64 -d > '${target}'; chmod ${mode} '${target}'`,
    );
  };

  it('makes certificates', async () => {
    const [make, tell] = step('2. Certificates');
    await at.log.run(make!);
    for (const name of all) {
      await share(at.log, 'ca.pem', at[name], '/etc/stele/ca.pem');
      await at[name].run(tell!);
      if (name === 'monitor') continue;
      await share(at.log, `${name}.pem`, at[name], '/etc/stele/tls.pem');
      await share(at.log, `${name}.key`, at[name], '/etc/stele/tls.key', '600');
    }
  });

  it('makes the key of the log in a token', async () => {
    const [make, tell] = step("3. The log's key");
    const said = await at.log.run(make!.replace(/^apt-get .*$/m, ':'));
    printed.set('log.example.com+1a2b3c4d+AbCd…', /log\.example\.com\+\w{8}\+[\w+/=]+/.exec(said)![0]);
    await at.log.run(tell!);
  });

  it('starts three witnesses', async () => {
    const [block] = step('4. The witnesses');
    const keys = ['w1.example.com+1a2b3c4d+BAbC…', 'w2.example.com+5e6f7081+BDeF…', 'w3.example.com+92a3b4c5+BGhI…'];
    for (const [i, name] of WITNESSES.entries()) {
      // The pattern of `sed` stays: it is what the file of the package has.
      const script = filled(block!).replaceAll('w1.example.com', `${name}.example.com`);
      const said = await at[name].run(script);
      printed.set(keys[i]!, new RegExp(`${name}\\.example\\.com\\+\\w{8}\\+[\\w+/=]+`).exec(said)![0]);
    }
  });

  it('starts the log, with TLS and a quorum of witnesses', async () => {
    const [start, front] = step('5. The log');
    await at.log.run('mkdir -p /srv/disk /mnt/second; mount --bind /srv/disk /mnt/second');
    expect(await at.log.run(filled(start!))).toContain('"ready":true');
    expect(await at.log.run(front!)).toContain(`"${printed.get('log.example.com+1a2b3c4d+AbCd…')}"`);
  });

  it('writes trust files, and proves a first entry', async () => {
    const [files, first] = step('6. Files');
    await at.log.run(files!);
    const said = await at.log.run(first!);
    expect(said).toContain('OK: app.tgz is signed');
    expect(said).toMatch(/^log\.example\.com\n1\n/m);
    expect(said.match(/^— w\d\.example\.com /gm)!.length).toBeGreaterThanOrEqual(2);
  });

  it('watches the log', async () => {
    const [block] = step('7. The monitor');
    await share(at.log, '/srv/trust/policy', at.monitor, '/srv/trust/policy');
    expect(await at.monitor.run(filled(block!))).toContain('"ready":true');
    await expect
      .poll(() => at.monitor.run('curl --silent localhost:9464/metrics'))
      .toMatch(/^stele_monitor_size_seen_entries\{log="log\.example\.com"\} 1$/m);
  });

  it('backs up and restores', async () => {
    expect(await at.log.run(step('8. Backup')[0]!)).toContain('"ready":true');
    const said = await at.log.run(step('9. Try to restore')[0]!);
    expect(said).toContain('OK: the 1 entry of log.example.com is the tree of its checkpoint');
    expect(said.match(/^The witness w\d holds a tree of 1 entry, which they extend$/gm), said).toHaveLength(3);
  });

  it('signs nothing while the disk of the second place is away, and goes on when it is back', async () => {
    const signed = at.log.run(`
umount /mnt/second
echo 'the second release' > second.tgz
stele sign second.tgz --log https://log.example.com --policy /srv/trust/policy --ca /etc/stele/ca.pem --key app.tgz.key.pem`);
    const watched = async () => {
      await expect
        .poll(() => at.log.run('curl --silent localhost:3001/readyz'))
        .toContain('the second place cannot be used, so nothing is signed');
      expect(await at.log.run('cat /srv/disk/stele/*')).toMatch(/^log\.example\.com\n1\n/);
      await at.log.run('mount --bind /srv/disk /mnt/second');
    };
    await Promise.all([signed, watched()]);
    expect(await at.log.run('cat /mnt/second/stele/*')).toMatch(/^log\.example\.com\n2\n/m);
    expect(await at.log.run('stele verify second.tgz --key app.tgz.pub.pem --policy /srv/trust/policy')).toContain(
      'OK',
    );
  });

  it('does not start on an old copy of its directory', async () => {
    await at.log.run(`
systemctl stop stele-log
mv /var/lib/stele /var/lib/stele.newest
cp -a /var/lib/stele.lost /var/lib/stele
systemctl start stele-log`);
    await expect
      .poll(() => at.log.run('journalctl --unit stele-log --output cat'))
      .toContain('the data directory is an old copy');
    await at.log.run(`
systemctl stop stele-log
rm -r /var/lib/stele
mv /var/lib/stele.newest /var/lib/stele
systemctl start stele-log
until curl --silent --fail localhost:3001/readyz; do systemctl show --property SubState stele-log; done`);
  });

  it('raises an alert when the log is away', async () => {
    await at.log.run(step('10. Metrics')[0]!.replace(/^apt-get .*$/m, ':'));
    const asked = (path: string) => expect.poll(() => at.log.run(`curl --silent 'localhost:9090${path}'`), PROMETHEUS);
    await asked('/api/v1/query?query=stele_published_entries').toMatch(/"job":"stele-log"\},"value":\[[\d.]+,"2"\]/);
    expect(await at.log.run('curl --silent localhost:9090/api/v1/alerts')).not.toContain('SteleDown');
    await at.log.run('systemctl stop stele-log');
    await asked('/api/v1/alerts').toContain('"alertname":"SteleDown","instance":"localhost:3001","job":"stele-log"');
    await at.log.run(
      'systemctl start stele-log; until curl --silent --fail localhost:3001/readyz; do systemctl show --property SubState stele-log; done',
    );
  });

  it('serves the files of the log by nginx, as its user may read them', async () => {
    await at.log.run(`
for i in $(seq 300); do echo "release $i" > $i.txt; done
stele sign [0-9]*.txt --log https://log.example.com --policy /srv/trust/policy --ca /etc/stele/ca.pem --key app.tgz.key.pem
systemctl stop stele-log`);
    const read = (path: string) =>
      at.monitor.run(
        `curl --silent --output /dev/null --write-out '%{http_code}' --cacert /etc/stele/ca.pem https://log.example.com/${path}`,
      );
    expect(await read('tile/0/000')).toBe('200');
    expect(await read('tile/entries/000')).toBe('200');
    expect(await read('checkpoint')).toBe('503');
    await at.log.run('systemctl start stele-log');
  });
});
