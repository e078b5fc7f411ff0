/**
 * Small programs over libraries of Go (test/interop/judges/), which say what the programs that use these libraries say. A program
 * beside the checkout brings Go and the libraries: it prints the environment to build with, as lines of `export`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CACHE } from './tools.ts';

const HELPER = process.env.GO_LIBS;

export interface GoJudge {
  readonly program: string;
  remove(): void;
}

/** Builds the folder NAME of judges/; or why it cannot be built. */
export function buildJudge(name: string): GoJudge | string {
  const folder = join(import.meta.dirname, 'judges', name);
  const kept = join(CACHE, 'judges', `${name}-${sourceHash(folder)}`);
  // Some need minutes to be built.
  if (existsSync(kept)) return { program: kept, remove: () => {} };
  if (HELPER === undefined) return 'GO_LIBS names no program that brings libraries of Go';
  let env: string;
  try {
    env = execFileSync(HELPER, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 900_000 });
  } catch {
    return 'the libraries of Go cannot be had';
  }
  const dir = mkdtempSync(join(tmpdir(), 'stele-judge-'));
  const program = join(dir, name);
  const script = `eval "$GO_ENV"; cd "$1" && go build -o "$2" .`;
  const built = spawnSync('bash', ['-c', script, 'build', folder, program], {
    env: { ...process.env, GO_ENV: env },
    encoding: 'utf8',
  });
  const remove = () => rmSync(dir, { recursive: true, force: true });
  if (built.status === 0) {
    mkdirSync(join(CACHE, 'judges'), { recursive: true });
    const moved = spawnSync('cp', [program, `${kept}.${process.pid}`]).status === 0;
    if (moved) renameSync(`${kept}.${process.pid}`, kept);
    return { program, remove };
  }
  remove();
  throw new Error(`${name} cannot be built:\n${built.stdout}${built.stderr}`);
}

function sourceHash(folder: string): string {
  const hash = createHash('sha256');
  for (const file of readdirSync(folder).sort()) hash.update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}
