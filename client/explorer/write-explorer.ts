/**
 * Writes the explorer into a directory, for a log (`explorer.directory`) or any server of static files: the built page, its
 * `explorer.json`, and what a server must say about it.
 *
 *   index.html, assets/…    as the build left them, each compressed too (.br, .gz)
 *   explorer.json           the logs, and what is trusted about them (merkle/explorer-config.ts)
 *   headers.nginx           the headers, as nginx includes them
 *   _headers                the headers, as many hosts of static files read them
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { decodeUtf8, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { explorerOrigins, MAX_EXPLORER_CONFIG, parseExplorerConfig } from '../../merkle/explorer-config.ts';
import { explorerHeaders, explorerPolicy, isHashedAsset } from '../../merkle/explorer-headers.ts';
import {
  makeDirDurable,
  namesIn,
  readFileIfThere,
  removeFiles,
  writeFileDurable,
} from '../../merkle/runtime/disk/files.ts';
import { ClientError, usage } from '../errors.ts';

/** A log in `explorer.json`, as merkle/explorer-config.ts reads it. */
export interface ExplorerFileLog {
  readonly origin: string;
  readonly url: string;
  readonly keys: readonly string[];
  readonly policy?: string | undefined;
  readonly index?: string | undefined;
  readonly map?:
    | { readonly outputLog: string; readonly policy: string; readonly rebuilders?: string | undefined }
    | undefined;
  readonly trustedRoot?: object | undefined;
}

interface WriteOptions {
  /** Puts the policy into the page as well, for servers that send no headers. It must be written again when an address changes. */
  readonly policyInPage?: boolean;
}

/** Where relative addresses are relative to: any server may have the page. */
const BASE = 'https://explorer.invalid/explorer/explorer.json';
const MAX_ASSET = 4 * 1024 * 1024;

/** The text of an `explorer.json`. */
export function formatExplorerConfig(logs: readonly ExplorerFileLog[]): string {
  return `${JSON.stringify({ version: 1, logs }, undefined, 2)}\n`;
}

/**
 * Writes or brings up to date the explorer in `dir`, which is made where it is missing. What is there already is not written
 * again, and a page that is open meanwhile sees the old page or the new one.
 *
 * @param config the bytes of `explorer.json`
 * @throws ClientError `usage`: the configuration is wrong; `file`: the page was not built; RuntimeError `file`
 */
export async function writeExplorer(dir: string, config: Uint8Array, options: WriteOptions = {}): Promise<void> {
  const origins = originsOf(config);
  const built = builtPage();
  await makeDirDurable(join(dir, 'assets'));
  const assets = await namesIn(join(built, 'assets'));
  for (const name of assets) await put(join(dir, 'assets', name), await mustRead(join(built, 'assets', name)));
  await put(join(dir, 'headers.nginx'), encodeUtf8(nginxHeaders(origins)));
  await put(join(dir, '_headers'), encodeUtf8(staticHeaders(origins)));
  await put(join(dir, 'explorer.json'), config);
  // Last: from here on browsers ask for the assets of this build.
  await putPage(dir, built, options.policyInPage === true ? origins : undefined);
  const old = (await namesIn(join(dir, 'assets'))).filter((name) => !assets.includes(name));
  await removeFiles(
    old
      .filter((name) => isHashedAsset(`assets/${name.replace(/\.(?:br|gz)$/, '')}`))
      .map((name) => join(dir, 'assets', name)),
  );
}

async function putPage(dir: string, built: string, inPage: readonly string[] | undefined): Promise<void> {
  const page = decodeUtf8(await mustRead(join(built, 'index.html')));
  const policy = inPage && `<meta http-equiv="Content-Security-Policy" content="${explorerPolicy(inPage, true)}" />`;
  const bytes = encodeUtf8(policy === undefined ? page : page.replace('<meta name="viewport"', `${policy}\n    $&`));
  const files = {
    'index.html.br': await promisify(brotliCompress)(bytes),
    'index.html.gz': await promisify(gzip)(bytes),
    'index.html': bytes,
  };
  for (const [name, content] of Object.entries(files)) await put(join(dir, name), content);
}

function originsOf(config: Uint8Array): string[] {
  try {
    const here = new URL(BASE).origin;
    return explorerOrigins(parseExplorerConfig(config, BASE)).filter((origin) => origin !== here);
  } catch (error) {
    if (error instanceof MerkleError) throw usage(error.message);
    throw error;
  }
}

/** The headers for nginx, to be included in the block of the page: deploy/nginx/stele-explorer.conf. */
function nginxHeaders(origins: readonly string[]): string {
  const lines = Object.entries(explorerHeaders(origins)).map(
    ([name, value]) => `add_header ${name} "${value}" always;`,
  );
  return `# Written by \`stele explorer\`, from explorer.json: write it again when an address there changes.\n${lines.join('\n')}\n`;
}

function staticHeaders(origins: readonly string[]): string {
  const lines = Object.entries(explorerHeaders(origins)).map(([name, value]) => `  ${name}: ${value}\n`);
  // Files of assets beside the worker's script come in many names; hosts that read this file ask again for what has no rule.
  return `/*\n${lines.join('')}`;
}

function builtPage(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve('#dist/explorer/index.html'));
  } catch (cause) {
    throw new ClientError('file', 'dist/explorer/index.html is not there: run "npm run build"', { cause });
  }
}

async function mustRead(path: string): Promise<Uint8Array> {
  const bytes = await readFileIfThere(path, MAX_ASSET);
  if (bytes === undefined) throw new ClientError('file', `${path} is not there: run "npm run build"`);
  return bytes;
}

/** Writes a file that all may read, unless it is there with these bytes. */
async function put(path: string, bytes: Uint8Array): Promise<void> {
  const before = await readFileIfThere(path, MAX_EXPLORER_CONFIG).catch(() => undefined);
  if (before === undefined || !equal(before, bytes)) await writeFileDurable(path, bytes, { mode: 0o644 });
}
