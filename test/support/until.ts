/** Functions with which tests wait for an event, never for a fixed time. */
import { rm, stat, writeFile } from 'node:fs/promises';

/** The limit of `until` and `expect.poll`. A busy machine takes many times as long as a quiet one. */
export const DEADLINE_MS = 30_000;
const POLL_MS = 5;

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;

/**
 * Resolves with the first truthy result of `what`.
 *
 * @param more text for the error message if no such result comes
 */
export async function until<T>(what: () => T | Promise<T>, more: () => string = () => ''): Promise<Truthy<T>> {
  for (const end = Date.now() + DEADLINE_MS; ; ) {
    const result = await what();
    if (result) return result as Truthy<T>;
    if (Date.now() > end) throw new Error(`did not come to pass: ${what}; ${more()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Runs everything that is ready to run. A test then checks that something did not happen. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A gate that blocks its callers until the test opens it. */
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

/** Waits until a change of `file` would get a later ctime: a file system's clock ticks every few milliseconds. */
export async function tickAfter(file: string): Promise<void> {
  const { ctimeNs } = await stat(file, { bigint: true });
  const probe = `${file}.probe`;
  await until(async () => {
    await writeFile(probe, '');
    return (await stat(probe, { bigint: true })).ctimeNs > ctimeNs;
  });
  await rm(probe);
}
