/** Where the PIN of a holder comes from: a prompt that shows nothing, or a file that only its owner reads. */
import { printable } from '../../../merkle/printable.ts';
import type { SecretSource, TypedSecret } from '../../../merkle/runtime/keys/types.ts';
import { cancelled, usage } from '../../errors.ts';

const MAX_PIN = 256;
const INTERRUPT = '\x03';
const END = '\x04';
const DELETE = ['\x7f', '\b'];

/** @throws ClientError `usage` where nobody can type; `cancelled` */
export async function pinOf(file: string | undefined, token: string): Promise<SecretSource | TypedSecret> {
  if (file !== undefined) return { file };
  if (!process.stdin.isTTY) {
    throw usage('nobody can type the PIN here: give a file of mode 0600 with --pin-file');
  }
  return { typed: await typed(`PIN of the token "${printable(token)}" (nothing is shown): `) };
}

async function typed(question: string): Promise<string> {
  const { stdin } = process;
  // First: what is typed once the question stands there is never shown.
  stdin.setRawMode(true);
  process.stderr.write(question);
  stdin.setEncoding('utf8');
  let text = '';
  try {
    for await (const part of stdin) {
      for (const letter of part as string) {
        if (letter === '\r' || letter === '\n') {
          if (text === '') throw usage('no PIN was typed, so none was tried');
          return text;
        }
        if (letter === INTERRUPT || letter === END) throw cancelled();
        if (DELETE.includes(letter)) text = text.slice(0, -1);
        else if (letter >= ' ') text += letter;
        // Ctrl-U or an arrow key: what the person now takes for the PIN is not what was read, and a wrong PIN costs a try.
        else throw usage('a key was pressed that is no character of a PIN: no PIN was tried. Type it anew');
        if (text.length > MAX_PIN) throw usage(`a PIN has at most ${MAX_PIN} characters: none was tried`);
      }
    }
    throw cancelled();
  } finally {
    stdin.setRawMode(false);
    stdin.destroy();
    process.stderr.write('\n');
  }
}
