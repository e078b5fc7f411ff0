/** The option `--agent-key`: a key in an ssh-agent. */
import { ClientError } from '../errors.ts';
import { readWhole } from './files.ts';

/** A person who confirms each signature needs some time. */
export const AGENT_TIMEOUT_MS = 60_000;
const MAX_SSH_KEY = 64 * 1024;
/** A line of `ssh-add -L` or of a file `.pub`. */
const SSH_PUBLIC_KEY = /^(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+/m;

/**
 * The key as an agent's signer takes it.
 *
 * @param named a fingerprint, the public key itself, or its file
 * @throws ClientError `file`, `key`; the message never holds a part of the file, which may be a private key
 */
export async function agentKeyOf(named: string): Promise<string> {
  if (named.startsWith('SHA256:') || SSH_PUBLIC_KEY.test(named)) return named;
  const text = Buffer.from(await readWhole(named, MAX_SSH_KEY, 'an SSH public key')).toString('latin1');
  const [line] = SSH_PUBLIC_KEY.exec(text) ?? [];
  if (line !== undefined) return line;
  throw new ClientError('key', `${named} holds no SSH public key: give the file that ends in .pub, or a fingerprint`);
}
