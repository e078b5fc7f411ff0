/**
 * OpenSSH's ssh-agent with keys of the test, in a temporary directory.
 *
 *     const agent = await startSshAgent();
 *     const key = await agent.add('ed25519');
 *     … socket: agent.socket, key: key.fingerprint …
 *     await agent.end(); await agent.begin();    // the keys are gone, as after a restart of the machine
 *     await agent.stop();
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { lacking } from './skip.ts';

const run = promisify(execFile);

export interface SshKey {
  /** As `ssh-add -l` prints it: `SHA256:…`. */
  readonly fingerprint: string;
  /** As `ssh-add -L` prints it. */
  readonly line: string;
}

interface AddOptions {
  readonly bits?: number;
  /** The agent asks its user before each signature. */
  readonly confirm?: boolean;
}

export interface SshAgent {
  readonly socket: string;
  /** Makes a key and adds it to the agent. */
  add(type: 'ed25519' | 'ecdsa' | 'rsa', options?: AddOptions): Promise<SshKey>;
  /** Adds a key again that `add` made. */
  addAgain(key: SshKey): Promise<void>;
  remove(key: SshKey): Promise<void>;
  lock(): Promise<void>;
  unlock(): Promise<void>;
  begin(): Promise<void>;
  end(): Promise<void>;
  stop(): Promise<void>;
}

/** Why tests with ssh-agent cannot run; undefined if they can. */
export const NO_SSH_AGENT: string | undefined = lacking('ssh-agent', 'ssh-add', 'ssh-keygen');

export async function startSshAgent(): Promise<SshAgent> {
  const dir = await mkdtemp(join(tmpdir(), 'stele-agent-'));
  const socket = join(dir, 'socket');
  const askpass = join(dir, 'askpass');
  await writeFile(askpass, '#!/bin/sh\necho open-sesame\n');
  await chmod(askpass, 0o700);
  const { DISPLAY: _, ...rest } = process.env;
  const env = { ...rest, SSH_AUTH_SOCK: socket, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' };
  // The agent's own user always says no.
  const agentEnv = { ...env, SSH_ASKPASS: '/bin/false' };
  const files = new Map<string, string>();
  let process_: ChildProcess | undefined;
  const end = async () => {
    if (process_ === undefined) return;
    const ended = once(process_, 'exit');
    process_.kill();
    process_ = undefined;
    await ended;
    await rm(socket, { force: true });
  };
  const begin = async () => {
    process_ = spawn('ssh-agent', ['-D', '-a', socket], { env: agentEnv, stdio: 'ignore' });
    while (!(await answers(socket))) {
      if (process_.exitCode !== null) throw new Error(`ssh-agent ended with ${process_.exitCode}`);
      await sleep(10);
    }
  };
  await begin();
  return {
    socket,
    begin,
    end,
    add: async (type, { bits, confirm = false } = {}) => {
      const file = join(dir, `key-${files.size}`);
      const size = bits === undefined ? [] : ['-b', String(bits)];
      await run('ssh-keygen', ['-q', '-t', type, ...size, '-N', '', '-C', 'a key of a test', '-f', file]);
      await run('ssh-add', [...(confirm ? ['-c'] : []), file], { env });
      const line = (await readFile(`${file}.pub`, 'utf8')).trim();
      const { stdout } = await run('ssh-keygen', ['-l', '-f', file]);
      const fingerprint = stdout.split(' ')[1]!;
      files.set(fingerprint, file);
      return { fingerprint, line };
    },
    addAgain: async ({ fingerprint }) => void (await run('ssh-add', [files.get(fingerprint)!], { env })),
    remove: async ({ fingerprint }) => void (await run('ssh-add', ['-d', files.get(fingerprint)!], { env })),
    lock: async () => void (await run('ssh-add', ['-x'], { env })),
    unlock: async () => void (await run('ssh-add', ['-X'], { env })),
    stop: async () => {
      await end();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function answers(socket: string): Promise<boolean> {
  const connection = createConnection(socket);
  try {
    await once(connection, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    connection.destroy();
  }
}
