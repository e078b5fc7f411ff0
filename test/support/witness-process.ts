/** The built `stele witness` as a separate process. Run `npm run build` first. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLI } from './serve.ts';

export interface WitnessProcess {
  readonly url: string;
  readonly adminUrl: string;
  readonly name: string;
  readonly verifierKeys: readonly string[];
  readonly port: number;
  log(): string;
  signal(signal: NodeJS.Signals): void;
  /** Sends SIGTERM. Resolves with the exit code, or null if a signal ended the process. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL, and waits for the end of the process. */
  kill(): Promise<void>;
  /** The witness's line of a policy. */
  policyLine(name: string): string;
}

/** Runs the witness of the directory `dir` for the logs with these verifier keys. `port` 0 is a free port. */
export async function startWitness(
  dir: string,
  name: string,
  logs: readonly string[],
  port = 0,
  args: readonly string[] = [],
  extra: NodeJS.ProcessEnv = {},
): Promise<WitnessProcess> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'logs'), logs.map((vkey) => `log ${vkey}\n`).join(''));
  const where = [
    '--name',
    name,
    '--data',
    dir,
    '--listen-port',
    String(port),
    '--admin-port',
    '0',
    '--log-level',
    'warn',
  ];
  const env = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !variable.startsWith('STELE_')));
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  const child = spawn(process.execPath, [CLI, 'witness', '--json', ...where, ...args], {
    stdio: [...stdio],
    env: { ...env, ...extra },
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
  const started = JSON.parse(json) as Pick<WitnessProcess, 'url' | 'adminUrl' | 'name' | 'verifierKeys'>;
  // An error is JSON too.
  if (started.url === undefined) {
    const [status] = (await exited) as [number | null];
    throw new Error(`stele witness ended with ${status} before it was up:\n${err}`);
  }
  return {
    ...started,
    port: Number(new URL(started.url).port),
    log: () => err,
    signal: (signal) => child.kill(signal),
    stop: async () => {
      child.kill('SIGTERM');
      return (await exited)[0] as number | null;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    policyLine: (as) => `witness ${as} ${started.verifierKeys[0]} ${started.url}\n`,
  };
}
