/** The built command line and a log of its own, in a temporary directory. Run `npm run build` first. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLI } from './serve.ts';

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** A directory with a log beside it, whose policy is the file `quorum`. */
export class SteleIn {
  readonly dir = mkdtempSync(join(tmpdir(), 'stele-'));
  readonly log: { readonly url: string; readonly vkey: string };
  readonly #server: ChildProcess;

  private constructor(dir: string, server: ChildProcess, log: SteleIn['log']) {
    this.dir = dir;
    this.#server = server;
    this.log = log;
  }

  /** @param witnessed whether three witnesses cosign the log; the quorum is then of two of them */
  static async start(origin = 'localhost', witnessed = false): Promise<SteleIn> {
    const dir = mkdtempSync(join(tmpdir(), 'stele-'));
    const command = witnessed ? ['up', '--witness-port', '0'] : ['serve'];
    const args = [...command, '--json', '--origin', origin, '--listen-port', '0', '--admin-port', '0'];
    const server = spawn(process.execPath, [CLI, ...args], { cwd: dir });
    let out = '';
    const started = await new Promise<string>((resolve, reject) => {
      server.stdout.on('data', (text) => {
        out += text;
        if (out.endsWith('\n}\n')) resolve(out);
      });
      server.on('exit', () => reject(new Error('the log did not start')));
    });
    const { url, verifierKeys } = JSON.parse(started);
    if (witnessed) copyFileSync(join(dir, 'data/trust/policy'), join(dir, 'quorum'));
    else writeFileSync(join(dir, 'quorum'), `log ${verifierKeys[0]}\nquorum none\n`);
    return new SteleIn(dir, server, { url, vkey: verifierKeys[0] });
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  write(name: string, text: string | Uint8Array): string {
    writeFileSync(this.path(name), text);
    return name;
  }

  run(...args: readonly string[]): Promise<Ran> {
    return new Promise((resolve) => {
      execFile(process.execPath, [CLI, ...args], { cwd: this.dir }, (error, out, err) => {
        resolve({ status: error === null ? 0 : Number(error.code), out, err });
      });
    });
  }

  /** The same for a command that must succeed. */
  async done(...args: readonly string[]): Promise<string> {
    const { status, out, err } = await this.run(...args);
    if (status !== 0) throw new Error(`stele ${args.join(' ')}: ${err}`);
    return out;
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#server.on('exit', resolve));
    this.#server.kill('SIGTERM');
    await ended;
    rmSync(this.dir, { recursive: true });
  }
}
