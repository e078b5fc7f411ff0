/**
 * ECDSA keys in an ssh-agent: P-256, P-384 and P-521. Node only.
 *
 * An agent takes no digest. It hashes the whole message, with the hash that logs want for the same curve (RFC 5656 section
 * 6.2.1), so its signature over a file is the signature over the file's digest.
 */
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { MAX_AGENT_DATA } from '../../../merkle/runtime/keys/agent/agent-client.ts';
import { openAgentKey } from '../../../merkle/runtime/keys/agent/agent-signer.ts';
import type { AgentKeySpec } from '../../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import { parsePublicKey } from '../../formats/key.ts';
import type { KeySigner } from './types.ts';

/**
 * Finds the key in the agent.
 *
 * @throws RuntimeError with the codes of `openAgentKey`; ClientError `key` for an Ed25519 key: agents sign with Ed25519
 *   itself, and a log takes only Ed25519ph
 */
export async function agentSigner(spec: AgentKeySpec): Promise<KeySigner> {
  const key = await openAgentKey(spec);
  if (key.kind === 'ed25519') {
    const why =
      'an ssh-agent signs with Ed25519 itself, and a log takes files and attestations only with Ed25519ph, over a digest';
    throw new ClientError('key', `${why}: use an ECDSA key of the agent (\`ssh-keygen -t ecdsa\`), or a key file`);
  }
  return {
    publicKey: parsePublicKey(key.publicKey, nodePrimitives()),
    repeatable: false,
    sign: async (_digest, message) => {
      if (message === undefined) throw new ClientError('key', 'an ssh-agent signs a message, and no digest alone');
      const bytes = await message(MAX_AGENT_DATA);
      if (bytes !== undefined) return await key.sign(bytes);
      const why = `an ssh-agent signs ${MAX_AGENT_DATA} bytes at most, and this is more`;
      throw new RuntimeError(
        'agent-limit',
        `${why}: sign it with a key file or a token, or attest it, which signs less`,
      );
    },
    close: async () => {},
  };
}
