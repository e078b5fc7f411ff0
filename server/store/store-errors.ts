/** Errors that drivers share. */
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ServerError } from '../errors.ts';

/** Runs `run` and turns errors of the runtime into `ServerError` (`locked` or `store`). Other errors pass unchanged. */
export async function mapped<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw mapError(error);
  }
}

export function mapError(error: unknown): unknown {
  if (!(error instanceof RuntimeError)) return error;
  return new ServerError(error.code === 'locked' ? 'locked' : 'store', error.message, { cause: error });
}

/** Whether a handle stays good after `error`; see types.ts. */
export function leavesHandleGood(error: unknown): boolean {
  return error instanceof ServerError && (error.code === 'unavailable' || error.code === 'conflict');
}
