/** What to say of a word in the place of a command that is none: the commands that are there, and the one that was meant. */
import type { Command, CommanderError } from 'commander';
import { printable } from '../../merkle/printable.ts';
import { nearest } from '../../merkle/runtime/config/nearest.ts';
import { type ClientError, usage } from '../errors.ts';

const CODES = ['commander.unknownCommand', 'commander.excessArguments'];

/** The error in the place of commander's own; undefined where that is about something else. */
export function unknownCommand(program: Command, error: CommanderError): ClientError | undefined {
  if (!CODES.includes(error.code)) return undefined;
  let at = program;
  const path = [program.name()];
  for (;;) {
    const next = at.commands.find((command) => command.name() === at.args[0]);
    if (next === undefined) break;
    at = next;
    path.push(at.name());
  }
  const [word] = at.args;
  if (word === undefined || at.commands.length === 0) return undefined;
  const names = at.commands.map((command) => command.name());
  const meant = nearest(word, names);
  // Of three letters any other name is near.
  const hint = meant?.[0] === word[0] ? ` Did you mean ${meant}?` : '';
  const list = `${names.slice(0, -1).join(', ')}${names.length > 1 ? ' and ' : ''}${names.at(-1)}`;
  const [wrong, above] = [[...path, printable(word)].join(' '), path.join(' ')];
  return usage(`there is no command "${wrong}".${hint} The commands of "${above}" are ${list}`);
}
