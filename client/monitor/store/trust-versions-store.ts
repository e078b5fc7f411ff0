/** Which versions of a TUF repository the monitor has reported. The file is written after the alerts are in the queue. */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { readBounded } from '../../../merkle/runtime/disk/bounded.ts';
import { isThere, makeDirDurable, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { ClientError } from '../../errors.ts';

/** SHA-256 of the metadata by role, and their versions. */
export type TrustVersions = Readonly<Record<string, { readonly version: number; readonly sha256: string }>>;

const MAX_BYTES = 1024 * 1024;

export class TrustVersionsStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Undefined before the first `write`. @throws ClientError `state`: the file is damaged */
  async read(): Promise<TrustVersions | undefined> {
    const path = join(this.#dir, 'reported.json');
    if (!(await isThere(path))) return undefined;
    try {
      return JSON.parse(decodeUtf8(await readBounded(path, MAX_BYTES))) as TrustVersions;
    } catch (cause) {
      throw new ClientError('state', `${path} is damaged: remove it, and the monitor reports what it sees next`, {
        cause,
      });
    }
  }

  async write(versions: TrustVersions): Promise<void> {
    await makeDirDurable(this.#dir);
    await writeFileDurable(join(this.#dir, 'reported.json'), encodeUtf8(JSON.stringify(versions)));
  }
}

/** The published file of the operator's own repository; undefined where it is not there. */
export async function ownFile(directory: string, name: string): Promise<Uint8Array | undefined> {
  const path = join(directory, 'public', name);
  return (await isThere(path)) ? await readBounded(path, MAX_OWN_BYTES) : undefined;
}

/** Metadata are no larger: `TUF_LIMITS`. */
const MAX_OWN_BYTES = 5 * 1024 * 1024;
