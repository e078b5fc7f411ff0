/**
 * How this command line was called, for the commands that the output tells people to run. A bare `npx` and the name would
 * fetch a package of that name from the registry wherever Stele is not installed, and that package is somebody else's.
 */
import { basename, delimiter, dirname, isAbsolute, relative, resolve } from 'node:path';

/** What the answer depends on; by default this process. */
interface Call {
  /** Path of the program, as Node gives it in `process.argv[1]`. */
  readonly script: string;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

const NPM_BIN = /(?:^|[\\/])node_modules[\\/]\.bin$/;

/** `stele`, `npx --no-install stele`, or `node` with the path of the program: words for a shell. */
export function calledAs(call: Call = ownCall()): string {
  const { script, env, cwd } = call;
  const byNpm = env.npm_lifecycle_event !== undefined || env.npm_command !== undefined;
  const named = /^stele(?:\.cmd|\.ps1)?$/.test(basename(script));
  const folder = dirname(script);
  // npm puts the folders of its commands on the path of what it runs. They are not on the path of the terminal.
  if (named && isOnPath(folder, env) && !(byNpm && NPM_BIN.test(folder))) return 'stele';
  if (byNpm) return 'npx --no-install stele';
  const path = shortest(script, cwd);
  if (!named) return `node ${shellWord(path)}`;
  return shellWord(/[\\/]/.test(path) ? path : `./${path}`);
}

/** The text with the commands in it, `stele …` after a backtick, as they can be called here. */
export function asCalled(text: string): string {
  return text.includes('`stele ') ? text.replaceAll('`stele ', `\`${calledAs()} `) : text;
}

/** A word for a shell, quoted where necessary. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function ownCall(): Call {
  return { script: process.argv[1] ?? 'stele', env: process.env, cwd: process.cwd() };
}

function isOnPath(folder: string, env: NodeJS.ProcessEnv): boolean {
  return (env.PATH ?? '').split(delimiter).some((entry) => isAbsolute(entry) && resolve(entry) === folder);
}

/** The path from here, or the absolute path where that is shorter. */
function shortest(script: string, cwd: string): string {
  const path = relative(cwd, script);
  return path.length < script.length ? path : script;
}
