/** `stele index forget`: takes attestations out of the store of an index. */
import { Command, Option } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { ClientError, usage } from '../../errors.ts';
import { LOG_KEEPS, STORE_NOTICE } from '../../search/store/store-notice.ts';
import { print, reportFailed } from '../report.ts';
import { addIndexOptions, configReader, type IndexOptions } from './index-options.ts';
import { withStore } from './store-access.ts';

const HELP = `
The log keeps the hash of what was signed: nothing that happens here changes the log.

With --block the attestation does not come back, also not in another form or with another signature over the same statement.

Exit status: 0 all are forgotten, 1 one was not there (with --block it is kept out all the same), 2 it could not be tried.

Examples:
  stele index forget sha256:9f86…0a08 --config index.yaml
  stele index forget sha256:9f86…0a08 --block --config index.yaml
  stele index forget sha256:9f86…0a08 --unblock --config index.yaml`;

interface Options extends IndexOptions {
  readonly block?: boolean;
  readonly unblock?: boolean;
}

const DIGEST = /^sha256:([0-9a-f]{64})$/;

export function indexForgetCommand(): Command {
  return addIndexOptions(new Command('forget'))
    .description('Take attestations out of the store of an index')
    .argument('<digest...>', 'digests of pieces: sha256:HEX')
    .option('--block', 'keep them from coming back')
    .addOption(new Option('--unblock', 'let them come back, and forget nothing').conflicts('block'))
    .addHelpText('after', HELP)
    .action(forget);
}

async function forget(digests: readonly string[], options: Options): Promise<void> {
  const hexes = digests.map((digest) => {
    const hex = DIGEST.exec(digest)?.[1];
    if (hex === undefined) throw usage(`${printable(digest)} is not sha256: with 64 lower-case hexadecimal digits`);
    return hex;
  });
  const block = options.block === true;
  const config = (await configReader(options))();
  const results = await withStore(config, async (store) => {
    const done: { readonly digest: string; readonly found: boolean }[] = [];
    for (const hex of hexes) {
      const found = options.unblock === true ? await store.unblock(hex) : await store.forget(hex, block);
      done.push({ digest: `sha256:${hex}`, found });
    }
    return done;
  });
  const missing = results.filter(({ found }) => !found);
  const verb = options.unblock === true ? 'may come back' : block ? 'forgotten, and kept out' : 'forgotten';
  const facts = results.map(({ digest, found }) =>
    options.unblock === true ? { digest, unblocked: found } : { digest, forgotten: found, blocked: block },
  );
  print(options.json, { ok: missing.length === 0, pieces: facts, note: LOG_KEEPS, notice: STORE_NOTICE }, [
    ...results.filter(({ found }) => found).map(({ digest }) => `${digest} ${verb}`),
    ...(options.unblock === true ? [] : [LOG_KEEPS]),
    STORE_NOTICE,
  ]);
  const why =
    options.unblock === true ? 'is not kept out' : `is not in the store${block ? ', and is kept out from now on' : ''}`;
  for (const { digest } of missing) reportFailed(digest, new ClientError('missing', `${digest} ${why}`));
  if (missing.length > 0) process.exitCode = 1;
}
