/**
 * The servers of the comparison. Each starts as its own project says, on files in a separate directory. A peer that is not
 * on this machine has no `start`, and its rows say so.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { encodeBase64 } from '../../merkle/bytes.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../merkle/note.ts';
import { printedUrl } from '../load/server.ts';

/** The folder with the programs of the peers: rekor-server-posix (sigstore/rekor-tiles) and tessera-posix (tessera). */
const PEERS = process.env.PEERS_BIN ?? '';
const REKOR = resolve(PEERS, 'rekor-server-posix');
const TESSERA = resolve(PEERS, 'tessera-posix');
const STELE = resolve('dist/client/cli/main.js');
/** SubjectPublicKeyInfo of an Ed25519 key ends in its 32 bytes. */
const ED25519_SIZE = 32;
const START_MS = 20_000;

export interface Running {
  readonly port: number;
  readonly child: ChildProcess;
  /** The place of its tiles: a URL or a directory. */
  readonly tiles: string;
  readonly verifierKey: string;
}

export interface Contestant {
  readonly name: string;
  /** The URL path for new entries. */
  readonly path: string;
  /** Undefined if the server is not on this machine. */
  readonly start: ((dir: string) => Promise<Running>) | undefined;
}

export const STELE_SIGNED: Contestant = {
  name: 'stele',
  path: '/api/v2/log/entries',
  start: (dir) => startStele(dir, []),
};

export const STELE_RAW: Contestant = {
  name: 'stele, raw',
  path: '/add',
  start: (dir) => startStele(dir, ['--entries', 'raw']),
};

/** The same on another Node, if OTHER_NODE has the path of its program. */
const OTHER_NODE = process.env.OTHER_NODE;
export const STELE_OTHER_NODE = onOtherNode(STELE_SIGNED, []);
export const STELE_RAW_OTHER_NODE = onOtherNode(STELE_RAW, ['--entries', 'raw']);

function onOtherNode({ name, path }: Contestant, flags: readonly string[]): Contestant {
  if (OTHER_NODE === undefined) return { name: `${name}, another Node`, path, start: undefined };
  const version = execFileSync(OTHER_NODE, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  return { name: `${name}, Node ${version}`, path, start: (dir) => startStele(dir, flags, OTHER_NODE) };
}

/** This server answers most entries if it publishes every 100 ms. Its default is every 10 s. */
export const REKOR_FAST = rekor('rekor-server-posix, 100 ms', ['--checkpoint-interval=100ms', '--batch-max-age=50ms']);
export const REKOR_DEFAULT = rekor('rekor-server-posix, default', []);

export const TESSERA_POSIX: Contestant = {
  name: 'tessera-posix',
  path: '/add',
  start: existsSync(TESSERA) ? startTessera : undefined,
};

async function startStele(dir: string, flags: readonly string[], node = process.execPath): Promise<Running> {
  const own = [
    '--origin',
    'localhost',
    '--data',
    dir,
    '--listen-port',
    '0',
    '--admin-port',
    '0',
    '--log-level',
    'warn',
    '--json',
  ];
  const child = spawn(node, [STELE, 'serve', ...own, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await printedUrl(child);
  const { verifierKeys } = (await (await fetch(`${url}/stele/v1/log`)).json()) as { verifierKeys: string[] };
  return { port: Number(new URL(url).port), child, tiles: url, verifierKey: verifierKeys[0]! };
}

function rekor(name: string, flags: readonly string[]): Contestant {
  const start = async (dir: string): Promise<Running> => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const key = ed25519VerifierKey(
      'rekor.test',
      publicKey.export({ format: 'der', type: 'spki' }).subarray(-ED25519_SIZE),
    );
    const keyFile = join(dir, 'key.pem');
    const storage = join(dir, 'storage');
    mkdirSync(storage, { recursive: true });
    writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    const [port, grpc, metrics] = (await freePorts(3)) as [number, number, number];
    const own = ['serve', '--hostname=rekor.test', `--storage-dir=${storage}`, `--signer-filepath=${keyFile}`];
    const ports = [`--http-port=${port}`, `--grpc-port=${grpc}`, `--http-metrics-port=${metrics}`, '--log-level=error'];
    const child = spawn(REKOR, [...own, ...ports, ...flags], { stdio: 'ignore' });
    await answering(`http://127.0.0.1:${port}/healthz`, child);
    // It serves no reads itself: its operator puts a file server before the directory.
    return { port, child, tiles: storage, verifierKey: formatVerifierKey(key) };
  };
  return { name, path: '/api/v2/log/entries', start: existsSync(REKOR) ? start : undefined };
}

async function startTessera(dir: string): Promise<Running> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-ED25519_SIZE);
  const key = ed25519VerifierKey('tessera.test', raw);
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-ED25519_SIZE);
  // The form of golang.org/x/mod/sumdb/note: the key ID in hex, and the type with the seed in base64.
  const id = Buffer.from(key.keyId).toString('hex');
  const secret = `PRIVATE+KEY+${key.name}+${id}+${encodeBase64(Buffer.concat([Buffer.of(1), seed]))}`;
  const [port] = (await freePorts(1)) as [number];
  const child = spawn(TESSERA, [`--storage_dir=${dir}`, `--listen=127.0.0.1:${port}`], {
    stdio: 'ignore',
    env: { ...process.env, GODEBUG: 'httpmuxgo121=0', LOG_PRIVATE_KEY: secret },
  });
  const tiles = `http://127.0.0.1:${port}`;
  await answering(`${tiles}/checkpoint`, child);
  return { port, child, tiles, verifierKey: formatVerifierKey(key) };
}

/** Resolves once the server answers. */
async function answering(url: string, child: ChildProcess): Promise<void> {
  const limit = performance.now() + START_MS;
  while (performance.now() < limit && child.exitCode === null) {
    const reply = await fetch(url).catch(() => undefined);
    await reply?.arrayBuffer();
    if (reply?.status === 200) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  child.kill('SIGKILL');
  throw new Error(`${url} did not answer in ${START_MS / 1000} s`);
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done) =>
          server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
