/** The built `stele admission` as a separate process, with a certificate for localhost. Run `npm run build` first. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { CLI } from './serve.ts';
import { postReview, type Reply, TLS } from './webhook.ts';

export class AdmissionProcess {
  readonly url: string;
  readonly adminUrl: string;
  readonly #child: ChildProcess;
  readonly #agent = new https.Agent({ ca: TLS.ca, keepAlive: true });
  readonly #log: () => string;

  private constructor(child: ChildProcess, started: { url: string; adminUrl: string }, log: () => string) {
    this.#child = child;
    this.#log = log;
    this.url = started.url;
    this.adminUrl = started.adminUrl;
  }

  /** Starts in `dir`, where `tls.crt` and `tls.key` are written. */
  static async start(dir: string, args: readonly string[]): Promise<AdmissionProcess> {
    writeTls(dir);
    const own = [
      'admission',
      '--json',
      '--listen-port',
      '0',
      '--admin-port',
      '0',
      '--tls-cert',
      'tls.crt',
      '--tls-key',
      'tls.key',
    ];
    const child = spawn(process.execPath, [CLI, ...own, ...args], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stderr.on('data', (text) => (err += text));
    const started = await new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (text) => {
        out += text;
        if (out.endsWith('}\n')) resolve(out);
      });
      child.once('exit', (code) => reject(new Error(`the webhook ended with ${code}: ${err}`)));
    });
    return new AdmissionProcess(child, JSON.parse(started), () => err);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  log(): string {
    return this.#log();
  }

  post(review: unknown, path = '/validate?timeout=10s'): Promise<Reply> {
    return postReview(`${this.url}${path}`, review, this.#agent);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves with the exit status; null where a signal ended the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#agent.destroy();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const exited = once(this.#child, 'exit');
    this.signal(signal);
    if (signal !== 'SIGKILL') this.signal('SIGCONT');
    return (await exited)[0] as number | null;
  }
}

export function writeTls(dir: string, { cert, key }: { cert: string; key: string } = TLS): void {
  writeFileSync(join(dir, 'tls.crt'), cert);
  writeFileSync(join(dir, 'tls.key'), key, { mode: 0o600 });
}
