/** `stele trust`: the trust files of a log, the TUF repository that publishes them, and the repository that commands follow. */
import { Command } from 'commander';
import { loadServer } from '../settings-flags.ts';
import { filesCommand } from './files-command.ts';
import { followCommands } from './follow-commands.ts';
import { getCommand } from './get-command.ts';
import { addKeyCommand, expireCommand, removeKeyCommand } from './plan-commands.ts';
import { publishCommand } from './publish-command.ts';
import { signStagedCommand } from './sign-staged-command.ts';
import { initCommand, stageCommand } from './stage-command.ts';
import { statusCommand } from './status-command.ts';
import { trustServeCommand } from './trust-serve.ts';

const HELP = `
Examples:
  stele trust files trust --config /etc/stele/stele.yaml
  stele trust init repository --plan plan.yaml
  stele trust stage repository trust
  stele trust sign repository --key holder-1.pem
  stele trust publish repository --key online.pem
  stele trust serve repository --key-file online.pem
  stele trust use https://log.example.com/trust --root root.json`;

export async function trustCommand(): Promise<Command> {
  const trust = new Command('trust')
    .description('Write what others need to trust a log, publish it as a TUF repository, and follow such a repository')
    .helpCommand(false);
  trust.addCommand(filesCommand(await loadServer()));
  const repository = [initCommand, stageCommand, signStagedCommand, publishCommand, trustServeCommand, statusCommand];
  for (const make of [...repository, addKeyCommand, removeKeyCommand, expireCommand]) trust.addCommand(make());
  for (const command of [...followCommands(), getCommand()]) trust.addCommand(command);
  return trust.addHelpText('after', HELP);
}
