/**
 * The two requests of the ssh-agent protocol (draft-ietf-sshm-ssh-agent) that signing needs: list the keys, and sign.
 *
 * Each request has a connection of its own, so an agent that was restarted is found by the next request.
 */
import { createConnection } from 'node:net';
import { concat } from '../../../bytes.ts';
import { printable } from '../../../printable.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { SshFormatError, SshReader, sshString, sshUint32 } from './ssh-wire.ts';

/** Section 6.1 of the draft. */
const MESSAGE = { failure: 5, requestIdentities: 11, identitiesAnswer: 12, signRequest: 13, signResponse: 14 } as const;

/** OpenSSH's agent closes the connection at a longer message (AGENT_MAX_LEN), and its client takes no longer reply. */
const MAX_MESSAGE = 256 * 1024;
/** A message beside its data: a byte, three lengths or numbers, and the key blob, of which an ECDSA key has 172 bytes at most. */
const SIGN_OVERHEAD = 1 + 3 * 4 + 172;

/** The longest data in bytes that every agent signs, with every kind of key that is read here. */
export const MAX_AGENT_DATA = MAX_MESSAGE - SIGN_OVERHEAD;

const LENGTH_BYTES = 4;

interface Agent {
  /** Path of the Unix socket, or of the named pipe on Windows. */
  readonly socket: string;
  /** For connection, request and reply together. */
  readonly timeoutMs: number;
}

interface Identity {
  /** The public key in SSH's encoding. */
  readonly blob: Uint8Array;
  /** For people: whoever added the key chose it. */
  readonly comment: string;
}

/** The keys that the agent shows. A locked agent shows none. @throws RuntimeError `agent-unavailable` */
export async function listIdentities(agent: Agent): Promise<Identity[]> {
  const reply = await request(agent, Uint8Array.of(MESSAGE.requestIdentities));
  return read(agent, reply, MESSAGE.identitiesAnswer, (reader) => {
    const identities: Identity[] = [];
    for (let left = reader.uint32(); left > 0; left--) {
      const blob = Uint8Array.from(reader.string());
      identities.push({ blob, comment: printable(Buffer.from(reader.string()).toString()) });
    }
    return identities;
  });
}

/**
 * The signature blob over `data` with the key of `blob`.
 * @throws RuntimeError `agent-limit` for more than `MAX_AGENT_DATA` bytes, `agent-refused`, `agent-unavailable`
 */
export async function signByAgent(agent: Agent, blob: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
  if (data.length > MAX_AGENT_DATA) {
    throw new RuntimeError(
      'agent-limit',
      `an ssh-agent signs ${MAX_AGENT_DATA} bytes at most, and these are ${data.length}: sign them with a key file or a token`,
    );
  }
  const flags = sshUint32(0);
  const reply = await request(
    agent,
    concat(Uint8Array.of(MESSAGE.signRequest), sshString(blob), sshString(data), flags),
  );
  if (reply[0] === MESSAGE.failure) {
    throw new RuntimeError('agent-refused', `the ssh-agent at ${agent.socket} refuses to sign`);
  }
  return read(agent, reply, MESSAGE.signResponse, (reader) => Uint8Array.from(reader.string()));
}

function read<T>(agent: Agent, reply: Uint8Array, type: number, parse: (reader: SshReader) => T): T {
  try {
    const reader = new SshReader(reply);
    if (reader.byte() !== type) throw new SshFormatError(`the reply is of type ${reply[0]}`);
    const value = parse(reader);
    reader.end();
    return value;
  } catch (error) {
    if (error instanceof SshFormatError) throw unavailable(agent, `it answers with something else: ${error.message}`);
    throw error;
  }
}

/** The body of the one reply to `body`, at least one byte. @throws RuntimeError `agent-unavailable` */
async function request(agent: Agent, body: Uint8Array): Promise<Uint8Array> {
  const connection = createConnection(agent.socket);
  const signal = AbortSignal.timeout(agent.timeoutMs);
  const stop = () => connection.destroy(unavailable(agent, `it does not answer in ${agent.timeoutMs} ms`));
  signal.addEventListener('abort', stop);
  try {
    connection.write(sshString(body));
    const chunks: Buffer[] = [];
    let received = 0;
    let wanted = LENGTH_BYTES;
    for await (const chunk of connection as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      received += chunk.length;
      if (received < wanted) continue;
      const all = Buffer.concat(chunks);
      const length = all.readUInt32BE();
      if (length === 0 || length > MAX_MESSAGE) throw unavailable(agent, `its reply says that it has ${length} bytes`);
      wanted = LENGTH_BYTES + length;
      if (received === wanted) return all.subarray(LENGTH_BYTES);
      if (received > wanted) throw unavailable(agent, 'it sends more than one reply');
    }
    throw unavailable(agent, 'it closes the connection without a whole reply');
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    throw unavailable(agent, reasonOf(cause as NodeJS.ErrnoException), cause);
  } finally {
    signal.removeEventListener('abort', stop);
    connection.destroy();
  }
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such socket';
  if (code === 'ECONNREFUSED') return 'no program listens there';
  if (code === 'EACCES') return 'this user may not use the socket';
  return message;
}

function unavailable({ socket }: Agent, why: string, cause?: unknown): RuntimeError {
  return new RuntimeError('agent-unavailable', `the ssh-agent at ${socket} cannot be used: ${why}`, { cause });
}
