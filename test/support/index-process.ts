/** The built `stele index` as a separate process. Run `npm run build` first. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { CLI } from './serve.ts';

export class IndexProcess {
  readonly url: string;
  readonly adminUrl: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, { url, adminUrl }: { readonly url: string; readonly adminUrl: string }) {
    this.#child = child;
    this.url = url;
    this.adminUrl = adminUrl;
  }

  /** Starts in `dir` by the configuration there. */
  static async start(dir: string, config = 'index.yaml'): Promise<IndexProcess> {
    const child = spawn(process.execPath, [CLI, 'index', '--config', config, '--json'], {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stderr.on('data', (text) => {
      err += text;
    });
    const started = await new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (text) => {
        out += text;
        if (out.endsWith('}\n')) resolve(out);
      });
      child.once('exit', (code) => reject(new Error(`the index ended with ${code}: ${err}`)));
    });
    return new IndexProcess(child, JSON.parse(started));
  }

  /** Resolves with the exit status; null where a signal ended the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    return (await exited)[0] as number | null;
  }
}
