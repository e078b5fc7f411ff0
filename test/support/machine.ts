/**
 * Machines for tests of what operators install: systemd runs in a container (systemd-nspawn), on an overlay of this machine's
 * files, with a network of its own. What a machine writes is gone when the test ends.
 *
 *     const machines = await startMachines();
 *     await machines.prepare('npm install …');                       // once, with this machine's network, before the first start
 *     const log = await machines.start('log', '10.9.0.1');
 *     await log.run('systemctl start stele-log');                    // a shell script, as root; rejects if it fails
 *     await machines.stop();
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tempDir } from './log.ts';
import { run } from './serve.ts';
import { lacking } from './skip.ts';
import { until } from './until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Where a machine finds this checkout, which may lie below its own /tmp. */
export const CHECKOUT = '/opt/stele';

/** Units that would work on the devices or the directory /tmp of this machine, or take long. */
const MASKED = ['systemd-udevd', 'systemd-udev-trigger', 'systemd-tmpfiles-setup', 'systemd-tmpfiles-setup-dev'];
const TARGET = `[Unit]
Requires=dbus.service systemd-journald.service
After=dbus.service systemd-journald.service
AllowIsolate=yes
`;

export interface Machine {
  /** Runs a script of bash in the machine, which ends at its first failure. Resolves with what the script printed. */
  run(script: string): Promise<string>;
}

export interface Machines {
  /** Runs a script on the files that all machines begin with, and with the network of this machine. */
  prepare(script: string): Promise<string>;
  start(name: string, address: string): Promise<Machine>;
  stop(): Promise<void>;
}

/** Why no machine can be started here; undefined if one can. */
export async function noMachines(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root can start systemd in a container';
  const absent = lacking('systemd-nspawn', 'unshare', 'nsenter', 'ip');
  if (absent !== undefined) return absent;
  const tried = await run('unshare', ['--mount', '--net', 'sh', '-ec', TRY]);
  return tried.code === 0 ? undefined : `this kernel gives no overlay or bridge: ${tried.stderr.trim()}`;
}

const TRY = `
mount -t tmpfs none /mnt; mkdir /mnt/u /mnt/w /mnt/m
mount -t overlay none -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m
ip link add br0 type bridge; ip link add v0 type veth peer name v1`;

export async function startMachines(): Promise<Machines> {
  const dir = await tempDir();
  const at = (...names: string[]) => join(dir.path, ...names);
  // Holds the mounts and the bridge. Both go when it ends.
  const holder = spawn('unshare', ['--mount', '--net', '--propagation', 'private', 'sh', '-ec', HOLD, dir.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const held = once(holder, 'close');
  await once(holder.stdout, 'data');
  const within = (namespaces: readonly string[], script: string) =>
    ok('nsenter', ['--target', String(holder.pid), ...namespaces, 'bash', '-ec', script]);
  const children: { readonly closed: Promise<unknown>; readonly leader: number }[] = [];

  const start = async (name: string, address: string): Promise<Machine> => {
    await within(
      ['--mount'],
      `mkdir -p '${at(name)}'/{upper,work,root}; ${overlay(at(name), `${at('base/upper')}:/`)}`,
    );
    const root = at(name, 'root');
    const nspawn = [
      'systemd-nspawn',
      '--quiet',
      '--directory',
      root,
      `--machine=${name}-${holder.pid}`,
      '--register=no',
      '--keep-unit',
      `--bind-ro=${ROOT}:${CHECKOUT}`,
    ];
    const network = ['--network-bridge=machines', '--boot', '--', '--unit=machine.target'];
    const args = ['--target', String(holder.pid), '--mount', '--net', ...nspawn, ...network];
    const child = spawn('nsenter', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    let console = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        console += text;
      });
    }
    const ended = closed.then(() => {
      throw new Error(`the machine ${name} ended:\n${console}`);
    });
    const leader = await Promise.race([
      ended,
      until(
        () => leaderOf(child.pid!),
        () => console,
      ),
    ]);
    children.push({ closed, leader });
    const enter = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
    const enterAnd = (script: string) => ok('nsenter', ['--target', String(leader), ...enter, 'bash', '-ec', script]);
    const machine: Machine = {
      run: (script) =>
        enterAnd(`cd /root\n${script}`).catch(async (error: Error) => {
          const journal = await enterAnd('journalctl --lines 30 --no-pager').catch(() => '');
          throw new Error(`${error.message}\nThe journal of ${name}:\n${journal}`);
        }),
    };
    const up = () => enterAnd('systemctl is-active machine.target').catch(() => undefined);
    await Promise.race([ended, until(up, () => console)]);
    await machine.run(
      `hostname ${name}; ip address add ${address}/24 dev host0; ip link set host0 up; ip link set lo up`,
    );
    return machine;
  };

  await within(['--mount'], `mkdir -p '${at('base')}'/{upper,work,root}; ${overlay(at('base'), '/')}`);
  const units = at('base', 'upper', 'etc', 'systemd', 'system');
  await within(
    ['--mount'],
    `mkdir -p '${units}'; printf %s '${TARGET}' > '${units}/machine.target'
for unit in ${MASKED.join(' ')}; do ln -sf /dev/null '${units}'/$unit.service; done`,
  );
  return {
    prepare: (script) =>
      within(['--mount'], `exec chroot '${at('base', 'root')}' bash -ec '${script.replaceAll("'", "'\\''")}'`),
    start,
    stop: async () => {
      for (const { leader } of children) process.kill(leader, 'SIGKILL');
      await Promise.all(children.map(({ closed }) => closed));
      holder.kill('SIGKILL');
      await held;
      await dir.remove();
    },
  };
}

const HOLD = `mount -t tmpfs none "$0"; ip link add machines type bridge; ip link set machines up; echo; exec sleep infinity`;

const overlay = (dir: string, lower: string) =>
  `mount -t overlay none -o 'lowerdir=${lower},upperdir=${dir}/upper,workdir=${dir}/work' '${dir}/root'`;

/** The systemd that systemd-nspawn has started. */
async function leaderOf(parent: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => '');
  for (const pid of children.split(' ').filter(Boolean)) {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (name.trim() === 'systemd') return Number(pid);
  }
  return undefined;
}

async function ok(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${args.at(-1)} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}
