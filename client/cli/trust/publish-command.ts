/** `stele trust publish`: what is signed becomes public. */
import { Command } from 'commander';
import { counted } from '../../formats/counted.ts';
import { tufTime } from '../../trust/tuf/metadata-fields.ts';
import { publish } from '../../trust/tuf/publish.ts';
import { print, warn } from '../report.ts';
import { addTrustKeyOptions, type TrustKeyOptions, withTrustKeys } from './key-options.ts';

const HELP = `
It verifies everything as clients do, and publishes nothing that they would refuse. Then it writes targets, metadata, the
root, and timestamp.json last. The same command again goes on where a crash ended it. Serve DIR/public.

A root that replaces an online key is published with the old key and the new one, so that no client fails in between.

Examples:
  stele trust publish repository --key online.pem
  stele trust publish repository --key online-2.pem online.pem
  stele trust publish repository --role targets --key online.pem`;

interface PublishCommandOptions extends TrustKeyOptions {
  readonly role?: readonly string[];
  readonly json?: boolean;
}

export function publishCommand(): Command {
  const command = new Command('publish')
    .description('Publish the staged metadata that are signed, with a new snapshot and timestamp')
    .argument('<dir>', 'the directory of the repository')
    .option('--role <role...>', 'publish these staged roles alone, while others wait for signatures');
  return addTrustKeyOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(async (dir: string, options: PublishCommandOptions) => {
      const { role: roles, json } = options;
      const result = await withTrustKeys(options, (online) =>
        publish(dir, { online, now: Date.now(), ...(roles && { roles }) }),
      );
      const { published, targets, gap } = result;
      if (gap) {
        warn(
          'until the new timestamp was there, clients with the new root refused the repository. Next time let the holders of ' +
            'both roots sign the targets, and give the old online key too',
        );
      }
      print(
        json,
        {
          dir,
          targets,
          gap,
          published: published.map(({ expires, ...rest }) => ({ ...rest, expires: tufTime(expires) })),
        },
        [
          published.length === 0 ? 'Everything is public already.' : `Published in ${dir}/public:`,
          ...published
            .slice(0, 20)
            .map(({ role, version, expires }) => `  ${role} version ${version}, expires ${tufTime(expires)}`),
          ...(published.length > 20 ? [`  and ${published.length - 20} more`] : []),
          ...(targets.length > 0
            ? [
                `  ${counted(targets.length, 'target')}: ${targets.slice(0, 10).join(', ')}${targets.length > 10 ? ', …' : ''}`,
              ]
            : []),
        ],
      );
    });
}
