/** `stele log`: the operator's commands on the data of a log, whether the log runs or not. */
import { Command } from 'commander';
import { encodeBase64 } from '../../merkle/bytes.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { counted } from '../formats/counted.ts';
import { parseCheckpointKey } from '../trust/log-key.ts';
import { calledAs } from './called-as.ts';
import { confirmOrigin } from './confirm-origin.ts';
import { verifierKeyTexts } from './files.ts';
import { withProgress } from './progress.ts';
import { print } from './report.ts';
import { rotateCommand } from './rotate/rotate-command.ts';
import { addDataSettings, configOf, loadServer, type ServerMain } from './settings-flags.ts';

/** `--help` lists these settings; the commands take all settings. */
const SETTINGS = { service: 'stele serve', shown: ['data', 'origin', 'key-file'] };

interface JsonOption {
  readonly json?: boolean;
}

const SHARD = 'origin of the shard (default: the newest one that has begun)';

interface ShardOption extends JsonOption {
  readonly shard?: string;
}

export async function logCommand(): Promise<Command> {
  const server = await loadServer();
  const log = new Command('log')
    .description("Check, export, freeze, rotate, back up or restore a log's data")
    .helpCommand(false);
  for (const make of [check, exportTree, freeze, rotateCommand, backup, restore]) log.addCommand(make(server));
  return log.addHelpText(
    'after',
    '\nExamples:\n  stele log check ./data\n  stele log backup /backup/today --config stele.yaml',
  );
}

function check(server: ServerMain): Command {
  const command = new Command('check')
    .description('Verify a whole directory: every entry, tile, root and signature. The log must not be running on it')
    .argument('<dir>', 'a data directory, a backup, or an exported static tree')
    .option(
      '--log-key <vkey...>',
      "the log's verifier keys, or files with them (default: those that the directory names)",
    )
    .option('--repair', 'rebuild the index of duplicates from the tiles where it is wrong and all else holds')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      "\nExamples:\n  stele log check ./data\n  stele log check ./data --repair\n  stele log check ./export --log-key 'log.example.com+1a2b3c4d+AbCd…' --json",
    );
  return command.action(
    async (dir: string, options: JsonOption & { readonly logKey?: string[]; readonly repair?: true }) => {
      const given = await Promise.all((options.logKey ?? []).map(verifierKeyTexts));
      const verifierKeys = options.logKey === undefined ? undefined : given.flat();
      for (const key of verifierKeys ?? []) parseCheckpointKey(key, nodeNotePrimitives);
      const { shards, ...report } = await withProgress('checking', 'entries', (onProgress) =>
        server.checkLog(dir, {
          onProgress,
          repair: options.repair ?? false,
          ...(verifierKeys && { verifierKeys }),
        }),
      );
      const root = encodeBase64(report.root);
      // The directory of a new log with witnesses has no checkpoint yet, and says itself which log it is.
      const isNew = report.kind === 'data' && report.publishedSize === 0 && report.signedBy.length === 0;
      const ok = report.signedBy.length > 0 || isNew;
      const signers = isNew ? 'nothing: no checkpoint was published yet' : report.signedBy.join(', ');
      const keys = ok ? signers : 'NOT CHECKED: give --log-key';
      // An export names no key, and anybody can make a tree that adds up.
      if (!ok) process.exitCode = 2;
      const further = shards?.map((shard) => ({ ...shard, root: encodeBase64(shard.root) }));
      print(options.json, { ok, dir, ...report, root, ...(further && { shards: further }) }, [
        ok
          ? `OK: ${dir} (${report.kind}) holds the log ${report.origin}`
          : `NOT CHECKED WHOLE: ${dir} (${report.kind}) adds up, but nothing shows that it is the log ${report.origin}`,
        `  entries    ${report.size}, all of them hashed; published ${report.publishedSize}`,
        `  root       ${root}`,
        `  signed by  ${keys}`,
        ...indexLine(report.repaired),
        ...(shards ?? []).map(
          ({ origin, size, publishedSize }) =>
            `OK: its shard ${origin}, ${counted(size, 'entry', 'entries')}, all of them hashed; published ${publishedSize}`,
        ),
      ]);
    },
  );
}

function indexLine(repaired: number | undefined): string[] {
  if (repaired === undefined) return [];
  const what =
    repaired === 0
      ? 'right: nothing was changed'
      : `rebuilt: it did not lead to ${counted(repaired, 'entry', 'entries')}`;
  return [`  index      ${what}`];
}

function exportTree(server: ServerMain): Command {
  const command = new Command('export')
    .description('Write the published tree as static files (tlog-tiles), the checkpoint last')
    .argument('<dir>', 'an empty or missing directory')
    .option('--shard <origin>', SHARD);
  return addDataSettings(command, server, SETTINGS, 'stele log export /srv/www/log --config stele.yaml').action(
    async (dir: string, { json, shard }: ShardOption) => {
      const config = configOf(command, server);
      const logger = await commandLogger();
      const { size } = await withProgress('exporting', 'files', (onProgress) =>
        server.exportLog(dir, { config, logger, onProgress, shard }),
      );
      print(json, { dir, size }, [`Exported ${counted(size, 'entry', 'entries')} to ${dir}`]);
    },
  );
}

function backup(server: ServerMain): Command {
  const command = new Command('backup')
    .description('Copy the log consistently, while it runs or not')
    .argument('<dir>', 'an empty or missing directory');
  return addDataSettings(command, server, SETTINGS, 'stele log backup /backup/today --config stele.yaml').action(
    async (dir: string, options: JsonOption) => {
      const config = configOf(command, server);
      const logger = await commandLogger();
      const { size, shards } = await withProgress('copying', 'files', (onProgress) =>
        server.backupLog(dir, { config, logger, onProgress }),
      );
      print(options.json, { dir, size, ...(shards && { shards }) }, [
        ...(shards ?? [{ origin: undefined, size }]).map(
          ({ origin, size }) =>
            `Copied ${counted(size, 'entry', 'entries')}${origin === undefined ? '' : ` of ${origin}`} to ${dir}`,
        ),
        'The signing key is not in it: keep a copy of the key elsewhere. Bring a copy back with ' +
          `\`${calledAs()} log restore\` only.`,
      ]);
    },
  );
}

function freeze(server: ServerMain): Command {
  const command = new Command('freeze')
    .description('End the log for ever: publish all that is committed, sign one last checkpoint, never sign again')
    .option('--shard <origin>', SHARD)
    .option('--yes', 'do not ask; needed where there is no terminal');
  return addDataSettings(command, server, SETTINGS, 'stele log freeze --config stele.yaml').action(
    async (options: ShardOption & { readonly yes?: boolean }) => {
      const config = configOf(command, server);
      const logger = await commandLogger();
      // The name of the shard that is open now: no other one is frozen, whatever happens until the answer.
      const begun = (await server.listShards({ config, logger })).filter(({ status }) => status !== 'prepared');
      const shard = options.shard ?? begun.at(-1)?.origin;
      if (options.yes !== true) await confirmOrigin(shard ?? config.data, 'a freeze');
      const { origin, checkpoint } = await server.freezeLog({ config, logger, shard });
      print(options.json, { origin, checkpoint }, [
        `The log ${origin} is frozen. Its last checkpoint:`,
        '',
        checkpoint.trimEnd(),
      ]);
    },
  );
}

function restore(server: ServerMain): Command {
  const command = new Command('restore')
    .description('Make a data directory of a backup, if it holds all that the log is known to have published')
    .argument('<backup>', 'directory that `stele log backup` made')
    .requiredOption('--at-least <file>', 'the newest checkpoint of this log that is known from elsewhere');
  return addDataSettings(
    command,
    server,
    SETTINGS,
    'stele log restore /backup/today --data ./data --at-least checkpoint',
  ).action(async (from: string, options: JsonOption & { readonly atLeast: string }) => {
    const { data, policy, outgoing } = configOf(command, server);
    const { size, atLeast, witnesses } = await withProgress('checking and copying', 'items', (onProgress) =>
      server.restoreLog({ from, to: data, atLeast: options.atLeast, policy, outgoing, onProgress }),
    );
    print(options.json, { from, data, size, atLeast, witnesses }, [
      `Restored ${counted(size, 'entry', 'entries')} to ${data}, which the checkpoint over ${atLeast} is a beginning of`,
      ...witnesses.map(({ witness, size, failed }) =>
        size === undefined
          ? `NOT CHECKED: the witness ${witness} ${failed}`
          : `The witness ${witness} holds a tree of ${counted(size, 'entry', 'entries')}, which they extend`,
      ),
      'If the log ever published a larger tree, do not start it: it would show two histories.',
    ]);
  });
}

/** For warnings. The command itself prints the result. */
async function commandLogger() {
  const { makeLogger } = await import('../../merkle/runtime/service/logger.ts');
  return makeLogger({ level: 'warn' });
}
