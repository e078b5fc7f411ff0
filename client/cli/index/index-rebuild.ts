/** `stele index rebuild`: removes what an index has read of its logs, and reads all of it again. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { cancelled } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { withNews } from '../follow-news.ts';
import { withProgress } from '../progress.ts';
import { print } from '../report.ts';
import { stopSignals } from '../signals.ts';
import { fetchOf } from '../tls-authorities.ts';
import { addIndexOptions, configReader, type IndexOptions } from './index-options.ts';

const HELP = `
For a store that is damaged, or that was made with other \`index.kinds\`. No service may run on the directory meanwhile. What
callers have put into the store of attestations stays. One that is interrupted goes on with \`stele index\`.

Exit status: 0 every log is read to its end, 1 one is not, 2 it could not be tried.

Examples:
  stele index rebuild --config index.yaml`;

export function indexRebuildCommand(): Command {
  return addIndexOptions(new Command('rebuild'))
    .description('Remove what the index has read of its logs, and read all of it again')
    .addHelpText('after', HELP)
    .action(rebuild);
}

async function rebuild(options: IndexOptions): Promise<void> {
  const stop = new AbortController();
  void stopSignals().then(() => stop.abort());
  const [{ plainOptions, sourcesOf }, { openPlainIndex }, { lockDir }] = await Promise.all([
    import('../../search/serve-index.ts'),
    import('../../search/index/open-plain-index.ts'),
    import('../../../merkle/runtime/disk/lock.ts'),
  ]);
  const fetch = await fetchOf(options);
  const config = await withNews(await configReader(options), fetch);
  const lock = await lockDir(config.data);
  try {
    const logs = await withProgress('rebuilding the index', 'entries', async (update) => {
      const seen = new Map<string, { readonly through: number; readonly size: number }>();
      const index = await openPlainIndex({
        ...plainOptions(config),
        ...sourcesOf(fetch),
        rebuild: true,
        onEvent: (event) => {
          if (event.type !== 'progress') return;
          const { completeThrough: through, accepted: size } = event.status;
          seen.set(event.log, { through, size });
          const all = [...seen.values()];
          update(
            all.reduce((sum, one) => sum + one.through, 0),
            all.reduce((sum, one) => sum + one.size, 0),
          );
        },
      });
      try {
        return await index.once(stop.signal);
      } finally {
        await index.close();
      }
    });
    if (stop.signal.aborted) throw cancelled();
    const failed = logs.filter(({ fault }) => fault !== undefined);
    process.exitCode = failed.length > 0 ? 1 : 0;
    const shown = logs.map(({ origin, completeThrough, accepted, fault }) => ({
      origin,
      completeThrough,
      accepted,
      ...(fault && { fault: { type: fault.type, proven: fault.proven, message: fault.message } }),
    }));
    print(options.json, { ok: failed.length === 0, logs: shown }, [
      ...shown.map(({ origin, completeThrough, fault }) =>
        fault === undefined
          ? `${printable(origin)}: ${counted(completeThrough, 'entry', 'entries')}`
          : `${printable(origin)}: NOT to its end, ${completeThrough} read: ${printable(fault.message)}`,
      ),
    ]);
  } finally {
    await lock.release();
  }
}
