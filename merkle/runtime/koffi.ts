/**
 * koffi calls functions of C libraries. Its native part comes in a package for each platform, and is all that is used: the
 * package `koffi` itself adds names that it has deprecated, and a script at its installation that can compile.
 */
import { createRequire } from 'node:module';

interface Koffi {
  /** `null` is the Node process itself, with all that it exports. */
  load(library: null): { func(prototype: string): CFunction };
  address(bytes: Uint8Array): bigint;
  /** Of the last call on this thread. */
  errno(): number;
  readonly os: { readonly errno: Readonly<Record<string, number>> };
}

// biome-ignore lint/suspicious/noExplicitAny: the prototype says what comes back.
type CFunction = (...args: unknown[]) => any;

/** Loads koffi: 7 to 20 ms. Throws where there is none for this platform. */
export function loadKoffi(): Koffi {
  return createRequire(import.meta.url)(`@koromix/koffi-${process.platform}-${process.arch}`) as Koffi;
}
