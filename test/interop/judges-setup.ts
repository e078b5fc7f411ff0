/** Builds the judges before the tests begin: the worker of a test that waits for a build of minutes would be given up. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildJudge } from './go-judge.ts';

export function setup(): void {
  for (const name of readdirSync(join(import.meta.dirname, 'judges'))) {
    try {
      const judge = buildJudge(name);
      // Kept in the cache, from which the test takes it.
      if (typeof judge !== 'string') judge.remove();
    } catch {
      // The test that needs the judge says why it cannot be built.
    }
  }
}
