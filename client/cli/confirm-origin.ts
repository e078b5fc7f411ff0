/** Nothing undoes a freeze: a person types the origin, a script gives `--yes`. */
import { createInterface } from 'node:readline/promises';
import { ClientError, usage } from '../errors.ts';

/**
 * @param what ends the log, such as `a freeze`
 * @throws ClientError `usage` without a terminal, `cancelled` where another text was typed
 */
export async function confirmOrigin(origin: string, what: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw usage(`${what} ends the log for ever, and there is no terminal to ask on: add --yes`);
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`This ends the log for ever. Type its origin, ${origin}, to go on: `);
    if (answer.trim() !== origin) throw new ClientError('cancelled', 'nothing was changed: the origin was not typed');
  } finally {
    prompt.close();
  }
}
