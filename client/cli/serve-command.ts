/** `stele serve`: runs a log until a signal ends it. */
import { Command } from 'commander';
import { counted } from '../formats/counted.ts';
import { print } from './report.ts';
import { addSettings, configOf, loadServer, type ServerMain } from './settings-flags.ts';
import { onHangUp, stopSignals, untilStopped } from './signals.ts';
import { tryIt } from './try-it.ts';
import { placeOf, warnUnknownUrl } from './where.ts';

const HELP = `
Every setting can also stand in the file or in a STELE_… variable; docs/configuration.md describes them all.
--at-least keeps an old copy of the data directory from going on: name the newest checkpoint of the log that you can find. A
log with a policy asks its witnesses.
SIGTERM or SIGINT ends it in order: requests under way are answered first. A second one ends it at once.
SIGHUP reads TLS files, policy and limits anew.

Examples:
  stele serve --config /etc/stele/stele.yaml
  stele serve --config /etc/stele/stele.yaml --at-least newest-checkpoint
  stele serve --origin log.example.com --public-url https://log.example.com --data /var/lib/stele --listen-host 0.0.0.0
  stele serve --origin log.example.com --key-pkcs11-module libsofthsm2.so --key-pkcs11-token stele --key-pkcs11-label log \\
    --key-pkcs11-pin-file pin`;

export async function serveCommand(): Promise<Command> {
  const server = await loadServer();
  const command = new Command('serve').description('Run a log: takes signed entries over HTTP and answers with proofs');
  return addSettings(command, server)
    .option('--at-least <file>', 'a checkpoint of this log: do not start with less, nor with another tree')
    .option('--json', 'print what was started as JSON')
    .addHelpText('after', HELP)
    .action(() => serve(command, server));
}

async function serve(command: Command, { serve: start, ...server }: ServerMain): Promise<void> {
  const stopping = stopSignals();
  const reread = () => configOf(command, server as ServerMain);
  const config = reread();
  const atLeast = command.getOptionValue('atLeast') as string | undefined;
  const running = await start({ config, reread, atLeast });
  const { url, publicUrl, adminUrl, origin, verifierKeys, size, status, shards } = running;
  const several = shards.length > 1 ? shards : undefined;
  const [vkey = ''] = verifierKeys;
  warnUnknownUrl('log', origin, running);
  print(
    command.getOptionValue('json') as boolean | undefined,
    { url, publicUrl, adminUrl, origin, verifierKeys, size, status, ...(several && { shards: several }) },
    [
      `The log "${origin}" ${placeOf(running)} (${counted(size, 'entry', 'entries')}${status === 'open' ? '' : `, ${status}`}); operator's port ${adminUrl}`,
      'Its verifier key, which every verifier of its proofs must know:',
      ...verifierKeys.map((key) => `  ${key}`),
      ...(several ? ['Its shards, of which a request names one as its host:', ...several.map(shardLine)] : []),
      '',
      ...(status === 'open' ? tryIt(publicUrl ?? url, vkey, { raw: config.entries === 'raw' }) : []),
    ],
  );
  onHangUp(() => void running.reload());
  await untilStopped(running, stopping);
}

function shardLine({ origin, url, size, status }: Awaited<ReturnType<ServerMain['serve']>>['shards'][number]): string {
  return `  ${origin}: ${status}, ${counted(size, 'entry', 'entries')}${url === undefined ? '' : `, ${url}`}`;
}
