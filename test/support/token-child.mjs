// Takes the tokens `<argv[3]>.<n>.x` in the directory in argv, 20 at a time, and sends the numbers of those that it got, until it
// is killed. Runs the built sources.
import { openUsedTokens } from '../../dist/merkle/runtime/identity/tokens/used-tokens.js';

const [, , dir, name, expires] = process.argv;
const tokens = await openUsedTokens(dir);
for (let from = 0; ; from += 20) {
  const numbers = Array.from({ length: 20 }, (_, i) => from + i);
  const got = await Promise.all(numbers.map((n) => tokens.take(`${name}.${n}.x`, Number(expires))));
  process.send(numbers.filter((_, i) => got[i]));
}
