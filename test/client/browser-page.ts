/** What browser.test.ts puts into a page, and runs in Node besides: one verification, from bytes in base64 to its outcome. */

import { checkSentence } from '../../client/verify/sentences.ts';
import {
  ClientError,
  entryDigest,
  noblePrimitives,
  parseBundle,
  parseLogKey,
  parsePublicKeyPem,
  parseTrustedRoot,
  parseTrustPolicy,
  requiredHashes,
  verifyBundle,
  verifyTlogProof,
} from '../../client/verify.ts';

/** All bytes in base64. */
export interface Inputs {
  readonly bundle: string;
  readonly artifact: string;
  readonly trustedRoot?: string;
  readonly policy?: string;
  readonly logKey?: string;
  /** PEM. */
  readonly key?: string | undefined;
  readonly identity?: string;
  readonly issuer?: string;
}

/** What holds, check by check; or the code of what does not. */
export function verifyInputs(inputs: Inputs): string[] | string {
  try {
    const key = inputs.key === undefined ? undefined : parsePublicKeyPem(inputs.key).info;
    const bundle = parseBundle(bytesOf(inputs.bundle));
    const artifact = bytesOf(inputs.artifact);
    const digests = requiredHashes(bundle, key).map((hash) => [hash, noblePrimitives.hash(hash, artifact)]);
    const { trustedRoot, policy, logKey, identity = '', issuer = '' } = inputs;
    const outcome = verifyBundle({
      bundle,
      artifact: Object.fromEntries(digests),
      ...(trustedRoot === undefined ? {} : { trustedRoot: parseTrustedRoot(bytesOf(trustedRoot)) }),
      ...(policy === undefined ? {} : { policy: parseTrustPolicy(bytesOf(policy)) }),
      ...(logKey === undefined ? {} : { logKey: parseLogKey(logKey) }),
      ...(key === undefined ? { identity: { identity, issuer } } : { key }),
    });
    return outcome.checks.map((check) => JSON.stringify(checkSentence(check)));
  } catch (error) {
    return error instanceof ClientError ? error.code : String(error);
  }
}

/** A tlog-proof of a file that this key signed: what it proves, or the code of what does not hold. */
export function verifyProof({ proof, ...inputs }: Record<'proof' | 'artifact' | 'key' | 'policy', string>): string {
  try {
    const file = bytesOf(proof);
    const hash = entryDigest(file);
    const { origin, index } = verifyTlogProof({
      proof: file,
      policy: parseTrustPolicy(bytesOf(inputs.policy)),
      digests: { [hash]: noblePrimitives.hash(hash, bytesOf(inputs.artifact)) },
      signer: { key: parsePublicKeyPem(inputs.key).spki },
    });
    return `entry ${index} of ${origin}`;
  } catch (error) {
    return error instanceof ClientError ? error.code : String(error);
  }
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

Object.assign(globalThis, { verifyInputs, verifyProof });
