/** The registry of the distribution project (`docker-registry`), as a process of its own. It has no referrers API in version 2. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { until } from '../support/until.ts';

export interface DockerRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly url: string;
  stop(): Promise<void>;
}

/** @param settings of its configuration, beside the storage and the address: YAML at the left margin */
export async function startDockerRegistry(dir: string, settings = '', http = ''): Promise<DockerRegistry> {
  const port = await freePort();
  await mkdir(dir, { recursive: true });
  const config = `version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: ${join(dir, 'storage')}
http:
  addr: 127.0.0.1:${port}
${http}${settings}`;
  await writeFile(join(dir, 'registry.yaml'), config);
  const child = spawn('docker-registry', ['serve', join(dir, 'registry.yaml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'close');
  const reap = () => child.kill('SIGKILL');
  process.once('exit', reap);
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const host = `127.0.0.1:${port}`;
  const scheme = http.includes('tls:') ? 'https' : 'http';
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`docker-registry ended:\n${log}`);
    return await answers(port);
  });
  return {
    host,
    url: `${scheme}://${host}`,
    stop: async () => {
      process.off('exit', reap);
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
