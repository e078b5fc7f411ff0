/**
 * Verification under several trusted roots. Each root is a trust domain of its own: all evidence must hold under one of
 * them, and no root lends a log, an authority or a missing requirement to another.
 */
import { ClientError, usage } from '../errors.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import { howFar } from './furthest.ts';
import type { ChosenRoot, TrustedRoots } from './types.ts';

/**
 * The result under the first root for which `check` does not throw.
 *
 * @returns `root` where there are several
 * @throws ClientError of the root that came furthest (furthest.ts); of the first of those that came equally far. `usage` for an empty list
 */
export function underOneRoot<T>(
  roots: TrustedRoots,
  check: (root: TrustedRoot) => T,
): { readonly result: T; readonly root?: ChosenRoot } {
  if (!isList(roots)) return { result: check(roots) };
  const failures: { readonly error: ClientError; readonly root: ChosenRoot }[] = [];
  for (const [index, trusted] of roots.entries()) {
    const root = { index, ...(trusted.line === undefined ? {} : { line: trusted.line }) };
    try {
      const result = check(trusted);
      return roots.length === 1 ? { result } : { result, root };
    } catch (error) {
      if (!(error instanceof ClientError) || roots.length === 1) throw error;
      failures.push({ error, root });
    }
  }
  throw furthestOf(failures);
}

function furthestOf(failures: readonly { readonly error: ClientError; readonly root: ChosenRoot }[]): ClientError {
  const [first, ...more] = [...failures].sort((a, b) => howFar(b.error) - howFar(a.error));
  if (first === undefined) return usage('the list of trusted roots is empty: give at least one');
  const { error, root } = first;
  // What is wrong under every root alike is not about a root.
  if (more.every(({ error: other }) => other.message === error.message)) return error;
  const which = root.line === undefined ? `number ${root.index + 1}` : `the one on line ${root.line}`;
  const why = `it holds under none of the ${failures.length} trusted roots. Under ${which}, which came furthest: ${error.message}`;
  return new ClientError(error.code, why, { cause: error });
}

function isList(roots: TrustedRoots): roots is readonly TrustedRoot[] {
  return Array.isArray(roots);
}
