/**
 * The end of a log for good: it takes no entries, publishes every committed entry, and signs a last checkpoint that says so.
 *
 *     status "freezing" ─ publish what is committed ─ sign the last checkpoint ─ status "frozen" with it ─ show it
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
  { signer, cosigner, logger }: LogOptions,
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
  const note = await signer.sign(snapshot, [`${FROZEN_MARK}${new Date().toISOString()}`]);
  signal.throwIfAborted();
  // The empty tree is no tree for witnesses (pipeline.ts).
  const asks = cosigner !== undefined && snapshot.size > 0;
  const checkpoint = asks ? await cosigner.quorum(note, reader, signal) : note;
  // A crash here: the next start signs a last checkpoint of another time, over the same tree.
  await tree.setStatus('frozen', encodeUtf8(checkpoint));
  signer.freeze();
  // A crash here: the next start shows the checkpoint that is stored with the status.
  await store.show(() => ({ checkpoint, reader }));
  logger.info({ size: snapshot.size }, 'the log is frozen');
}
