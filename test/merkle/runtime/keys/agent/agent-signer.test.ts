import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { concat } from '../../../../../merkle/bytes.ts';
import { MAX_AGENT_DATA } from '../../../../../merkle/runtime/keys/agent/agent-client.ts';
import { openAgentKey } from '../../../../../merkle/runtime/keys/agent/agent-signer.ts';
import { sshString, sshUint32 } from '../../../../../merkle/runtime/keys/agent/ssh-wire.ts';
import { openSigner } from '../../../../../merkle/runtime/keys/open-signer.ts';
import { RetryingSigner } from '../../../../../merkle/runtime/keys/retrying.ts';
import { verifySignature } from '../../../../../merkle/runtime/keys/signer.ts';
import { skips } from '../../../../support/skip.ts';
import { NO_SSH_AGENT, type SshAgent, startSshAgent } from '../../../../support/ssh-agent.ts';

const message = new TextEncoder().encode('log.example.com\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n');

describe.skipIf(skips('keys in an ssh-agent', NO_SSH_AGENT))('keys in ssh-agent', () => {
  let agent: SshAgent;
  beforeAll(async () => {
    agent = await startSshAgent();
  });
  afterAll(() => agent?.stop());

  for (const [type, algorithm] of [
    ['ed25519', 'ed25519'],
    ['ecdsa', 'ecdsa-p256'],
  ] as const) {
    it(`signs with a key for ${algorithm}, named by fingerprint or by public key`, async () => {
      const { fingerprint, line } = await agent.add(type);
      const [, base64] = line.split(' ');
      for (const key of [fingerprint, `${fingerprint}=`, line, `${line.split(' ')[0]} ${base64}`]) {
        const signer = await openSigner({ agent: { socket: agent.socket, key } });
        expect(signer.algorithm).toBe(algorithm);
        const signatures = await Promise.all(Array.from({ length: 5 }, () => signer.sign(message)));
        for (const signature of signatures) expect(verifySignature(signer, message, signature)).toBe(true);
        await signer.close();
        await expect(signer.sign(message)).rejects.toMatchObject({ code: 'aborted' });
      }
    });
  }

  it.each([
    [384, 'ecdsa-p384', 'sha384'],
    [521, 'ecdsa-p521', 'sha512'],
  ] as const)('signs with ECDSA on P-%i, and only for callers that take such keys', async (bits, kind, hash) => {
    const { fingerprint: key } = await agent.add('ecdsa', { bits });
    const opened = await openAgentKey({ socket: agent.socket, key });
    expect(opened.kind).toBe(kind);
    const publicKey = createPublicKey({ key: Buffer.from(opened.publicKey), format: 'der', type: 'spki' });
    // Numbers whose first bit is set have a zero byte in front: both kinds come up in so many signatures.
    for (let i = 0; i < 20; i++) expect(verify(hash, message, publicKey, await opened.sign(message))).toBe(true);
    await expect(openSigner({ agent: { socket: agent.socket, key } })).rejects.toMatchObject({ code: 'agent-key' });
  });

  it('signs as much as the agent takes, and no more', async () => {
    // The key with the longest public half leaves the least for the message.
    const { fingerprint: key } = await agent.add('ecdsa', { bits: 521 });
    const opened = await openAgentKey({ socket: agent.socket, key });
    const longest = new Uint8Array(MAX_AGENT_DATA).fill(7);
    const publicKey = createPublicKey({ key: Buffer.from(opened.publicKey), format: 'der', type: 'spki' });
    expect(verify('sha512', longest, publicKey, await opened.sign(longest))).toBe(true);
    await expect(opened.sign(new Uint8Array(MAX_AGENT_DATA + 1))).rejects.toMatchObject({
      code: 'agent-limit',
      message: expect.stringContaining(`${MAX_AGENT_DATA} bytes at most`),
    });
  });

  it('takes the socket that SSH_AUTH_SOCK names', async () => {
    const { fingerprint: key } = await agent.add('ed25519');
    const before = process.env.SSH_AUTH_SOCK;
    try {
      process.env.SSH_AUTH_SOCK = agent.socket;
      await expect(openSigner({ agent: { key } })).resolves.toMatchObject({ algorithm: 'ed25519' });
      delete process.env.SSH_AUTH_SOCK;
      await expect(openSigner({ agent: { key } })).rejects.toMatchObject({ code: 'agent-unavailable' });
    } finally {
      if (before !== undefined) process.env.SSH_AUTH_SOCK = before;
    }
  });

  it('names a key that is missing, of another type, or no key at all', async () => {
    const { socket } = agent;
    await agent.add('ed25519');
    const absent = `SHA256:${'A'.repeat(43)}`;
    await expect(openSigner({ agent: { socket, key: absent } })).rejects.toMatchObject({
      code: 'agent-key',
      message: expect.stringContaining('is not in the ssh-agent'),
    });
    const { fingerprint: rsa } = await agent.add('rsa', { bits: 2048 });
    await expect(openSigner({ agent: { socket, key: rsa } })).rejects.toMatchObject({
      code: 'agent-key',
      message: expect.stringContaining('of the type ssh-rsa'),
    });
    for (const key of ['', 'mine', 'MD5:aa:bb', 'SHA256:short', 'ssh-ed25519']) {
      await expect(openSigner({ agent: { socket, key } })).rejects.toMatchObject({
        code: 'agent-key',
        message: expect.stringContaining('names no key'),
      });
    }
  });

  it('tells a locked agent, a lost key and a refusal apart', async () => {
    const { socket } = agent;
    const kept = await agent.add('ed25519');
    const signer = await openSigner({ agent: { socket, key: kept.fingerprint } });
    await agent.lock();
    try {
      await expect(signer.sign(message)).rejects.toMatchObject({ code: 'agent-locked' });
      await expect(openSigner({ agent: { socket, key: kept.fingerprint } })).rejects.toMatchObject({
        code: 'agent-locked',
        message: expect.stringContaining('ssh-add -X'),
      });
    } finally {
      await agent.unlock();
    }
    expect(verifySignature(signer, message, await signer.sign(message))).toBe(true);
    await agent.remove(kept);
    await expect(signer.sign(message)).rejects.toMatchObject({ code: 'agent-key' });

    const asked = await agent.add('ed25519', { confirm: true });
    const refused = await openSigner({ agent: { socket, key: asked.fingerprint } });
    await expect(refused.sign(message)).rejects.toMatchObject({ code: 'agent-refused' });
  });

  it('waits while the agent is away, and goes on when it is back', async () => {
    const key = await agent.add('ed25519');
    const errors = new Set<string>();
    const inner = await openSigner({ agent: { socket: agent.socket, key: key.fingerprint } });
    const signer = new RetryingSigner(inner, { onError: ({ code }) => errors.add(code), maxDelayMs: 20 });
    try {
      await signer.sign(message);
      await agent.end();
      const waiting = [signer.sign(message), signer.sign(message)];
      await expect.poll(() => errors.has('agent-unavailable'), { timeout: 20_000 }).toBe(true);
      expect(signer.healthy).toBe(false);
      await agent.begin();
      await expect.poll(() => errors.has('agent-locked'), { timeout: 20_000 }).toBe(true);
      await agent.addAgain(key);
      for (const signature of await Promise.all(waiting)) {
        expect(verifySignature(signer, message, signature)).toBe(true);
      }
      expect(signer.healthy).toBe(true);
    } finally {
      await signer.close();
    }
  });
});

describe('an agent that misbehaves', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** A program at a socket that answers each request with what `answer` writes. */
  async function behind(answer: (type: number, socket: Socket) => void): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'stele-agent-'));
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.on('error', () => {});
      // The first five bytes of a request are its length and type.
      socket.once('data', (bytes) => answer(bytes[4]!, socket));
    });
    server.listen(join(dir, 'socket'));
    await once(server, 'listening');
    closing.push(async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await rm(dir, { recursive: true, force: true });
    });
    return join(dir, 'socket');
  }

  const blob = concat(sshString('ssh-ed25519'), sshString(new Uint8Array(32).fill(9)));
  const key = `ssh-ed25519 ${Buffer.from(blob).toString('base64')}`;
  const list = (...blobs: Uint8Array[]) =>
    sshString(
      concat(
        Uint8Array.of(12),
        sshUint32(blobs.length),
        ...blobs.flatMap((one) => [sshString(one), sshString('\x1b[1m')]),
      ),
    );
  const signed = (type: string, signature: Uint8Array) =>
    sshString(concat(Uint8Array.of(14), sshString(concat(sshString(type), sshString(signature)))));
  const open = (socket: string, timeoutMs?: number) =>
    openSigner({ agent: { socket, key, ...(timeoutMs === undefined ? {} : { timeoutMs }) } });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['half a length', Uint8Array.of(0, 0)],
    ['an empty reply', sshUint32(0)],
    ['a reply of 256 KiB and a byte', sshUint32(256 * 1024 + 1)],
    ['a reply of 4 GiB', sshUint32(0xffffffff)],
    ['half a reply', list(blob).subarray(0, 30)],
    ['two replies', concat(list(blob), list(blob))],
    ['a reply of another type', sshString(Uint8Array.of(6))],
    ['a failure', sshString(Uint8Array.of(5))],
    ['more keys than it sends', sshString(concat(Uint8Array.of(12), sshUint32(2), sshString(blob), sshString('')))],
    ['a key count of 4 billion', sshString(concat(Uint8Array.of(12), sshUint32(0xffffffff)))],
    ['bytes after the keys', sshString(concat(Uint8Array.of(12), sshUint32(0), Uint8Array.of(1)))],
  ])('takes nothing of an agent that answers %s', async (_, reply) => {
    const socket = await behind((_type, connection) => connection.end(reply));
    await expect(open(socket)).rejects.toMatchObject({ code: 'agent-unavailable' });
  });

  it('reads a reply that comes byte by byte', async () => {
    const socket = await behind(async (_type, connection) => {
      for (const byte of list(blob)) await new Promise((next) => connection.write(Uint8Array.of(byte), next));
    });
    await expect(open(socket)).resolves.toMatchObject({ algorithm: 'ed25519' });
  });

  it('ends a request that is not answered', async () => {
    const socket = await behind(() => {});
    await expect(open(socket, 20)).rejects.toMatchObject({
      code: 'agent-unavailable',
      message: expect.stringContaining('does not answer in 20 ms'),
    });
    await expect(open('/nonexistent/agent')).rejects.toMatchObject({ code: 'agent-unavailable' });
  });

  it.each<[string, Uint8Array]>([
    ['31 bytes', concat(sshString('ssh-ed25519'), sshString(new Uint8Array(31)))],
    ['bytes after it', concat(blob, Uint8Array.of(0))],
    ['no type', Uint8Array.of(0, 0, 0, 9)],
    ['two curves', concat(sshString('ecdsa-sha2-nistp256'), sshString('nistp384'), sshString(new Uint8Array(65)))],
    [
      'a security key',
      concat(sshString('sk-ssh-ed25519@openssh.com'), sshString(new Uint8Array(32)), sshString('ssh:')),
    ],
  ])('does not use a key with %s', async (_, bad) => {
    const socket = await behind((_type, connection) => connection.end(list(bad)));
    const named = `ssh-ed25519 ${Buffer.from(bad).toString('base64')}`;
    await expect(openSigner({ agent: { socket, key: named } })).rejects.toMatchObject({ code: 'agent-key' });
  });

  it.each<[string, Uint8Array, string]>([
    ['a wrong signature', signed('ssh-ed25519', new Uint8Array(64).fill(1)), 'signature-wrong'],
    ['a signature of 63 bytes', signed('ssh-ed25519', new Uint8Array(63)), 'signature-wrong'],
    ['a signature of another type', signed('ssh-rsa', new Uint8Array(64)), 'agent-key'],
    [
      'bytes after the signature',
      concat(signed('ssh-ed25519', new Uint8Array(64)), Uint8Array.of(1)),
      'agent-unavailable',
    ],
  ])('uses nothing of %s', async (_, reply, code) => {
    const socket = await behind((type, connection) => connection.end(type === 11 ? list(blob) : reply));
    await expect((await open(socket)).sign(message)).rejects.toMatchObject({ code });
  });
});
