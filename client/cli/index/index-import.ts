/** `stele index import`: gives attestations to the store of an index. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { ClientError, cancelled, usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { inOrder } from '../../in-order.ts';
import { STORE_NOTICE } from '../../search/store/store-notice.ts';
import { collect } from '../program.ts';
import { withProgress } from '../progress.ts';
import { print, reportFailed } from '../report.ts';
import { certificatesOf, fetchOf } from '../tls-authorities.ts';
import { addIndexOptions, configReader, type IndexOptions } from './index-options.ts';
import { itemsOf, piecesOf, type RegistryChoice } from './pieces-of.ts';
import type { ImportedPiece, StoreAccess } from './store-access.ts';

const HELP = `
FROM is a file with one bundle or several (a list, or one a line), a folder of such files, or an image whose registry has bundles
about it. Each bundle is kept as a piece of its own, if it verifies by the logs of the index: the rest is refused, and named.

Without --store it is the store of --config, whether its service runs or not: limits for each signer and subject do not count
then. With --store the pieces are submitted as anybody may, to any index.

The store is a convenience, and no promise of a log.

Exit status: 0 all are kept, 1 one was refused (the others are kept), 2 it could not be tried.

Examples:
  stele index import bundles/ --config index.yaml
  stele index import attestations.jsonl app.sigstore.json --config index.yaml --json
  stele index import registry.example.com/team/app@sha256:9f86…0a08 --config index.yaml
  stele index import app.slsaprovenance1.sigstore.json --store https://index.example.com`;

interface Options extends IndexOptions {
  readonly store?: string;
  readonly insecureRegistry?: readonly string[];
  readonly registryConfig?: string;
}

interface Result {
  kept: number;
  known: number;
  readonly refused: { readonly source: string; readonly error: ClientError }[];
}

/** Each is verified and made durable before it counts. */
const AT_ONCE = 16;

export function indexImportCommand(): Command {
  return addIndexOptions(new Command('import'))
    .description('Give attestations to the store of an index')
    .argument('<from...>', 'files, folders, or images NAME@sha256:HEX')
    .option('--store <url>', 'submit to the store of this index, in the place of --config')
    .option('--insecure-registry <host>', 'ask this registry by http; can be repeated', collect)
    .option('--registry-config <path>', "names and passwords for registries, in the form of Docker's config.json")
    .addHelpText('after', HELP)
    .action(importAll);
}

async function importAll(from: readonly string[], options: Options): Promise<void> {
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once('SIGINT', interrupted);
  try {
    const items = await itemsOf(from, stop.signal);
    const { insecureRegistry, registryConfig, ca } = options;
    const authorities = ca === undefined ? undefined : await certificatesOf(ca);
    const registry = { insecureRegistry, registryConfig, authorities };
    report(await into(options, (store) => takeAll(store, items, registry, stop.signal)), options.json);
  } finally {
    process.removeListener('SIGINT', interrupted);
  }
}

async function into(options: Options, work: (store: Pick<StoreAccess, 'take'>) => Promise<Result>): Promise<Result> {
  const { store } = options;
  if (store === undefined) {
    const { withStore } = await import('./store-access.ts');
    return await withStore((await configReader(options))(), work);
  }
  if (options.trust !== undefined) throw usage('--trust is about the index of --config: leave it out with --store');
  const { AttestationRequests } = await import('../../evidence/attestation-requests.ts');
  const requests = new AttestationRequests({ url: store, fetch: await fetchOf(options), timeoutMs: 60_000 });
  return await work({
    take: async (piece): Promise<ImportedPiece> => ({ digest: await requests.submit(piece), known: false }),
  });
}

async function takeAll(
  store: Pick<StoreAccess, 'take'>,
  items: Awaited<ReturnType<typeof itemsOf>>,
  registry: RegistryChoice,
  signal: AbortSignal,
): Promise<Result> {
  const result: Result = { kept: 0, known: 0, refused: [] };
  await withProgress('importing', 'files', async (update) => {
    for (const [done, item] of items.entries()) {
      if (signal.aborted) throw cancelled();
      const waiting = [...(await piecesOf(item, registry, signal))];
      const next = () => {
        const one = waiting.shift();
        return one && (async () => ({ source: one.source, taken: await takeOne(store, one.piece) }));
      };
      for await (const { source, taken } of inOrder(next, () => AT_ONCE)) {
        if (taken instanceof ClientError) result.refused.push({ source, error: taken });
        else if (taken.known) result.known += 1;
        else result.kept += 1;
      }
      update(done + 1, items.length);
    }
  });
  return result;
}

/** What is wrong with one piece is its result. Where no piece can be kept, the import ends. */
async function takeOne(
  store: Pick<StoreAccess, 'take'>,
  piece: Uint8Array | ClientError,
): Promise<ImportedPiece | ClientError> {
  if (piece instanceof ClientError) return piece;
  return await store.take(piece).catch((error: unknown) => {
    if (error instanceof ClientError && error.code === 'refused') return error;
    throw error;
  });
}

function report({ kept, known, refused }: Result, json: boolean | undefined): void {
  const shown = refused.map(({ source, error: { code, message } }) => ({ source, error: { code, message } }));
  const more = [
    ...(known === 0 ? [] : [`${known} were there before`]),
    ...(refused.length === 0 ? [] : [`${refused.length} were refused`]),
  ];
  print(json, { ok: refused.length === 0, kept, known, refused: shown, notice: STORE_NOTICE }, [
    `${counted(kept, 'attestation')} kept${more.length === 0 ? '' : `; ${more.join(', ')}`}`,
    STORE_NOTICE,
  ]);
  for (const { source, error } of refused) reportFailed(printable(source), error);
  if (refused.length > 0) process.exitCode = 1;
}
