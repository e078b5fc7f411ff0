/** `stele ca`: a certificate authority whose root is in a token, with an authority for each team below it. */
import { Command } from 'commander';
import { caServe } from './ca-serve.ts';
import { requestCommand, rootCommand, teamCommand } from './root-commands.ts';
import { revokeAuthorityCommand, trustAuthorityCommand } from './trust-commands.ts';

const HELP = `
The root certifies the authority of each team, for names of that team alone; the team's authority certifies signers for
minutes. All keys may be in tokens.

Exit status: 0 done, 1 something does not hold, 2 it could not be tried.`;

export function caCommand(): Command {
  return new Command('ca')
    .description('Make and run a certificate authority for signers')
    .helpCommand(false)
    .addHelpText('after', HELP)
    .addCommand(rootCommand())
    .addCommand(requestCommand())
    .addCommand(teamCommand())
    .addCommand(trustAuthorityCommand())
    .addCommand(revokeAuthorityCommand())
    .addCommand(caServe());
}
