/**
 * A mirror of a TUF repository: the files below `public/` of its directory, under the names by which a client asks for them
 * where the root says `consistent_snapshot` (TUF 1.0.34, section 6.2):
 *
 *   timestamp.json, N.root.json, N.snapshot.json, N.targets.json, N.ROLE.json
 *   targets/HASH.NAME, targets/FOLDER/HASH.NAME
 *
 * Only timestamp.json changes.
 */
import { join } from 'node:path';
import type { Answer } from './http-server.ts';
import { type FolderLimits, ServedFolder } from './served-folder.ts';

const LIMITS: FolderLimits = { file: 64 * 1024 * 1024, kept: 32 * 1024 * 1024, held: 256 * 1024 * 1024 };

const TIMESTAMP = 'timestamp.json';
/** The names of files begin with a number or a hash: a temporary file, which begins with a dot, is none of them. */
const METADATA = /^[1-9][0-9]{0,15}\.[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\.json$/;
const PART = '[A-Za-z0-9._@+=,~-]+';
/** A folder is not `.` or `..`. */
const TARGET = new RegExp(`^targets/(?:(?!\\.{1,2}/)${PART}/)*[0-9a-f]{64}\\.${PART}$`);
/** A target's name has 512 characters at most; the rest is `targets/` and its hash. */
const MAX_PATH = 600;

const ANY_ORIGIN = { 'access-control-allow-origin': '*' };
/** A shared cache may take the load of many clients, and no client should miss news for long. */
const FRESH = { ...ANY_ORIGIN, 'cache-control': 'public, max-age=1' };
const FOR_EVER = { ...ANY_ORIGIN, 'cache-control': 'public, max-age=31536000, immutable' };

export class Mirror {
  readonly #root: string;
  readonly #folder: ServedFolder;

  /**
   * @param directory of the repository
   * @param limits for tests
   */
  constructor(directory: string, limits: Partial<FolderLimits> = {}) {
    this.#root = join(directory, 'public');
    const names = { serves: isMirrored, changes: (path: string) => path === TIMESTAMP, answer };
    this.#folder = new ServedFolder(this.#root, names, { ...LIMITS, ...limits });
  }

  /** Why no client can follow the repository, in a sentence; undefined once it has been published. */
  problem(): string | undefined {
    if (this.#folder.statsOf(TIMESTAMP) !== undefined) return undefined;
    return `${join(this.#root, TIMESTAMP)} is not there: publish the repository with \`stele trust publish\``;
  }

  /**
   * The reply with a file, as `ServedFolder` has it.
   *
   * @param path behind the mirror's URL and its slash, as it was sent: another spelling names no file
   * @throws RuntimeError `file`, in the promise
   */
  get(path: string): Answer | Promise<Answer> | 'missing' | 'busy' {
    return this.#folder.get(path);
  }
}

function isMirrored(path: string): boolean {
  if (path === TIMESTAMP || METADATA.test(path)) return true;
  return path.length <= MAX_PATH && TARGET.test(path);
}

function answer(path: string, body: Uint8Array): Answer {
  const type = path.endsWith('.json') ? 'application/json' : 'application/octet-stream';
  return { status: 200, headers: { ...(path === TIMESTAMP ? FRESH : FOR_EVER), 'content-type': type }, body };
}
