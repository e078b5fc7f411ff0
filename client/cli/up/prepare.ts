/**
 * Prepares the start of the processes of `stele up`: makes the keys once, writes the list of logs of each witness and the
 * policy of the log. All is below the log's data directory, which `stele serve` and `stele log` can use as it is:
 *
 *     witness-1 … witness-3   the data directory of each witness, with its key and its list of logs
 *     trust/                  files for others: log.vkey, policy, trusted_root.json (and v0.2), signing_config.json,
 *                             monitor_config.json
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import {
  ecdsaVerifierKey,
  ed25519VerifierKey,
  formatVerifierKey,
  KEY_TYPE,
  makeVerifierKey,
  type VerifierKey,
} from '../../../merkle/note.ts';
import { parseSpki, pointOf } from '../../../merkle/rekor/spki.ts';
import { isThere, makeDirDurable, readFileIfThere, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import type { KeySpec, PublicKey } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import { formatTrustedRoot } from '../../trust/format-trusted-root.ts';
import { formatMonitoredLogs } from '../../trust/monitor-config.ts';
import { formatSigningConfig } from '../../trust/signing-config.ts';
import { knownStart, type PolicyWitness, policyText, signingConfigOf, trustedRootOf } from './trust-files.ts';

export const WITNESSES = 3;
export const THRESHOLD = 2;

/** The part of a log's configuration that is needed here. */
interface LogConfig {
  readonly origin: string;
  readonly data: string;
  readonly key: KeySpec;
  readonly createKey: boolean;
  readonly ed25519Key?: KeySpec;
}

export interface PreparedWitness extends PolicyWitness {
  readonly keyName: string;
  readonly data: string;
  readonly logs: string;
  readonly port: number;
}

export interface Prepared {
  readonly policy: string;
  readonly witnesses: readonly PreparedWitness[];
  readonly logKeys: readonly VerifierKey[];
}

const MAX_FILE = 1024 * 1024;

/**
 * @param firstPort of the witnesses' consecutive ports; 0 takes free ones
 * @throws RuntimeError `key-…`, `pkcs11-…`, `secret`, `file`
 */
export async function prepare(config: LogConfig, firstPort: number): Promise<Prepared> {
  await makeDirDurable(config.data);
  const logKeys = await openLogKeys(config);
  const ports = firstPort === 0 ? await freePorts(WITNESSES) : undefined;
  const witnesses: PreparedWitness[] = [];
  for (let i = 0; i < WITNESSES; i++) {
    witnesses.push(await prepareWitness(config, logKeys, i + 1, ports?.[i] ?? firstPort + i));
  }
  const policy = join(config.data, 'trust', 'policy');
  await makeDirDurable(join(config.data, 'trust'));
  const prepared = { policy, witnesses, logKeys };
  await writePolicy(prepared, undefined);
  return prepared;
}

/** Writes the files for others, now that the log's URL is known. Returns their directory. */
export async function writeTrust(config: LogConfig, prepared: Prepared, url: string): Promise<string> {
  const dir = join(config.data, 'trust');
  const [own] = prepared.logKeys as [VerifierKey];
  await writePolicy(prepared, url);
  await write(join(dir, 'log.vkey'), `${formatVerifierKey(own)}\n`);
  const rootFile = join(dir, 'trusted_root.json');
  const before = await readFileIfThere(rootFile, MAX_FILE);
  const start = (before && knownStart(before, own)) ?? Date.now() - 60_000;
  const root = trustedRootOf(url, own, start, config.origin);
  await write(rootFile, decodeUtf8(formatTrustedRoot(root, '0.1')));
  await write(join(dir, 'trusted_root.v0.2.json'), decodeUtf8(formatTrustedRoot(root, '0.2')));
  const signing = signingConfigOf(url, config.origin, start);
  await write(join(dir, 'signing_config.json'), decodeUtf8(formatSigningConfig(signing)));
  const monitored = { readUrl: url, logOrigin: config.origin, majorApiVersion: 2 };
  const monitor = formatMonitoredLogs({ rekorLogs: [monitored], ctLogs: [] });
  await write(join(dir, 'monitor_config.json'), decodeUtf8(monitor));
  return dir;
}

async function writePolicy({ policy, witnesses, logKeys }: Prepared, url: string | undefined): Promise<void> {
  await write(policy, policyText(logKeys.map(formatVerifierKey), url, witnesses, THRESHOLD));
}

async function openLogKeys({ origin, data, key, createKey, ed25519Key }: LogConfig): Promise<VerifierKey[]> {
  // A log that has begun has lost its key where the file is missing; it says so itself when it starts.
  if (createKey && 'file' in key && !(await isThere(key.file)) && !(await isThere(join(data, 'stele.json')))) {
    await createKeyFile(key.file, 'ed25519');
  }
  const specs = ed25519Key === undefined ? [key] : [key, ed25519Key];
  return await Promise.all(specs.map(async (spec) => verifierKey(origin, await publicKey(spec))));
}

async function publicKey(spec: KeySpec): Promise<PublicKey> {
  const signer = await openSigner(spec);
  await signer.close();
  return signer;
}

function verifierKey(origin: string, { algorithm, publicKey }: PublicKey): VerifierKey {
  return algorithm === 'ed25519'
    ? ed25519VerifierKey(origin, pointOf(parseSpki(publicKey)))
    : ecdsaVerifierKey(origin, publicKey);
}

async function prepareWitness(
  { origin, data }: LogConfig,
  logKeys: readonly VerifierKey[],
  number: number,
  port: number,
): Promise<PreparedWitness> {
  const name = `witness-${number}`;
  const dir = join(data, name);
  await makeDirDurable(dir);
  const keyFile = join(dir, 'key.pem');
  if (!(await isThere(keyFile))) {
    // A witness that has cosigned refuses to start without its key, and a new key made here would hide the loss.
    if (await isThere(join(dir, 'witness.json'))) {
      throw new ClientError(
        'file',
        `the key ${keyFile} is missing, and this witness has signed with it: put it back, or remove ${dir} to begin with ` +
          'a new witness in its place',
      );
    }
    await createKeyFile(keyFile, 'ed25519');
  }
  const { publicKey: spki } = await publicKey({ file: keyFile });
  const keyName = `${origin}/${name}`;
  const key = makeVerifierKey(keyName, KEY_TYPE.cosignature, pointOf(parseSpki(spki)));
  const logs = join(dir, 'logs');
  await addLogs(logs, logKeys);
  return { name, keyName, vkey: formatVerifierKey(key), url: `http://localhost:${port}`, data: dir, logs, port };
}

/** Adds the log to the witness's list, whose other lines stay as they are. */
async function addLogs(file: string, keys: readonly VerifierKey[]): Promise<void> {
  const bytes = await readFileIfThere(file, MAX_FILE);
  const text = bytes === undefined ? '' : decodeUtf8(bytes);
  const missing = keys.map(formatVerifierKey).filter((vkey) => !text.includes(vkey));
  if (missing.length > 0) await write(file, `${text}${missing.map((vkey) => `log ${vkey}\n`).join('')}`);
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** Writes a file that all may read: it holds no secret. */
async function write(path: string, text: string): Promise<void> {
  await writeFileDurable(path, encodeUtf8(text), { mode: 0o644 });
}
