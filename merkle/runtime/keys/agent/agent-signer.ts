/** Keys in an ssh-agent: Ed25519, and ECDSA on P-256, P-384 and P-521. The private key never leaves the agent. */
import { createHash } from 'node:crypto';
import { equal } from '../../../bytes.ts';
import { printable } from '../../../printable.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import type { AgentKeySpec, Signer } from '../types.ts';
import { listIdentities, signByAgent } from './agent-client.ts';
import { keyTypeOf, readKeyBlob, readSignatureBlob, SshFormatError, type SshPublicKey } from './ssh-wire.ts';

/** Less than the time after which `RetryingSigner` calls an answer slow. */
const DEFAULT_TIMEOUT_MS = 8_000;

/** `SHA256:` and the hash without padding, as `ssh-add -l` prints it; or the beginning of a line of `ssh-add -L`. */
const FINGERPRINT = /^SHA256:([A-Za-z0-9+/]{43})=?$/;
const PUBLIC_KEY = /^[a-z0-9@.-]+ ([A-Za-z0-9+/]+={0,2})(?: .*)?$/;

/** A key in an agent. */
interface AgentKey extends SshPublicKey {
  /**
   * Ed25519: 64 bytes over the message itself. ECDSA: DER `SEQUENCE { r, s }` over its SHA-256, SHA-384 or SHA-512, by the
   * curve. Nothing has verified the signature. Calls may overlap.
   *
   * Rejects with RuntimeError: `agent-limit` for a message that an agent does not take, `agent-locked`, `agent-key` (the
   * key was removed), `agent-refused`, `agent-unavailable`.
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/**
 * Finds the key in the agent.
 * @throws RuntimeError `agent-unavailable`, `agent-locked` (the agent shows no key at all), `agent-key` (the key is not
 * there, or is of a type that is not used)
 */
export async function openAgentKey(spec: AgentKeySpec): Promise<AgentKey> {
  const socket = spec.socket ?? process.env.SSH_AUTH_SOCK;
  if (socket === undefined || socket === '') {
    throw new RuntimeError(
      'agent-unavailable',
      'no ssh-agent is named: start one (`eval "$(ssh-agent)"`), which sets SSH_AUTH_SOCK, or give the path of its socket',
    );
  }
  const agent = { socket, timeoutMs: spec.timeoutMs ?? DEFAULT_TIMEOUT_MS };
  const matches = matcherOf(spec.key);
  const find = async (): Promise<Uint8Array> => {
    const identities = await listIdentities(agent);
    const found = identities.find(({ blob }) => matches(blob));
    if (found !== undefined) return found.blob;
    if (identities.length > 0) throw keyError(spec, `is not in the ssh-agent at ${socket}: add it with ssh-add`);
    throw new RuntimeError(
      'agent-locked',
      `the ssh-agent at ${socket} shows no key: it is locked (unlock it with \`ssh-add -X\`), or holds none (\`ssh-add FILE\`)`,
    );
  };
  const blob = await find();
  const { kind, publicKey } = publicKeyOf(spec, blob);
  return {
    kind,
    publicKey,
    sign: async (message) => {
      const signature = await signByAgent(agent, blob, message).catch(async (error: unknown) => {
        // An agent gives one answer for a key that it lost, while it is locked, and when its user refuses.
        if (error instanceof RuntimeError && error.code === 'agent-refused') await find();
        throw error;
      });
      try {
        return readSignatureBlob(signature, kind);
      } catch (cause) {
        if (!(cause instanceof SshFormatError)) throw cause;
        throw keyError(spec, `gives a signature of another form: ${cause.message}`);
      }
    },
  };
}

/**
 * A signer over an Ed25519 or ECDSA P-256 key of the agent. While the agent is away `sign` rejects, and `RetryingSigner`
 * turns that into waiting. `checkedSigner` verifies what the agent signs.
 * @throws RuntimeError as `openAgentKey`
 */
export async function openAgentSigner(spec: AgentKeySpec): Promise<Signer> {
  const key = await openAgentKey(spec);
  const { kind: algorithm, publicKey } = key;
  if (algorithm !== 'ed25519' && algorithm !== 'ecdsa-p256') {
    throw keyError(spec, 'is neither Ed25519 nor ECDSA P-256: add another one (`ssh-keygen -t ed25519`)');
  }
  let closed = false;
  return {
    algorithm,
    publicKey,
    sign: async (message) => {
      if (closed) throw new RuntimeError('aborted', 'the signer is closed');
      return await key.sign(message);
    },
    close: async () => {
      closed = true;
    },
  };
}

function matcherOf(key: string): (blob: Uint8Array) => boolean {
  const fingerprint = FINGERPRINT.exec(key)?.[1];
  if (fingerprint !== undefined) {
    return (blob) => createHash('sha256').update(blob).digest('base64') === `${fingerprint}=`;
  }
  const base64 = PUBLIC_KEY.exec(key)?.[1];
  if (base64 === undefined) {
    throw new RuntimeError(
      'agent-key',
      `${JSON.stringify(printable(key))} names no key: give a fingerprint (SHA256:…, as \`ssh-add -l\` prints it) or a public key (a line of \`ssh-add -L\`)`,
    );
  }
  const wanted = Buffer.from(base64, 'base64');
  return (blob) => equal(blob, wanted);
}

function publicKeyOf(spec: AgentKeySpec, blob: Uint8Array): SshPublicKey {
  let type: string;
  try {
    type = keyTypeOf(blob);
    const key = readKeyBlob(blob);
    if (key !== undefined) return key;
  } catch (cause) {
    if (cause instanceof SshFormatError) throw keyError(spec, `is malformed: ${cause.message}`);
    throw cause;
  }
  throw keyError(
    spec,
    `is of the type ${printable(type)}, which is not used: use Ed25519, or ECDSA on P-256, P-384 or P-521. Security keys (sk-…) sign other bytes than the message`,
  );
}

function keyError({ key }: AgentKeySpec, why: string): RuntimeError {
  return new RuntimeError('agent-key', `the key ${printable(key)} ${why}`);
}
