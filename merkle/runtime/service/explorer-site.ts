/**
 * The page of an explorer (client/explorer/), as the build or `stele explorer` left it in a directory:
 *
 *   index.html, explorer.json, assets/NAME-HASH.js …, each also with `.br` and `.gz` where it is compressed
 *
 * `explorer.json` is read again when it changes: the page may connect to the addresses in it, and to no others.
 */
import { type BigIntStats, readFileSync } from 'node:fs';
import { join } from 'node:path';
import acceptNegotiator from '@fastify/accept-negotiator';
import { MerkleError } from '../../errors.ts';
import { explorerOrigins, MAX_EXPLORER_CONFIG, parseExplorerConfig } from '../../explorer-config.ts';
import { explorerCaching, explorerHeaders, isHashedAsset } from '../../explorer-headers.ts';
import { isSame } from '../disk/settled.ts';
import type { Answer } from './http-server.ts';
import { type FolderLimits, ServedFolder } from './served-folder.ts';

const LIMITS: FolderLimits = { file: MAX_EXPLORER_CONFIG, kept: 8 * 1024 * 1024, held: 64 * 1024 * 1024 };
const PAGE = 'index.html';
const CONFIG = 'explorer.json';
const ASSET = /^assets\/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$/;
const ENCODINGS = { br: '.br', gzip: '.gz' } as const;
type Encoding = keyof typeof ENCODINGS;

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  LICENSES: 'text/plain; charset=utf-8',
};

/** A relative address in `explorer.json` is of the page's own server, wherever that is. */
const HERE = 'https://explorer.invalid/explorer/';

interface Trusted {
  readonly stats: BigIntStats | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly problem: string | undefined;
}

export class ExplorerSite {
  readonly #directory: string;
  readonly #folder: ServedFolder;
  #trusted: Trusted | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    const names = {
      serves: (path: string) => typeOf(plainName(path)) !== undefined,
      changes: (path: string) => !isHashedAsset(plainName(path)),
      answer: (path: string, body: Uint8Array) => this.#answer(path, body),
    };
    this.#folder = new ServedFolder(directory, names, LIMITS);
  }

  /** Why the page cannot be used, in a sentence. */
  problem(): string | undefined {
    if (this.#folder.statsOf(PAGE) === undefined) return `${join(this.#directory, PAGE)} is not there`;
    return this.#config().problem;
  }

  /**
   * The reply with a file, compressed where the client accepts that; `missing` and `busy` as `ServedFolder` has them.
   *
   * @param path behind the URL of the page and its slash, as it was sent; empty for the page itself
   * @throws RuntimeError `file`, in the promise
   */
  get(path: string, acceptEncoding: string | undefined): Answer | Promise<Answer> | 'missing' | 'busy' {
    const name = path === '' ? PAGE : path;
    // A compressed copy has no address of its own.
    if (typeOf(name) === undefined) return 'missing';
    const encoding = acceptEncoding === undefined ? undefined : chosen(acceptEncoding);
    const compressed = encoding && this.#folder.get(`${name}${ENCODINGS[encoding]}`);
    return compressed === undefined || compressed === 'missing' ? this.#folder.get(name) : compressed;
  }

  #answer(path: string, body: Uint8Array): Answer {
    const name = plainName(path);
    const encoding = (Object.keys(ENCODINGS) as Encoding[]).find((one) => path === `${name}${ENCODINGS[one]}`);
    return {
      status: 200,
      headers: {
        ...this.#config().headers,
        'content-type': typeOf(name)!,
        'cache-control': explorerCaching(name),
        vary: 'Accept-Encoding',
        ...(encoding && { 'content-encoding': encoding }),
      },
      body,
    };
  }

  /** What `explorer.json` says now. With a file that cannot be read the page may connect to its own server, and tells why. */
  #config(): Trusted {
    const stats = this.#folder.statsOf(CONFIG);
    const before = this.#trusted;
    if (before !== undefined && (before.stats === undefined ? stats === undefined : isSame(before.stats, stats))) {
      return before;
    }
    let origins: readonly string[] = [];
    let problem: string | undefined;
    try {
      const file = join(this.#directory, CONFIG);
      if (stats === undefined) problem = `${file} is not there: it names the logs that the page shows, and their keys`;
      else origins = explorerOrigins(parseExplorerConfig(readFileSync(file), HERE));
    } catch (error) {
      problem = error instanceof MerkleError ? error.message : `${CONFIG} cannot be read`;
    }
    const others = origins.filter((origin) => origin !== new URL(HERE).origin);
    this.#trusted = { stats, headers: explorerHeaders(others), problem };
    return this.#trusted;
  }
}

function typeOf(name: string): string | undefined {
  if (name !== PAGE && name !== CONFIG && !ASSET.test(name)) return undefined;
  const end = name.slice(Math.max(name.lastIndexOf('.'), name.lastIndexOf('/')) + 1);
  return Object.hasOwn(TYPES, end) ? TYPES[end] : undefined;
}

/** The name of the file that a compressed copy is of, or the name itself. */
function plainName(path: string): string {
  return path.replace(/\.(?:br|gz)$/, '');
}

function chosen(acceptEncoding: string): Encoding | undefined {
  const best = acceptNegotiator.negotiate(acceptEncoding.toLowerCase(), [...Object.keys(ENCODINGS), 'identity']);
  return best === 'br' || best === 'gzip' ? best : undefined;
}
