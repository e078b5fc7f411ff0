/**
 * Ceph's S3 server, radosgw, on a cluster of one machine in a temporary directory: one monitor, and one disk in memory.
 *
 *     const ceph = await startRadosgw();
 *     … endpoint: ceph.url, bucket: ceph.bucket, credentials: ceph.credentials …
 *     await ceph.end(); await ceph.begin();      // what was stored stays
 *     await ceph.stop();
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { AwsClient } from 'aws4fetch';
import { lacking } from './skip.ts';

const run = promisify(execFile);

export interface Radosgw {
  readonly url: string;
  readonly bucket: string;
  readonly credentials: { readonly id: string; readonly secret: string };
  /** Signs and sends a request to `path`, which begins with a slash. */
  request(method: string, path: string, body?: string): Promise<Response>;
  begin(): Promise<void>;
  end(): Promise<void>;
  stop(): Promise<void>;
}

/** Why tests with radosgw cannot run; undefined if they can. */
export const NO_RADOSGW: string | undefined = lacking(
  'radosgw',
  'radosgw-admin',
  'ceph',
  'ceph-mon',
  'ceph-osd',
  'monmaptool',
);

const DEADLINE_MS = 90_000;

export async function startRadosgw(): Promise<Radosgw> {
  const dir = await mkdtemp(join(tmpdir(), 'rgw-'));
  const [monitor, port] = (await freePorts(2)) as [number, number];
  const [cluster, disk] = [randomUUID(), randomUUID()];
  const file = join(dir, 'ceph.conf');
  for (const name of ['mon', 'osd', 'run']) await mkdir(join(dir, name));
  await writeFile(file, configuration(dir, { cluster, monitor, port }));

  const children: ChildProcess[] = [];
  const output = () => readFile(join(dir, 'out'), 'utf8').catch(() => '');
  const daemon = (program: string, ...args: string[]) => {
    const line = 'exec "$0" "$@" >>"$OUT" 2>&1';
    const env = { ...process.env, OUT: join(dir, 'out') };
    const child = spawn('sh', ['-c', line, program, '-c', file, ...args, '-f'], { stdio: 'ignore', env });
    // A test that fails must not leave servers behind.
    const reap = () => child.kill('SIGKILL');
    process.once('exit', reap);
    child.once('exit', () => process.off('exit', reap));
    children.push(child);
    return child;
  };
  const ended = async (child: ChildProcess) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  const tool = async (program: string, ...args: string[]) =>
    (await run(program, ['-c', file, ...args], { timeout: DEADLINE_MS })).stdout;
  const stop = async () => {
    for (const child of children.toReversed()) await ended(child);
    await rm(dir, { recursive: true, force: true });
  };

  const url = `http://127.0.0.1:${port}`;
  const credentials = { id: 'AKTESTOFASECONDPLACE', secret: 'not/a/real+secret' };
  const client = new AwsClient({
    accessKeyId: credentials.id,
    secretAccessKey: credentials.secret,
    service: 's3',
    region: 'us-east-1',
    retries: 0,
  });
  const request: Radosgw['request'] = (method, path, body) =>
    client.fetch(`${url}${path}`, { method, ...(body === undefined ? {} : { body }) });
  let gateway: ChildProcess | undefined;
  const begin = async () => {
    const child = daemon('radosgw', '-n', 'client.gw');
    gateway = child;
    await come(
      async () => (await fetch(url).catch(() => undefined))?.ok,
      async () => `radosgw does not answer: ${child.exitCode} ${await output()}`,
    );
  };

  try {
    const map = join(dir, 'monmap');
    await run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', `[v2:127.0.0.1:${monitor}]`, map]);
    await tool('ceph-mon', '-i', 'a', '--mkfs', '--monmap', map);
    daemon('ceph-mon', '-i', 'a');
    await tool('ceph', '--connect-timeout', '60', 'osd', 'new', disk, '0');
    await tool('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk);
    daemon('ceph-osd', '-i', '0');
    await come(
      async () => (await tool('ceph', '--connect-timeout', '60', 'osd', 'stat')).includes('1 up'),
      async () => `the disk does not come up: ${await output()}`,
    );
    const keys = ['--access-key', credentials.id, '--secret-key', credentials.secret];
    await tool('radosgw-admin', '-n', 'client.gw', 'user', 'create', '--uid', 'log', '--display-name', 'log', ...keys);
    await begin();
    const bucket = 'records';
    const made = await request('PUT', `/${bucket}`);
    if (!made.ok) throw new Error(`no bucket: ${made.status} ${await made.text()}`);
    const end = async () => {
      if (gateway !== undefined) await ended(gateway);
    };
    return { url, bucket, credentials, request, begin, end, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function configuration(
  dir: string,
  { cluster, monitor, port }: Record<'monitor' | 'port', number> & { cluster: string },
) {
  return `[global]
fsid = ${cluster}
mon host = v2:127.0.0.1:${monitor}/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = ${dir}/run
admin socket = ${dir}/run/$name.$pid.asok
pid file = ${dir}/run/$name.pid
log file = ${dir}/run/$name.log
crash dir = ${dir}/run
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
[mon.a]
mon data = ${dir}/mon
mon data avail crit = 1
[osd.0]
osd data = ${dir}/osd
osd objectstore = memstore
memstore device bytes = 268435456
[client.gw]
# By itself radosgw asks its monitor for encryption, which is not there without keys.
ms mon client mode = crc
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw enable apis = s3
`;
}

/** Waits for a program that says nothing when it is ready. */
async function come(what: () => Promise<boolean | undefined>, why: () => Promise<string>): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !(await what()); await sleep(50)) {
    if (Date.now() > end) throw new Error(await why());
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
