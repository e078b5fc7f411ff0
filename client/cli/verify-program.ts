/** `stele verify` alone. bundle.js joins it and all that it needs in one file, which starts faster than the whole program. */
import { root, runProgram, strict } from './program.ts';
import { verifyCommand } from './verify/verify-command.ts';

/** As `run` of main.ts, for a command line that begins with `verify`. */
export async function runVerify(args: readonly string[]): Promise<number> {
  return await runProgram(args, async () => root().addCommand(strict(verifyCommand())));
}
