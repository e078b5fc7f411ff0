/** The units of deploy/systemd: what systemd says of their sandbox, and that the services work in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKOUT, type Machine, type Machines, noMachines, startMachines } from '../support/machine.ts';
import { run } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';

const ROOT = join(import.meta.dirname, '../..');
const UNITS = ['log', 'witness', 'monitor', 'trust', 'ca', 'index'] as const;
const fileOf = (name: string) => join(ROOT, 'deploy', 'systemd', `stele-${name}.service`);

describe.skipIf(skips('the sandbox of the units', lacking('systemd-analyze')))('the sandbox', () => {
  it.each(UNITS)('of stele-%s is rated 2.0 or better', async (name) => {
    const { code, stdout } = await run('systemd-analyze', [
      'security',
      '--offline=true',
      '--threshold=20',
      fileOf(name),
    ]);
    expect(code, stdout).toBe(0);
    expect(Number(/exposure level for .*: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThanOrEqual(2);
  });

  it('is the same in each unit, but for what others may read of its files', () => {
    const sandboxes = UNITS.map((name) => readFileSync(fileOf(name), 'utf8').split('# The sandbox')[1]);
    expect(sandboxes[1]).toContain('MemoryDenyWriteExecute=yes is missing');
    expect(sandboxes[2]).toBe(sandboxes[1]);
    expect(sandboxes[4]).toBe(sandboxes[1]);
    expect(sandboxes[5]).toBe(sandboxes[1]);
    for (const read of [sandboxes[0]!, sandboxes[3]!]) {
      expect(read.replace('UMask=0027', 'UMask=0077')).toBe(sandboxes[1]);
    }
  });
});

const unable = (await noMachines()) ?? lacking('curl');

describe.skipIf(skips('the units under systemd', unable))('under systemd', () => {
  let machines: Machines;
  let machine: Machine;
  beforeAll(async () => {
    machines = await startMachines();
    machine = await machines.start('one', '10.9.0.1');
    await machine.run(`
ln -s ${CHECKOUT}/dist/client/cli/main.js /usr/local/bin/stele
systemd-sysusers ${CHECKOUT}/deploy/systemd/stele-users.conf
cp ${CHECKOUT}/deploy/systemd/*.service /etc/systemd/system/
install -d -m 700 /etc/stele/secrets /etc/stele/secrets/log /etc/stele/secrets/witness /etc/stele/secrets/monitor /etc/stele/secrets/trust`);
  });
  afterAll(() => machines?.stop());

  /** The value of a property of a unit. */
  const show = async (unit: string, property: string) =>
    (await machine.run(`systemctl show --property ${property} --value ${unit}`)).trim();

  it('the log starts, is handed its secrets, takes entries, and has its worker threads at their priority', async () => {
    await machine.run(`
printf 'of the key' > /etc/stele/secrets/log/passphrase; chmod 600 /etc/stele/secrets/log/passphrase
cat > /etc/stele/log.yaml <<END
origin: log.example.com
data: /var/lib/stele
key: { file: /run/credentials/stele-log.service/log_key.pem, passphraseFile: /run/credentials/stele-log.service/log_passphrase }
END
stele keygen --out /etc/stele/secrets/log/key.pem --passphrase-file /etc/stele/secrets/log/passphrase
systemctl start stele-log
until curl --silent --fail localhost:3001/readyz; do systemctl is-active stele-log; done
echo 'the release' > app.tgz
stele sign app.tgz --log http://localhost:3000 --log-key "$(curl -s localhost:3000/stele/v1/log | grep -o 'log.example.com+[^"]*')"`);
    expect(await machine.run('curl --silent localhost:3001/metrics')).toMatch(/^stele_published_entries 1$/m);
    const nice = `for task in /proc/$(systemctl show --property MainPID --value stele-log)/task/*; do cut -d' ' -f19 $task/stat; done | sort -u`;
    expect(await machine.run(nice)).toBe('0\n5\n');
    expect(await machine.run('ls -l /var/lib/stele/state | tail -n +2')).toMatch(/^(-rw-r----- 1 stele stele .*\n)+$/);
  });

  it('the witness and the monitor start', async () => {
    await machine.run(`
printf 'name: witness.example.com/w1\ndata: /var/lib/stele-witness\n' > /etc/stele/witness.yaml
cat > /etc/stele/monitor.yaml <<END
state: /var/lib/stele-monitor
logs: [{ url: 'http://localhost:3000', keys: ['$(curl -s localhost:3000/stele/v1/log | grep -o 'log.example.com+[^"]*')'] }]
rules: [{ name: all, watch: { identity: release@example.com } }]
sinks: [{ type: stdout }]
metrics: { port: 9464 }
END
systemctl start stele-witness
install -d -o stele-monitor -g stele-monitor -m 700 /var/lib/stele-monitor
runuser -u stele-monitor -- stele monitor --config /etc/stele/monitor.yaml --from-now --once
systemctl start stele-monitor
until curl --silent --fail localhost:3101/readyz; do systemctl is-active stele-witness; done
until curl --silent --fail localhost:9464/metrics > metrics; do systemctl is-active stele-monitor; done`);
    expect(await machine.run('cat metrics')).toContain('stele_monitor_');
    expect(await machine.run('ls -l /var/lib/stele-witness | tail -n +2')).toMatch(
      /^([d-]rw[x-]------ \d stele-witness stele-witness .*\n)+$/,
    );
  });

  it('the log reads its configuration anew on a reload, in the same process', async () => {
    const before = await show('stele-log', 'MainPID');
    await machine.run('systemctl reload stele-log');
    await expect
      .poll(() => machine.run('curl --silent localhost:3001/metrics'))
      .toMatch(/^stele_config_reloads_total\{result="ok"\} 1$/m);
    expect([await show('stele-log', 'MainPID'), await show('stele-log', 'ActiveState')]).toEqual([before, 'active']);
  });

  it.each([
    ['log', 'localhost:3001/readyz'],
    ['witness', 'localhost:3101/readyz'],
    ['monitor', 'localhost:9464/metrics'],
  ])('stele-%s is started again after it is killed, and ends in order', async (name, probe) => {
    const unit = `stele-${name}`;
    const before = await show(unit, 'MainPID');
    await machine.run(`systemctl kill --signal KILL ${unit}`);
    await expect.poll(() => show(unit, 'NRestarts')).toBe('1');
    await expect.poll(() => machine.run(`curl --silent --fail ${probe}`).catch(() => '')).not.toBe('');
    expect(await show(unit, 'MainPID')).not.toBe(before);
    await machine.run(`systemctl stop ${unit}`);
    expect([await show(unit, 'Result'), await show(unit, 'ExecMainStatus')]).toEqual(['success', '0']);
  });

  it('a start that cannot be tried is tried again', async () => {
    await machine.run('mv /etc/stele/secrets/log/key.pem key.pem; systemctl start stele-log');
    await expect.poll(() => show('stele-log', 'SubState')).toBe('auto-restart');
    await machine.run('mv key.pem /etc/stele/secrets/log/');
    await expect
      .poll(() => machine.run('curl --silent --fail localhost:3001/readyz').catch(() => ''))
      .toContain('true');
  });
});
