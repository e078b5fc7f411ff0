/** `stele decide` alone, as verify-program.ts is `stele verify` alone: nearly all of its time is its start. */
import { root, runProgram, strict } from '../program.ts';
import { decideCommand } from './decide-command.ts';

/** As `run` of main.ts, for a command line that begins with `decide`. */
export async function runDecideAlone(args: readonly string[]): Promise<number> {
  return await runProgram(args, async () => root().addCommand(strict(decideCommand())));
}
