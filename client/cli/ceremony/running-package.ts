/**
 * Which package runs this process, by the digests of its files. A ceremony begins with a package whose digest people know,
 * and each step compares the files that run with the files of that package.
 */

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { ClientError } from '../../errors.ts';
import type { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import type { BeginStep, Machine } from '../../trust/ceremony/steps.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { filesOfPackage } from './tarball.ts';

/** Loaded from folders of their own, beside what package.json names. */
const OPTIONAL = ['pkcs11js'];
/** A list of the package's files. */
const MAX_LIST = 4 * 1024 * 1024;
const LINE = /^([0-9a-f]{64}) {2}([^\r\n]{1,1000})$/;

interface OwnPackage {
  readonly root: string;
  readonly version: string;
}

/** The list of the package's files, as `sha256sum` writes it. @throws ClientError `ceremony` */
export function listOfPackage(tgz: Uint8Array): Uint8Array {
  const lines = [...filesOfPackage(tgz)].map(([path, bytes]) => `${hexSha256(bytes)}  ${path}\n`);
  return encodeUtf8(lines.sort().join(''));
}

/** Compares the files that run with the list. @throws ClientError `ceremony`, which names the first file that differs */
export function checkRunning(list: Uint8Array): void {
  const { root } = ownPackage();
  for (const line of Buffer.from(list).toString().trimEnd().split('\n')) {
    const [, digest, path] = LINE.exec(line) ?? [];
    if (digest === undefined || path === undefined)
      throw new ClientError('ceremony', 'the list of the package is damaged');
    const file = join(root, path);
    if (!existsSync(file) || hexSha256(readFileSync(file)) !== digest) {
      const why = `what runs here is not the package of the ceremony: ${file} ${existsSync(file) ? 'differs' : 'is missing'}`;
      throw new ClientError('ceremony', `${why}. Install that package, and run its \`stele ceremony\``);
    }
  }
}

/** What runs this step, once it is the package of the ceremony, and the plan is its plan. @throws ClientError `ceremony` */
export async function checkRecorded(store: CeremonyStore, begun: BeginStep): Promise<Machine> {
  const list = await store.read('package', MAX_LIST);
  if (list === undefined || hexSha256(list) !== begun.package.files) {
    throw new ClientError('ceremony', `${store.path('package')} is not the list that the ceremony began with`);
  }
  checkRunning(list);
  checkRecordedPlan(store, begun, await store.read('plan', MAX_LIST));
  return thisMachine();
}

/** @throws ClientError `ceremony` where the plan is not the one that the ceremony began with */
export function checkRecordedPlan(store: CeremonyStore, { plan }: BeginStep, bytes: Uint8Array | undefined): void {
  if (bytes !== undefined && hexSha256(bytes) === plan) return;
  const why = `${store.path('plan')} was changed since the ceremony began: put back the plan, or begin anew elsewhere`;
  throw new ClientError('ceremony', why);
}

/** What runs this step. */
export function thisMachine({ version, root } = ownPackage()): Machine {
  const lines = [...packagesBelow(root)].map(([dir, name]) => `${digestOfTree(dir)}  ${name}\n`);
  return {
    stele: version,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    dependencies: hexSha256(encodeUtf8(lines.sort().join(''))),
  };
}

/** The packages that a package loads, and those that they load, by their directories. */
function packagesBelow(root: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (from: string, names: readonly string[]) => {
    for (const name of names) {
      const dir = dependencyDir(from, name);
      if (dir === undefined || found.has(dir)) continue;
      found.set(dir, name);
      visit(dir, dependenciesOf(dir));
    }
  };
  visit(root, [...dependenciesOf(root), ...OPTIONAL]);
  return found;
}

function dependenciesOf(dir: string): string[] {
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  return Object.keys({ ...dependencies, ...optionalDependencies });
}

function ownPackage(): OwnPackage {
  for (let root = dirname(fileURLToPath(import.meta.url)); ; root = dirname(root)) {
    const file = join(root, 'package.json');
    const json = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
    if (json?.name === 'stele') return { root, version: String(json.version) };
    if (root === dirname(root)) throw new ClientError('ceremony', 'the package that runs is not to be found');
  }
}

/** Where Node finds the package: in the nearest node_modules, from where a link there leads. */
function dependencyDir(root: string, name: string): string | undefined {
  for (let at = root; ; at = dirname(at)) {
    const dir = join(at, 'node_modules', name);
    if (existsSync(join(dir, 'package.json'))) return realpathSync(dir);
    if (at === dirname(at)) return undefined;
  }
}

function digestOfTree(dir: string): string {
  const lines: string[] = [];
  const names = readdirSync(dir, { recursive: true, withFileTypes: true });
  for (const entry of names) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    lines.push(`${hexSha256(readFileSync(path))}  ${path.slice(dir.length + 1)}\n`);
  }
  return hexSha256(encodeUtf8(lines.sort().join('')));
}
