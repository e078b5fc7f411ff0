/** Waiting in tests: for what is to happen, never for a time. */
import { rm, stat, writeFile } from 'node:fs/promises';

/** For `until` and `expect.poll`. A busy machine takes many times as long as a quiet one, and only a test that fails waits so long. */
export const DEADLINE_MS = 30_000;
const POLL_MS = 5;

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;

/**
 * Resolves with the first result of `what` that is neither false, 0, empty nor undefined.
 *
 * @param more what to say besides where that never comes
 */
export async function until<T>(what: () => T | Promise<T>, more: () => string = () => ''): Promise<Truthy<T>> {
  for (const end = Date.now() + DEADLINE_MS; ; ) {
    const result = await what();
    if (result) return result as Truthy<T>;
    if (Date.now() > end) throw new Error(`did not come to pass: ${what}; ${more()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Lets everything run that is ready to run: for what must not happen, after all that could have led to it. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Holds something up until it is opened. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

/** Until a change of `file` would get another time than it has: the clock of a file system ticks every few milliseconds. */
export async function tickAfter(file: string): Promise<void> {
  const { ctimeNs } = await stat(file, { bigint: true });
  const probe = `${file}.probe`;
  await until(async () => {
    await writeFile(probe, '');
    return (await stat(probe, { bigint: true })).ctimeNs > ctimeNs;
  });
  await rm(probe);
}
