/** `stele explorer`: writes the page that checks logs in a browser, for any server of files. */
import { join } from 'node:path';
import { Command } from 'commander';
import { decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import { MAX_EXPLORER_CONFIG } from '../../merkle/explorer-config.ts';
import { MAX_POLICY } from '../../merkle/policy.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { usage } from '../errors.ts';
import { type ExplorerFileLog, formatExplorerConfig, writeExplorer } from '../explorer/write-explorer.ts';
import { parseCheckpointKey } from '../trust/log-key.ts';
import { MAX_TRUSTED_ROOT } from '../trust/trusted-root.ts';
import { readWhole, verifierKeyTexts } from './files.ts';
import { print } from './report.ts';

const HELP = `
The page checks all that it shows against its explorer.json, and connects to the addresses in it alone. With --log the command makes
that file for one log; with --config it takes one with any number of logs (docs/explorer.md).

The directory can lie on any server of files, which sends the headers of DIR/headers.nginx or DIR/_headers; a server that sends
no headers still serves a page with a policy in it. A log serves the directory itself with \`explorer.directory\`. Nothing is
fetched, neither now nor from anybody but these addresses later. The command may be repeated: it changes what is new.

Exit status: 0 written, 2 the configuration is wrong, or a file cannot be read or written.

Examples:
  stele explorer --out public/explorer --log https://log.example.com --log-key log.vkey --policy policy
  stele explorer --out public/explorer --config explorer.json
  stele explorer --out public/explorer --log https://log.example.com --log-key log.vkey --policy policy \\
    --index https://index.example.com --output-log https://out.example.com --output-policy output.policy \\
    --rebuilders rebuilders.policy --trusted-root trusted_root.json`;

interface ExplorerOptions {
  readonly out: string;
  readonly config?: string;
  readonly log?: string;
  readonly logKey?: readonly string[];
  readonly policy?: string;
  readonly index?: string;
  readonly outputLog?: string;
  readonly outputPolicy?: string;
  readonly rebuilders?: string;
  readonly trustedRoot?: string;
  readonly json?: boolean;
}

export function explorerCommand(): Command {
  return new Command('explorer')
    .description('Write the page that checks logs in a browser')
    .requiredOption('--out <dir>', 'the directory to write to; it is made where it is missing')
    .option('--config <file>', 'an explorer.json that exists, in the place of the options of one log')
    .option('--log <url>', 'the log; an address such as "/" is of the server that has the page')
    .option('--log-key <vkey...>', "the log's verifier keys, or files with them")
    .option('--policy <file>', 'the quorum policy (c2sp.org/tlog-policy) of its checkpoints')
    .option('--index <url>', 'an index over the log (stele index)')
    .option('--output-log <url>', 'the output log of a verifiable index; needs --output-policy')
    .option('--output-policy <file>', 'the policy that names the output log and its witnesses')
    .option('--rebuilders <file>', 'the policy that names the rebuilders of the index')
    .option('--trusted-root <file>', 'what certificates and bundles are checked against (trusted_root.json)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(explorer);
}

async function explorer(options: ExplorerOptions): Promise<void> {
  const config = await configOf(options);
  await writeExplorer(options.out, config, { policyInPage: true });
  const { logs } = JSON.parse(decodeUtf8(config)) as { readonly logs: readonly ExplorerFileLog[] };
  const { out } = options;
  print(options.json, { dir: out, logs: logs.map(({ origin, url }) => ({ origin, url })) }, [
    `The explorer is in ${out}, for ${logs.map(({ origin }) => origin).join(', ')}.`,
    `Serve it with the headers of ${join(out, 'headers.nginx')}, or set \`explorer.directory\` of a log to it.`,
  ]);
}

async function configOf(options: ExplorerOptions): Promise<Uint8Array> {
  const { config, log, logKey } = options;
  const ofOneLog = [log, logKey, options.policy, options.index, options.outputLog, options.outputPolicy];
  if (config !== undefined) {
    if ([...ofOneLog, options.rebuilders, options.trustedRoot].some((given) => given !== undefined)) {
      throw usage('--config has all that the page knows: give it alone, or --log and its options');
    }
    return await readWhole(config, MAX_EXPLORER_CONFIG, 'an explorer.json');
  }
  if (log === undefined || logKey === undefined) {
    throw usage('name the log and its key (--log, --log-key), or an explorer.json (--config)');
  }
  return encodeUtf8(formatExplorerConfig([await oneLog(log, logKey, options)]));
}

async function oneLog(url: string, logKey: readonly string[], options: ExplorerOptions): Promise<ExplorerFileLog> {
  const keys = (await Promise.all(logKey.map(verifierKeyTexts))).flat();
  const names = new Set(keys.map((key) => parseCheckpointKey(key, nodeNotePrimitives).name));
  if (names.size !== 1) throw usage('the keys are of several logs: --config takes an explorer.json with all of them');
  const { outputLog, index, trustedRoot } = options;
  const [policy, outputPolicy, rebuilders] = await Promise.all(
    [options.policy, options.outputPolicy, options.rebuilders].map(textOf),
  );
  if ((outputLog === undefined) !== (outputPolicy === undefined)) {
    throw usage('a verifiable index needs both --output-log and --output-policy');
  }
  if (rebuilders !== undefined && outputLog === undefined) throw usage('--rebuilders needs --output-log');
  return {
    origin: [...names][0]!,
    url,
    keys,
    policy,
    index,
    ...(outputLog !== undefined && { map: { outputLog, policy: outputPolicy!, rebuilders } }),
    ...(trustedRoot !== undefined && { trustedRoot: await rootOf(trustedRoot) }),
  };
}

async function textOf(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : decodeUtf8(await readWhole(file, MAX_POLICY, 'a policy'));
}

async function rootOf(file: string): Promise<object> {
  const bytes = await readWhole(file, MAX_TRUSTED_ROOT, 'a trusted root');
  try {
    return JSON.parse(decodeUtf8(bytes)) as object;
  } catch {
    throw usage(`${file} is no JSON: a trusted root is one object (trusted_root.json)`);
  }
}
