import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ServerError } from '../errors.ts';

/** Runs `run` with the runtime's errors in the server's words: `locked` or `store`. All else is passed on as it is. */
export async function mapped<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw new ServerError(error.code === 'locked' ? 'locked' : 'store', error.message, { cause: error });
  }
}
