/** The built `stele monitor` as a process of its own (`npm run build` first), entries that its rules know, and a receiver. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Alert } from '../../../client/monitor/types.ts';
import { later } from '../../support/log-files.ts';
import { CLI } from '../../support/serve.ts';

const spki = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' });
const [WATCHED, OTHER] = [spki(), spki()];
export const FINGERPRINT = createHash('sha256').update(WATCHED).digest('hex');

/** An entry as a log of Rekor's API v2 has it, by the watched key or by another; `name` makes its digest. */
export function entryOf(name: string, watched: boolean): Uint8Array {
  const rawBytes = (watched ? WATCHED : OTHER).toString('base64');
  const hashedRekordV002 = {
    data: { algorithm: 'SHA2_256', digest: createHash('sha256').update(name).digest('base64') },
    signature: {
      content: Buffer.from(`signature of ${name}`).toString('base64'),
      verifier: { keyDetails: 'PKIX_ECDSA_P256_SHA_256', publicKey: { rawBytes } },
    },
  };
  return Buffer.from(JSON.stringify({ apiVersion: '0.0.2', kind: 'hashedrekord', spec: { hashedRekordV002 } }));
}

export interface ConfigParts {
  readonly url: string;
  readonly vkey: string;
  readonly sinks: string;
  /** Further settings of the log, and of the monitor: lines of YAML. */
  readonly log?: string;
  readonly more?: string;
}

/** Writes `monitor.yaml` into `dir`; its path. */
export async function writeConfig(
  dir: string,
  { url, vkey, sinks, log = '', more = '' }: ConfigParts,
): Promise<string> {
  const file = join(dir, 'monitor.yaml');
  const where = url.includes('://') ? `url: ${url}` : `dir: ${url}`;
  await writeFile(
    file,
    `state: ./state
logs:
  - ${where}
    keys: ['${vkey}']
    ${log}
rules:
  - name: my key
    watch: { key: ${FINGERPRINT} }
sinks: ${sinks}
poll: 100ms
partialAfter: 0ms
retry: 10ms
threads: 0
${more}
`,
  );
  return file;
}

export interface MonitorProcess {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Its exit code; null where a signal ended it. */
  readonly exited: Promise<number | null>;
}

export function startMonitor(config: string, args: readonly string[] = []): MonitorProcess {
  const child = spawn(process.execPath, [CLI, 'monitor', '--config', config, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_'))),
  });
  const reap = () => child.kill('SIGKILL');
  process.once('exit', reap);
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = once(child, 'close').then(([code]) => {
    process.off('exit', reap);
    return code as number | null;
  });
  later(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, stdout: () => stdout, stderr: () => stderr, exited };
}

export interface Receiver {
  /** The sink, as a line of YAML. */
  readonly sinks: string;
  /** Every alert that was taken, in the order of their coming. */
  readonly alerts: Alert[];
}

/** A webhook receiver; `answer` decides what becomes of a request whose alerts were read. */
export async function receiver(
  dir: string,
  answer: (reply: ServerResponse, request: IncomingMessage) => void = (reply) => reply.end(),
): Promise<Receiver> {
  const alerts: Alert[] = [];
  const server = createServer(async (request, reply) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    alerts.push(...(JSON.parse(Buffer.concat(chunks).toString()) as { alerts: Alert[] }).alerts);
    answer(reply, request);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  });
  await writeFile(join(dir, 'secret'), 'a secret of some length\n', { mode: 0o600 });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    alerts,
    sinks: `[{ type: webhook, url: '${url}', secrets: [{ file: ./secret }], allow: [loopback], timeout: 1s }]`,
  };
}

export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (Date.now() > end) throw new Error(`waited for too long: ${what}`);
  }
}
