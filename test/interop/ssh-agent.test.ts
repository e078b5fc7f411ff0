/** A log whose key is in OpenSSH's agent: served, while the agent is away, and at its next start. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { hashedRekordRequest, toJson } from '../support/requests.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { skips } from '../support/skip.ts';
import { NO_SSH_AGENT, type SshAgent, startSshAgent } from '../support/ssh-agent.ts';
import { readCheckpoint } from '../support/tlog-reader.ts';

describe.skipIf(skips('a log whose key is in an ssh-agent', NO_SSH_AGENT))('a log whose key is in ssh-agent', () => {
  let agent: SshAgent;
  beforeAll(async () => {
    agent = await startSshAgent();
  });
  afterAll(() => agent?.stop());

  it.each(['ed25519', 'ecdsa'] as const)('%s: serves, waits, goes on and starts again', async (type) => {
    const dir = await tempDir();
    let server: ServeProcess | undefined;
    try {
      const key = await agent.add(type);
      const args = ['--key-agent-key', key.fingerprint, '--key-agent-socket', agent.socket];
      args.push('--limits-publish-timeout', '1s');
      const data = join(dir.path, 'data');
      server = await startServer(data, { args });
      expect(await post(server)).toMatchObject({ status: 201, index: 0 });

      await agent.lock();
      expect(await post(server)).toMatchObject({ status: 503 });
      expect(await ready(server)).toBe(503);
      await agent.unlock();
      await expect.poll(() => ready(server!), { timeout: 30_000, interval: 100 }).toBe(200);
      await expect.poll(() => size(server!), { timeout: 10_000 }).toBe(2);
      expect(await server.stop()).toBe(0);
      expect(await steleJson(['log', 'check', data])).toMatchObject({ publishedSize: 2 });

      await agent.lock();
      await expect(startServer(data, { args })).rejects.toThrow(/agent-locked/);
      await agent.unlock();
      server = await startServer(data, { args });
      expect(server.size).toBe(2);
    } finally {
      await server?.kill();
      await dir.remove();
    }
  });
});

async function post({ url }: ServeProcess) {
  const body = new Uint8Array(toJson(hashedRekordRequest()));
  const reply = await fetch(`${url}/api/v2/log/entries`, { method: 'POST', body });
  const { logIndex } = (await reply.json()) as { logIndex?: string };
  return { status: reply.status, index: Number(logIndex) };
}

async function size({ url, verifierKeys }: ServeProcess): Promise<number> {
  return readCheckpoint(await (await fetch(`${url}/checkpoint`)).text(), verifierKeys).size;
}

async function ready({ adminUrl }: ServeProcess): Promise<number> {
  return (await fetch(`${adminUrl}/readyz`)).status;
}
