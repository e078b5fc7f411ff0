/** ECDSA keys in OpenSSH's ssh-agent sign files and statements, within the agent's limit. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBundle } from '../../../../client/formats/bundle.ts';
import { attest } from '../../../../client/submit/attestation.ts';
import { signDigest } from '../../../../client/submit/signed-digest.ts';
import { agentSigner } from '../../../../client/submit/signers/agent-signer.ts';
import { HASH_NAME } from '../../../../merkle/rekor/hashes.ts';
import { MAX_AGENT_DATA } from '../../../../merkle/runtime/keys/agent/agent-client.ts';
import { tempDir } from '../../../support/log.ts';
import { stele } from '../../../support/serve.ts';
import { skips } from '../../../support/skip.ts';
import { NO_SSH_AGENT, type SshAgent, type SshKey, startSshAgent } from '../../../support/ssh-agent.ts';
import { type FaultyLog, faultyLog } from '../faulty-log.ts';

const fails = (code: string, text: string) => ({ code, message: expect.stringContaining(text) });
const STATEMENT = Buffer.from(
  JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'a', digest: { sha256: 'ab'.repeat(32) } }],
    predicateType: 'https://example.com/review/v1',
  }),
);

describe.skipIf(skips('keys in an ssh-agent', NO_SSH_AGENT))('a key in an ssh-agent', () => {
  let agent: SshAgent;
  const keys = new Map<number, SshKey>();
  beforeAll(async () => {
    agent = await startSshAgent();
    for (const bits of [256, 384, 521]) keys.set(bits, await agent.add('ecdsa', { bits }));
  });
  afterAll(() => agent?.stop());
  const open = (key: string) => agentSigner({ key, socket: agent.socket });
  const whole = (message: Uint8Array) => async (limit: number) => (message.length > limit ? undefined : message);

  it.each([256, 384, 521])('on P-%i signs messages up to the limit, and statements', async (bits) => {
    const signer = await open(keys.get(bits)!.fingerprint);
    expect(signer).toMatchObject({ repeatable: false, publicKey: { name: `ECDSA P-${bits}` } });
    const hash = HASH_NAME[signer.publicKey.digest];
    for (const message of [Buffer.from(''), Buffer.from('hello'), Buffer.alloc(MAX_AGENT_DATA, bits)]) {
      const digest = createHash(hash).update(message).digest();
      const { signature } = await signDigest(digest, signer, whole(message));
      expect(signer.publicKey.verify(digest, signature)).toBe(true);
    }
    const { signed } = await attest(STATEMENT, signer);
    expect(signer.publicKey.verify(signed.digest, signed.signature)).toBe(true);
  });

  it('signs nothing that is longer, and names the limit', async () => {
    const signer = await open(keys.get(256)!.line);
    const message = Buffer.alloc(MAX_AGENT_DATA + 1);
    const digest = createHash('sha256').update(message).digest();
    const refused = fails('agent-limit', String(MAX_AGENT_DATA));
    await expect(signDigest(digest, signer, whole(message))).rejects.toMatchObject(refused);
    await expect(signDigest(digest, signer)).rejects.toMatchObject(fails('key', 'no digest alone'));
  });

  it('gives no signature for a message that changed since it was hashed', async () => {
    const signer = await open(keys.get(256)!.fingerprint);
    const digest = createHash('sha256').update('hello').digest();
    await expect(signDigest(digest, signer, whole(Buffer.from('hallo')))).rejects.toMatchObject({
      code: 'bad-signature',
    });
  });

  it('of another kind is refused, with the reason', async () => {
    const ed25519 = await agent.add('ed25519');
    await expect(open(ed25519.fingerprint)).rejects.toMatchObject(fails('key', 'Ed25519ph'));
    const rsa = await agent.add('rsa');
    await expect(open(rsa.fingerprint)).rejects.toMatchObject(fails('agent-key', 'ssh-rsa'));
  });

  it('may be away, or refuse', async () => {
    await expect(open(`SHA256:${'A'.repeat(43)}`)).rejects.toMatchObject({ code: 'agent-key' });
    const asked = await agent.add('ecdsa', { confirm: true });
    const signer = await open(asked.fingerprint);
    await expect(attest(STATEMENT, signer)).rejects.toMatchObject({ code: 'agent-refused' });
  });

  describe('and stele', () => {
    let dir: Awaited<ReturnType<typeof tempDir>>;
    let log: FaultyLog;
    beforeAll(async () => {
      dir = await tempDir();
      log = await faultyLog();
      writeFileSync(at('small'), 'hello');
      writeFileSync(at('large'), Buffer.alloc(300_000, 1));
      writeFileSync(at('key.pub'), `${keys.get(384)!.line}\n`);
      writeFileSync(at('p.json'), '{}');
    });
    afterAll(async () => {
      await log?.close();
      await dir?.remove();
    });
    const at = (name: string) => join(dir.path, name);
    const cli = (...args: readonly string[]) => stele(args, { cwd: dir.path, env: { SSH_AUTH_SOCK: agent.socket } });
    const toLog = () => ['--log', log.url, '--log-key', log.vkey];
    const verify = (file: string, ...more: readonly string[]) =>
      cli('verify', file, '--key', 'pub.pem', '--log-key', log.vkey, ...more);

    it('sign a file, once', async () => {
      const args = ['sign', 'small', '--agent-key', 'key.pub', '--public-out', 'pub.pem', ...toLog()];
      expect(await cli(...args)).toMatchObject({ code: 0, stderr: '' });
      expect(await verify('small')).toMatchObject({ code: 0 });
      const before = readFileSync(at('small.sigstore.json'));
      expect(await cli(...args)).toMatchObject({ code: 0 });
      const signature = (file: Buffer) => parseBundle(file).content.signature;
      expect(signature(readFileSync(at('small.sigstore.json')))).toEqual(signature(before));
      expect(existsSync(at('small.sigstore.json.unlogged'))).toBe(false);
    });

    it('sign no file that is too long or a pipe, and attest to it', async () => {
      const key = ['--agent-key', keys.get(384)!.fingerprint, '--public-out', 'pub.pem'];
      expect(await cli('sign', 'large', ...key, ...toLog())).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(new RegExp(`\\[agent-limit\\].*${MAX_AGENT_DATA} bytes`)),
      });
      expect(await cli('sign', '-', '--out', 'x', ...key, ...toLog())).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/\[usage\].*no pipe/),
      });
      const what = ['--predicate', 'p.json', '--type', 'https://example.com/review/v1'];
      expect(await cli('attest', 'large', ...what, ...key, ...toLog())).toMatchObject({ code: 0 });
      expect(await verify('large', '--bundle', 'large.attestation.sigstore.json')).toMatchObject({ code: 0 });
    });

    it('say what is wrong with the key, and print nothing of a private one', async () => {
      writeFileSync(at('secret'), '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n');
      const ran = await cli('sign', 'small', '--agent-key', 'secret', ...toLog());
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringMatching(/\[key\].*\.pub/) });
      expect(ran.stderr).not.toContain('c2VjcmV0');
      for (const [more, code] of [
        [['--key', 'k.pem'], 'usage'],
        [['--passphrase-env', 'P'], 'usage'],
      ] as const) {
        const both = await cli('sign', 'small', '--agent-key', 'key.pub', ...more, ...toLog());
        expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining(`[${code}]`) });
      }
    });
  });
});
