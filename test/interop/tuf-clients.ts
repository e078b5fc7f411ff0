/**
 * The TUF clients of other projects, each behind the same two steps: it is told to trust a root, and then it updates and gets a
 * target. What a client knows lies in its directory alone.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ClientError } from '../../client/errors.ts';
import { loadTrust } from '../../client/trust/tuf/load-trust.ts';
import { TrustStore } from '../../client/trust/tuf/trust-store.ts';
import { updateTrust, useTrust } from '../../client/trust/tuf/update.ts';
import { type Ran, run } from '../support/serve.ts';
import { lacking } from '../support/skip.ts';
import { CACHE } from './tools.ts';

export interface Answer {
  /** The target; undefined where the client refused. */
  readonly bytes: Buffer | undefined;
  /** What it printed. */
  readonly said: string;
}

export interface TufClient {
  readonly name: string;
  /** Why it cannot run here; undefined if it can. */
  readonly lacking: string | undefined;
  /** Whether it can be asked for any target. cosign gets the files of Sigstore only. */
  readonly anyTarget: boolean;
  /**
   * Tells it to trust a root; some clients update at once. Undefined where it took the root, otherwise what it said.
   *
   * @param root a file
   * @param dir its own, empty before
   */
  trust(url: string, root: string, dir: string): Promise<string | undefined>;
  /** Updates, and gets a target. */
  get(url: string, target: string, dir: string): Promise<Answer>;
  /** Ends its program; a later `get` starts it again. */
  close?(): Promise<void>;
}

const failed = ({ code, stdout, stderr }: Ran): string | undefined =>
  code === 0 && !/\bWARNING\b/.test(stderr) ? undefined : `${stdout}${stderr}`;

async function answer(ran: Ran, file: () => string): Promise<Answer> {
  const said = failed(ran);
  return { bytes: said === undefined ? await readFile(file()) : undefined, said: said ?? ran.stderr };
}

/** As cosign and sigstore-go name the directory of a repository. */
const cosignDir = (url: string) => url.replace(/^https?:\/\//, '').replace(/[/:]/g, '-');

/** The commands of cosign that update, by the target that they get. */
const COSIGN_GETS: Readonly<Record<string, string>> = {
  'trusted_root.json': 'trusted-root',
  'signing_config.v0.2.json': 'signing-config',
};

const cosign: TufClient = {
  name: 'cosign 3.1',
  lacking: lacking('cosign'),
  anyTarget: false,
  // Its exit status is 0 also where it could not get a file. The WARNING about a missing signing configuration is one, too.
  trust: async (url, root, dir) =>
    failed(await run('cosign', ['initialize', '--mirror', url, '--root', root], { env: { HOME: dir } })),
  get: async (url, target, dir) => {
    const args = [COSIGN_GETS[target]!, 'create', '--with-default-services', '--out', join(dir, 'out.json')];
    const ran = await run('cosign', args, { env: { HOME: dir } });
    return answer(ran, () => join(dir, '.sigstore', 'root', cosignDir(url), 'targets', target));
  },
};

const goTuf: TufClient = {
  name: "go-tuf's tuf-client",
  lacking: lacking('tuf-client'),
  anyTarget: true,
  trust: async (url, root, dir) => {
    await copyFile(root, join(dir, 'root.json'));
    return failed(await run('tuf-client', ['init', '--url', url, '--file', 'root.json'], { cwd: dir }));
  },
  get: async (url, target, dir) => {
    const ran = await run('tuf-client', ['get', '--url', url, '--turl', `${url}/targets`, target], { cwd: dir });
    return answer(ran, () => join(dir, 'tuf_download', encodeURIComponent(target)));
  },
};

/** A program that answers a line with a line, so that it is started once for many jobs. What it knows lies in files. */
class LineProgram {
  readonly #start: () => ChildProcess;
  #running: { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } | undefined;

  constructor(program: string, args: readonly string[], options: SpawnOptions) {
    this.#start = () => spawn(program, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] });
  }

  async ask(job: object): Promise<Answer> {
    if (this.#running === undefined) {
      const child = this.#start();
      this.#running = { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() };
    }
    const { child, lines } = this.#running;
    child.stdin!.write(`${JSON.stringify(job)}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the client ended without an answer');
    const { bytes, error = '' } = JSON.parse(value) as { bytes?: string; error?: string };
    return { bytes: bytes === undefined ? undefined : Buffer.from(bytes, 'base64'), said: error };
  }

  async close(): Promise<void> {
    const child = this.#running?.child;
    this.#running = undefined;
    if (child === undefined) return;
    child.stdin!.end();
    await once(child, 'close');
  }
}

const SIGSTORE_TUF = join(CACHE, 'sigstore-tuf');
const SIGSTORE_JS = fileURLToPath(new URL('tuf-sigstore-js.mjs', import.meta.url));
const sigstoreProgram = new LineProgram(process.execPath, [SIGSTORE_JS], { cwd: SIGSTORE_TUF });

/** `@sigstore/tuf` on this Node. With `forceCache` it asks the network only where its cache does not do. */
export const sigstoreJsGet = (url: string, target: string, dir: string, forceCache = false): Promise<Answer> =>
  sigstoreProgram.ask({ url, root: join(dir, 'root.json'), directory: join(dir, 'cache'), target, forceCache });

export const sigstoreJs: TufClient = {
  name: '@sigstore/tuf 4.0.2',
  lacking: existsSync(join(SIGSTORE_TUF, 'node_modules', '@sigstore', 'tuf'))
    ? undefined
    : `@sigstore/tuf is not in ${SIGSTORE_TUF} (.ci/run puts it there)`,
  anyTarget: true,
  // It reads the root when it first gets something.
  trust: async (_url, root, dir) => {
    await copyFile(root, join(dir, 'root.json'));
    return undefined;
  },
  get: (url, target, dir) => sigstoreJsGet(url, target, dir),
  close: () => sigstoreProgram.close(),
};

const PYTHON_TUF = join(CACHE, 'python-tuf');
const PYTHON_DRIVER = fileURLToPath(new URL('tuf-python.py', import.meta.url));
const pythonProgram = new LineProgram('python3', [PYTHON_DRIVER], {
  env: { ...process.env, PYTHONPATH: PYTHON_TUF, PYTHONDONTWRITEBYTECODE: '1' },
});

const pythonTuf: TufClient = {
  name: 'python-tuf 7.0.0',
  lacking: existsSync(join(PYTHON_TUF, 'tuf'))
    ? lacking('python3')
    : `python-tuf is not in ${PYTHON_TUF} (.ci/run puts it there)`,
  anyTarget: true,
  trust: async (_url, root, dir) => {
    await copyFile(root, join(dir, 'first.json'));
    await mkdir(join(dir, 'metadata'));
    return undefined;
  },
  get: (url, target, dir) =>
    pythonProgram.ask({ url, root: join(dir, 'first.json'), directory: join(dir, 'metadata'), target }),
  close: () => pythonProgram.close(),
};

/** Stele's own client, beside the others. */
export const steleClient: TufClient = {
  name: 'Stele',
  lacking: undefined,
  anyTarget: true,
  trust: async (url, root, dir) => {
    const why = await whyNot(async () => useTrust(new TrustStore(join(dir, 'trust')), `${url}/`, await readFile(root)));
    return why === undefined ? undefined : `${why.code}: ${why.message}`;
  },
  get: async (_url, target, dir) => {
    const store = new TrustStore(join(dir, 'trust'));
    const why = await whyNot(() => updateTrust(store));
    if (why !== undefined) return { bytes: undefined, said: `${why.code}: ${why.message}` };
    const bytes = await loadTrust(store)?.target(target);
    return { bytes: bytes && Buffer.from(bytes), said: '' };
  },
};

async function whyNot(work: () => Promise<unknown>): Promise<ClientError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
}

export const TUF_CLIENTS: readonly TufClient[] = [cosign, goTuf, sigstoreJs, pythonTuf];
