/** The built `stele index --witness` as a separate process. Run `npm run build` first. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { proveConsistency, type Tile } from '../../merkle/tile.ts';
import { formatAddCheckpoint, originHash } from '../../merkle/witness.ts';
import type { FakeLog } from './fake-log.ts';
import { CLI } from './serve.ts';

export interface RebuilderProcess {
  readonly url: string;
  readonly adminUrl: string;
  readonly verifierKeys: readonly string[];
  log(): string;
  /** Sends SIGTERM. Resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL, and waits for the end of the process. */
  kill(): Promise<void>;
  /** Asks for a cosignature over the checkpoint that `log` shows. */
  ask(log: FakeLog, oldSize: number): Promise<{ status: number; body: string; retry: string | null }>;
  get(path: string): Promise<{ status: number; body: string }>;
  ready(): Promise<{ ready: boolean; reasons: string[]; alarms?: string[] }>;
}

/** @param args further flags */
export async function startRebuilder(dir: string, name: string, args: readonly string[]): Promise<RebuilderProcess> {
  const where = ['--name', name, '--data', dir, '--listen-port', '0', '--admin-port', '0', '--log-level', 'warn'];
  const env = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !variable.startsWith('STELE_')));
  const child = spawn(process.execPath, [CLI, 'index', '--witness', '--json', ...where, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  const exited = once(child, 'close');
  const reap = () => child.kill('SIGKILL');
  process.once('exit', reap);
  exited.finally(() => process.off('exit', reap));
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const announced = new Promise<string>((resolve) => {
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.endsWith('\n}\n')) resolve(out);
    });
  });
  const json = await Promise.race([announced, exited.then(() => '{}')]);
  const started = JSON.parse(json) as Pick<RebuilderProcess, 'url' | 'adminUrl' | 'verifierKeys'>;
  if (started.url === undefined) {
    const [status] = (await exited) as [number | null];
    throw new Error(`stele index --witness ended with ${status} before it was up:\n${err}`);
  }
  const get = async (url: string) => {
    const reply = await fetch(url);
    return { status: reply.status, body: await reply.text() };
  };
  return {
    ...started,
    log: () => err,
    stop: async () => {
      child.kill('SIGTERM');
      const [status] = (await exited) as [number | null];
      return status;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    ask: async (log, oldSize) => {
      const note = encodeUtf8(log.sign(log.text()));
      const tile = async ({ level, index, width }: Tile) =>
        Buffer.concat(log.view.tree.levels[8 * level]!.slice(256 * index, 256 * index + width));
      const grows = oldSize > 0 && oldSize < log.size;
      const proof = grows ? await proveConsistency(oldSize, log.size, tile, fastSha256) : [];
      const body = Buffer.from(formatAddCheckpoint({ oldSize, proof, note }));
      const reply = await fetch(`${started.url}/add-checkpoint`, { method: 'POST', body });
      return { status: reply.status, body: await reply.text(), retry: reply.headers.get('retry-after') };
    },
    get: (path) => get(`${started.url}${path}`),
    ready: async () =>
      JSON.parse((await get(`${started.adminUrl}/readyz`)).body) as Awaited<ReturnType<RebuilderProcess['ready']>>,
  };
}

export const checkpointPath = (log: FakeLog): string => `/${originHash(log.origin)}/checkpoint`;
