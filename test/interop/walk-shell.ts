/** A shell that follows a walk of the documents block by block, with what the blocks start behind it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** The blocks of each step of a section, by the title of the step. A section without steps is one step without a title. */
export function stepsOf(page: string, section: string): readonly (readonly [title: string, script: string])[] {
  const start = page.indexOf(`\n## ${section}\n`);
  if (start < 0) throw new Error(`the page has no section "${section}"`);
  const end = page.indexOf('\n## ', start + 4);
  const [before, ...steps] = page.slice(start, end < 0 ? undefined : end).split(/^### /m);
  const blocksOf = (text: string) => [...text.matchAll(/^```\n([\s\S]*?)^```/gm)].map(([, block]) => block!).join('');
  if (steps.length === 0) return [['', blocksOf(before!)]];
  return steps.map((step) => [step.split('\n')[0]!, blocksOf(step)] as const);
}

/** A step waits for services with loops of the shell, which never give up. */
const LIMIT_MS = 120_000;

export class WalkShell {
  readonly #child: ChildProcessWithoutNullStreams;
  #out = '';
  #err = '';
  readonly #ended: Promise<number | null>;
  #steps = 0;

  constructor(cwd: string, env: NodeJS.ProcessEnv) {
    this.#child = spawn('bash', ['-s'], { cwd, env });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text;
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#err += text;
    });
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
    // What runs behind the walk ends with it, in order.
    this.#child.stdin.write("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
  }

  /** What the script prints, with its errors. Rejects where a command of it fails. */
  async run(script: string): Promise<string> {
    const [from, errFrom] = [this.#out.length, this.#err.length];
    const mark = `=== end of step ${++this.#steps}`;
    // No command of the script reads the script.
    this.#child.stdin.write(`{\n${script}\n} </dev/null\necho '${mark}'\n`);
    const found = new Promise<void>((resolve) => {
      const look = () => {
        if (!this.#out.includes(mark)) return;
        this.#child.stdout.off('data', look);
        resolve();
      };
      this.#child.stdout.on('data', look);
      look();
    });
    const ended = this.#ended.then((code) => {
      throw new Error(`the walk ended with ${code}:\n${this.#out.slice(from)}\n${this.#err.slice(errFrom)}`);
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const said = () => `${this.#out.slice(from)}\n${this.#err.slice(errFrom)}`;
      timer = setTimeout(() => reject(new Error(`the walk goes on for too long:\n${said()}`)), LIMIT_MS);
    });
    await Promise.race([found, ended, late]).finally(() => clearTimeout(timer));
    return `${this.#out.slice(from).replace(`${mark}\n`, '')}${this.#err.slice(errFrom)}`;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    // A loop that waits for a service does not read that its input has ended.
    const stuck = setTimeout(() => this.#child.kill('SIGTERM'), 10_000);
    this.#ended.catch(() => {}).finally(() => clearTimeout(stuck));
    this.#ended.catch(() => {});
    await this.#ended;
  }
}
