/** `stele index`: runs an index over logs, rebuilds it, and says how far it is. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { counted } from '../../formats/counted.ts';
import { followNews, withNews } from '../follow-news.ts';
import { print } from '../report.ts';
import { onHangUp, stopSignals, untilStopped } from '../signals.ts';
import { fetchOf } from '../tls-authorities.ts';
import { indexForgetCommand } from './index-forget.ts';
import { indexImportCommand } from './index-import.ts';
import { addIndexOptions, configReader, type IndexOptions } from './index-options.ts';
import { indexRebuildCommand } from './index-rebuild.ts';
import { indexStatusCommand } from './index-status.ts';

const HELP = `
Follows the logs of index.yaml, verifies what it reads, and answers which entries have a digest, key, name, issuer, extension or
kind: each with a proof, through a size that it names. docs/search.md says how to ask and what an answer is worth;
docs/configuration.md describes the settings. \`stele search\` asks it and checks each hit.

A configuration without logs takes those of the repository that \`stele trust use\` follows, with their keys and its policy.
SIGTERM or SIGINT ends it in order: requests under way are answered first. A second one ends it at once.
SIGHUP reads limits and TLS files anew.

With --witness it is a rebuilder of a verifiable index: somebody who does not trust its operator builds the map anew, and
cosigns what holds. It has settings of its own: stele index --witness --help.

Examples:
  stele index --config index.yaml
  stele index status --config index.yaml
  stele index rebuild --config index.yaml
  stele index --witness --config rebuilder.yaml
  stele index import bundles/ --config index.yaml
  stele index forget sha256:9f86…0a08 --block --config index.yaml`;

export function indexCommand(): Command {
  const command = addIndexOptions(new Command('index'))
    .option('--witness', 'run a rebuilder of a verifiable index in its place')
    .description('Run an index over logs, so that entries can be found by what is in them')
    .helpCommand(false)
    // A flag after a subcommand belongs to the subcommand.
    .enablePositionalOptions()
    .addHelpText('after', HELP)
    .action((options: IndexOptions) => serve(options));
  return command
    .addCommand(indexStatusCommand())
    .addCommand(indexRebuildCommand())
    .addCommand(indexImportCommand())
    .addCommand(indexForgetCommand());
}

async function serve(options: IndexOptions): Promise<void> {
  const stopping = stopSignals();
  // Loaded here: the subcommands need no server.
  const { serveIndex } = await import('../../search/serve-index.ts');
  const reread = await configReader(options);
  const fetch = await fetchOf(options);
  const config = await withNews(reread, fetch);
  const running = await serveIndex({ config, reread, fetch });
  const { url, publicUrl, adminUrl, logs, parts, logger } = running;
  print(options.json, { url, publicUrl, adminUrl, logs, parts }, [
    `The index answers at ${publicUrl ?? url}${publicUrl === undefined ? '' : `, and listens on ${url}`}; operator's port ${adminUrl}`,
    `It follows ${logs.length === 0 ? 'the logs of its configurations' : logs.map(printable).join(', ')}${parts.length === 0 ? '' : `, and has beside search: ${parts.join(', ')}`}`,
    `Ask it: stele search --index ${publicUrl ?? url} --digest FILE   (${counted(config.index.kinds.length, 'kind')} of keys)`,
    '',
  ]);
  onHangUp(() => void running.reload());
  const stop = new AbortController();
  const news = followNews(config, config.reading.pollMs, fetch, stop.signal, {
    onNews: () => logger.info({}, 'the followed repository has news; a new policy takes effect with a restart'),
    onState: (sentences) => {
      for (const reason of sentences) logger.warn({ reason }, 'the news of the followed repository are refused');
    },
  });
  try {
    await untilStopped(running, stopping);
  } finally {
    stop.abort();
    await news;
  }
}
