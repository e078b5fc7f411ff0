import { expect, it } from 'vitest';
import { parseVerifierKey } from '../../merkle/verifier-key.ts';
import { skips } from '../support/skip.ts';
import { NO_SSH_AGENT, startSshAgent } from '../support/ssh-agent.ts';
import { later, makeWitness, TestLog } from './helpers.ts';

it.skipIf(skips('a witness whose key is in an ssh-agent', NO_SSH_AGENT))(
  'cosigns with a key in an ssh-agent, waits while the agent is away, and keeps its key',
  async () => {
    const agent = await startSshAgent();
    later(() => agent.stop());
    const key = await agent.add('ed25519');
    const log = new TestLog();
    const flags = { 'key-agent-socket': agent.socket, 'key-agent-key': key.line };
    const witness = await makeWitness([log], { flags });
    const blob = Buffer.from(key.line.split(' ')[1]!, 'base64');
    expect(Buffer.from(parseVerifierKey(witness.verifierKeys[0]!).key)).toEqual(blob.subarray(-32));
    expect(await witness.post(log.request(0, 5))).toMatchObject({ status: 200 });

    await agent.end();
    const waiting = witness.post(log.request(5, 9));
    await expect
      .poll(() => witness.witness.notReady(), { timeout: 20_000 })
      .toContain('the key of type 4 does not sign');
    await agent.begin();
    await agent.addAgain(key);
    expect(await waiting).toMatchObject({ status: 200 });

    const other = await agent.add('ed25519');
    const p256 = await agent.add('ecdsa');
    await witness.close();
    const start = (name: string) => makeWitness([], { dir: witness.dir, flags: { ...flags, 'key-agent-key': name } });
    await expect(start(other.line)).rejects.toMatchObject({ code: 'key-mismatch' });
    await expect(start(p256.fingerprint)).rejects.toMatchObject({ code: 'config' });
    expect((await start(key.fingerprint)).verifierKeys).toEqual(witness.verifierKeys);
  },
  60_000,
);
