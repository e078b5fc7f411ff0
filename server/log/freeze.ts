/**
 * The end of a log for good: it takes no entries, publishes every committed entry, and signs a last checkpoint that says so.
 *
 *     status "freezing" ─ publish what is committed ─ quorum for that checkpoint ─ sign the last one ─ ask witnesses for
 *     cosignatures, for a while ─ status "frozen" with both ─ show them
 *
 * Each step can be run again after a crash, and every start of a log that is freezing does so.
 */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { FROZEN_MARK } from '../../merkle/checkpoint.ts';
import { ServerError } from '../errors.ts';
import type { OpenStore } from './open-store.ts';
import type { Publisher } from './publisher.ts';
import type { LogOptions } from './types.ts';

/**
 * Runs the steps that are left on `store`, where no entry is on its way to its commit any more.
 * @throws the reason for which the service of the store ended; the error of the step that failed
 */
export async function freezeStore(
  { signer, cosigner, keepPlain, logger }: LogOptions,
  store: OpenStore,
  publisher: Publisher,
): Promise<void> {
  const { tree, signal } = store;
  if (tree.state.status === 'open') await tree.setStatus('freezing');
  // A crash here: the next start takes no entries, and goes on below.
  if (tree.state.status === 'frozen') return;
  while (store.publishedSize !== tree.state.size) {
    if (tree.snapshot.size !== tree.state.size) {
      throw new ServerError('store', 'what is committed is not all in files');
    }
    publisher.request();
    await publisher.idle();
    // Asking an ended publisher again would go round in a circle.
    signal.throwIfAborted();
  }
  const { snapshot } = tree;
  const reader = tree.reader(snapshot);
  // The empty tree is no tree for witnesses (pipeline.ts).
  const asks = snapshot.size > 0 ? cosigner : undefined;
  // Witnesses may refuse a checkpoint with a further line. So the plain one gets the quorum, and the last one what it can.
  const plain = asks && (await asks.quorum(store.published!.checkpoint, reader, signal));
  // A crash here: the next start has the plain checkpoint cosigned again.
  const note = await signer.sign(snapshot, [`${FROZEN_MARK}${new Date().toISOString()}`]);
  signal.throwIfAborted();
  const checkpoint = asks === undefined ? note : await asks.collect(note, reader, signal);
  // A crash here: the next start signs a last checkpoint of another time, over the same tree.
  await tree.setStatus('frozen', {
    lastCheckpoint: encodeUtf8(checkpoint),
    ...(plain !== undefined && { plainCheckpoint: encodeUtf8(plain) }),
  });
  signer.freeze();
  // A crash here: the next start shows the checkpoints that are stored with the status.
  if (plain !== undefined) await keepPlain?.(plain);
  await store.show(() => ({ checkpoint, reader, plain }));
  logger.info({ size: snapshot.size }, 'the log is frozen');
}
