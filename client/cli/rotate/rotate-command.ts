/** `stele log rotate`: replaces a log's origin and key. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { SecretSource } from '../../../merkle/runtime/keys/types.ts';
import { usage } from '../../errors.ts';
import { parseLogUrl } from '../../submit/log-url.ts';
import { confirmOrigin } from '../confirm-origin.ts';
import { collect } from '../program.ts';
import { print } from '../report.ts';
import { addAdminOptions, addSettings, configOf, type ServerMain } from '../settings-flags.ts';
import { passphraseOf, tokenKeyOf } from '../token-options.ts';
import { upParts } from '../up/up-rotate.ts';
import { type Rotation, rotate, type ShardOrder } from './rotate.ts';
import { type TrustPlace, trustDirectory, trustRepository } from './trust-place.ts';

const SHOWN = ['data', 'public-url', 'policy'];

const HELP = `
The shard that takes entries is frozen with a pinned last checkpoint, and a new shard at URL takes its place: another log with
an origin (the host in URL) and a key of its own, served by the same process. Old proofs stay verifiable. Clients learn of it
from the trust files: in a TUF repository (--trust-repo), or in a directory that you publish (--trust-dir).

The steps: prepare the shard; ask whether the witnesses of the policy know its key; announce it; freeze the old shard; publish
the end of its key; open the new shard. Whatever ends the command, the same command again does what is left, without URL
too. It also ends where others must act first, and says what they have to do: witnesses, or holders of keys. Between the freeze
and the last step no shard takes entries, and clients wait.

In the data directory of \`stele up\` the command finds witnesses, repository and keys by itself.

Exit status: 0 the rotation is done (with --announce: it is announced), 1 it waits for somebody or a step failed, 2 not tried.

Examples:
  stele log rotate https://log2.example.com --config stele.yaml --trust-repo /srv/trust-repo --targets-key holder-1.pem \\
    --online-key online.pem
  stele log rotate --config stele.yaml --trust-repo /srv/trust-repo --online-key online.pem --yes
  stele log rotate https://log2.example.com --config stele.yaml --trust-dir /srv/trust --announce
  stele log rotate --config stele.yaml --dry-run
  stele log rotate http://127.0.0.1:3000 --data data --yes`;

interface RotateCommandOptions {
  readonly trustRepo?: string;
  readonly trustDir?: string;
  readonly targetsKey?: readonly string[];
  readonly onlineKey?: readonly string[];
  readonly nextKeyFile?: string;
  readonly nextPassphraseFile?: string;
  readonly nextPassphraseEnv?: string;
  readonly nextPkcs11Module?: string;
  readonly nextToken?: string;
  readonly nextLabel?: string;
  readonly nextPinFile?: string;
  readonly nextPinEnv?: string;
  readonly nextAgentKey?: string;
  readonly nextEd25519KeyFile?: string;
  readonly nextMldsaKeyFile?: string;
  readonly announce?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function rotateCommand(server: ServerMain): Command {
  const command = new Command('rotate')
    .description('Replace the key: freeze the log, and go on in a new shard with another origin and key')
    .argument('[url]', 'where others reach the next shard; left out, a rotation that is under way goes on');
  return addAdminOptions(addSettings(command, server, SHOWN))
    .option('--trust-repo <dir>', 'the TUF repository from which clients learn of the new key (`stele trust init`)')
    .option(
      '--targets-key <file>',
      'private key that signs its targets; can be repeated. Other holders sign elsewhere',
      collect,
    )
    .option('--online-key <file>', 'private key of its snapshot and timestamp; can be repeated', collect)
    .option('--trust-dir <dir>', 'in the place of a repository: the directory of trust files that you publish')
    .option(
      '--next-key-file <file>',
      "private key of the next shard (default: a new Ed25519 key in the shard's directory)",
    )
    .option('--next-passphrase-file <file>', '… file with its passphrase')
    .option('--next-passphrase-env <name>', '… or environment variable with it')
    .option('--next-pkcs11-module <module>', 'the key of the next shard in a token: PKCS#11 module')
    .option('--next-token <label>', '… label of the token')
    .option('--next-label <label>', '… label of the key')
    .option('--next-pin-file <file>', '… file with the PIN')
    .option('--next-pin-env <name>', '… or environment variable with it')
    .option('--next-agent-key <key>', 'the key of the next shard in an ssh-agent: fingerprint or public key')
    .option('--next-ed25519-key-file <file>', 'a second key, for witnesses, where the key of the next shard is ECDSA')
    .option('--next-mldsa-key-file <file>', 'an ML-DSA-44 key that signs its checkpoints too')
    .option('--announce', 'end before the freeze: clients and monitors learn of the next key')
    .option('--dry-run', 'say where the rotation stands, and do nothing')
    .option('--yes', 'do not ask before the freeze; needed where there is no terminal')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action((url: string | undefined, options: RotateCommandOptions) => run(url, options, command, server));
}

async function run(
  url: string | undefined,
  options: RotateCommandOptions,
  command: Command,
  server: ServerMain,
): Promise<void> {
  const given = configOf(command, server);
  const up = await upParts(given.data);
  const { entries = given.entries } = (await server.readIdentity(given.data)) ?? {};
  const policy = given.policy ?? up?.policy;
  const publicUrl = given.publicUrl ?? up?.url;
  const config = { ...given, entries, ...(policy && { policy }), ...(publicUrl && { publicUrl }) };
  const { makeLogger } = await import('../../../merkle/runtime/service/logger.ts');
  const dryRun = options.dryRun === true;
  const result = await rotate({
    server,
    config,
    logger: makeLogger({ level: 'warn' }),
    order: orderOf(url, options),
    place: placeOf(options, up?.place),
    tellWitnesses: up?.tellWitnesses,
    announceOnly: options.announce === true,
    dryRun,
    confirm: (origin) => (options.yes === true ? Promise.resolve() : confirmOrigin(origin, 'a rotation')),
    now: Date.now,
  });
  const ok = dryRun || result.step === 'done' || result.waiting?.for === 'time';
  print(options.json, { ok, ...jsonOf(result) }, dryRun ? standing(result) : ended(result));
  if (!ok) process.exitCode = 1;
}

/** The shard's origin is the host of its address: clients look for that name in its checkpoints. */
function orderOf(url: string | undefined, options: RotateCommandOptions): ShardOrder | undefined {
  const key = keyOf(options);
  const { nextEd25519KeyFile, nextMldsaKeyFile } = options;
  const ed25519Key = nextEd25519KeyFile === undefined ? undefined : { file: resolve(nextEd25519KeyFile) };
  const mldsaKey = nextMldsaKeyFile === undefined ? undefined : resolve(nextMldsaKeyFile);
  if (url === undefined) {
    if (key === undefined && ed25519Key === undefined && mldsaKey === undefined) return undefined;
    throw usage('the options --next-… are for a new shard: name its URL as well');
  }
  const place = parseLogUrl(url);
  return {
    origin: new URL(place).hostname,
    url: place,
    ...(key !== undefined && { key }),
    ...(ed25519Key !== undefined && { ed25519Key }),
    ...(mldsaKey !== undefined && { mldsaKey }),
  };
}

/** Paths are absolute: the process of the running log opens the key. @throws ClientError `usage` */
function keyOf(options: RotateCommandOptions): ShardOrder['key'] {
  const { nextKeyFile: file, nextAgentKey: agentKey, nextPkcs11Module: module } = options;
  const { nextToken, nextLabel, nextPinFile, nextPinEnv, nextPassphraseFile, nextPassphraseEnv } = options;
  const given = {
    ...(module !== undefined && { pkcs11Module: module.includes('/') ? resolve(module) : module }),
    ...(nextToken !== undefined && { token: nextToken }),
    ...(nextLabel !== undefined && { label: nextLabel }),
    ...(nextPinFile !== undefined && { pinFile: resolve(nextPinFile) }),
    ...(nextPinEnv !== undefined && { pinEnv: nextPinEnv }),
    ...(nextPassphraseFile !== undefined && { passphraseFile: resolve(nextPassphraseFile) }),
    ...(nextPassphraseEnv !== undefined && { passphraseEnv: nextPassphraseEnv }),
  };
  const pkcs11 = tokenKeyOf(given);
  const passphrase = passphraseOf(given);
  if ([file, agentKey, pkcs11].filter((one) => one !== undefined).length > 1) {
    throw usage('the next shard has one key: keep one of --next-key-file, --next-pkcs11-module and --next-agent-key');
  }
  // The options name the place of the PIN.
  if (pkcs11 !== undefined) return { pkcs11: { ...pkcs11, pin: pkcs11.pin as SecretSource } };
  if (agentKey !== undefined) return { agent: { key: agentKey } };
  if (file !== undefined) return { file: resolve(file), ...(passphrase !== undefined && { passphrase }) };
  if (passphrase !== undefined) throw usage('a passphrase is for --next-key-file: give that too');
  return undefined;
}

/** @param own the place that is used where the options name none */
function placeOf(
  { trustRepo, trustDir, targetsKey, onlineKey, dryRun }: RotateCommandOptions,
  own: TrustPlace | undefined,
): TrustPlace {
  if (trustRepo !== undefined && trustDir !== undefined) throw usage('give one of --trust-repo and --trust-dir');
  if (trustRepo !== undefined) {
    const keys = (files: readonly string[] = []) => files.map((file) => ({ file }));
    return trustRepository(trustRepo, { targets: keys(targetsKey), online: keys(onlineKey) });
  }
  if (targetsKey !== undefined || onlineKey !== undefined)
    throw usage('--targets-key and --online-key are for --trust-repo');
  if (trustDir !== undefined) return trustDirectory(trustDir);
  if (own !== undefined) return own;
  if (dryRun === true) return trustDirectory('.');
  throw usage('say from where clients learn of the new key: --trust-repo, or --trust-dir');
}

function jsonOf({ from, next, step, lastCheckpoint, waiting }: Rotation): object {
  return {
    from,
    ...(next !== undefined && { to: next.origin, url: next.url, verifierKeys: next.verifierKeys }),
    step,
    ...(lastCheckpoint !== undefined && { lastCheckpoint }),
    ...(waiting !== undefined && { waitsFor: waiting.for, todo: waiting.todo }),
  };
}

function standing({ from, next, step }: Rotation): string[] {
  if (step === 'done' && next === undefined) return [`The log "${from}" takes entries, and no rotation is under way.`];
  if (step === 'done') return [`The rotation from "${from}" to "${next!.origin}" is done.`];
  const to = next === undefined ? 'a new shard' : `"${next.origin}"`;
  return [`The rotation from "${from}" to ${to}: the next step is ${step}.`];
}

function ended(result: Rotation): string[] {
  const { from, next, lastCheckpoint, waiting } = result;
  if (waiting?.for === 'time') {
    return [`"${next!.origin}" is announced, and "${from}" goes on taking entries.`, ...waiting.todo];
  }
  if (waiting !== undefined) {
    const frozen =
      lastCheckpoint === undefined ? 'Nothing is frozen yet' : `"${from}" is frozen, and no shard takes entries`;
    return [`The rotation waits for ${waiting.for}. ${frozen}.`, ...waiting.todo.map((line) => `  ${line}`)];
  }
  return [
    `"${from}" is frozen, and "${next!.origin}" takes entries at ${next!.url}. Its verifier key:`,
    ...next!.verifierKeys.map((vkey) => `  ${vkey}`),
    '',
    `The last checkpoint of "${from}":`,
    '',
    (lastCheckpoint ?? '').trimEnd(),
  ];
}
