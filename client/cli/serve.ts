/** `stele serve`: run a log until it is told to stop. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { note, print, shellWord } from './report.ts';
import { addSettings, configOf, loadServer, type ServerMain } from './settings.ts';
import { stopSignals } from './signals.ts';

const HELP = `
Every setting can also stand in the file or in a STELE_… variable; docs/configuration.md describes them all.
SIGTERM or SIGINT ends it in order: requests under way are answered first. A second one ends it at once.

Examples:
  stele serve
  stele serve --config /etc/stele/stele.yaml
  stele serve --origin log.example.com --data /var/lib/stele --listen-host 0.0.0.0
  stele serve --key-pkcs11-module libsofthsm2.so --key-pkcs11-token stele --key-pkcs11-label log --key-pkcs11-pin-file pin`;

/** Files to try it with. Not README.md: npm packs README.* whatever it is told, and so the README.md.key.pem made here. */
const SAMPLES = ['docs/operation.md', 'package.json'];

export async function serveCommand(): Promise<Command> {
  const server = await loadServer();
  const command = new Command('serve').description('Run a log: takes signed entries over HTTP and answers with proofs');
  return addSettings(command, server)
    .option('--json', 'print what was started as JSON')
    .addHelpText('after', HELP)
    .action(() => serve(command, server));
}

async function serve(command: Command, { serve: start, ...server }: ServerMain): Promise<void> {
  const config = configOf(command, server as ServerMain);
  const stopping = stopSignals();
  const running = await start({ config });
  const { url, adminUrl, origin, verifierKeys, size, status } = running;
  const [vkey = ''] = verifierKeys;
  const file = SAMPLES.find((name) => existsSync(name)) ?? 'FILE';
  print(command.getOptionValue('json') as boolean | undefined, { url, adminUrl, origin, verifierKeys, size, status }, [
    `The log "${origin}" listens on ${url} (${size} entries${status === 'open' ? '' : `, ${status}`}); operator's port ${adminUrl}`,
    'Its verifier key, which whoever checks its proofs must know:',
    ...verifierKeys.map((key) => `  ${key}`),
    '',
    ...(status === 'open'
      ? [
          'Sign a file and log it, then check the proof:',
          `  npx stele sign ${file} --log ${url} --log-key ${shellWord(vkey)}`,
          `  npx stele verify ${file} --key ${file}.pub.pem --log-key ${shellWord(vkey)}`,
          '',
        ]
      : []),
  ]);
  try {
    const signal = await Promise.race([stopping, running.failed]);
    note(`${signal}: answering the requests under way, then closing`);
  } finally {
    await running.close();
  }
}
