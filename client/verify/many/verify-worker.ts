/** The thread of verify-many.ts. It does not import verify.ts, which loads noble in 50 ms. */
import { Piscina } from 'piscina';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError } from '../../errors.ts';
import { parseBundle } from '../../formats/bundle.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { parseLastCheckpoint } from '../../trust/last-checkpoint.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import { parseSpiffeBundles } from '../../trust/spiffe-bundles.ts';
import { parseTrustedRoots } from '../../trust/trusted-root.ts';
import { type BundleRequest, verifyByRule } from '../by-rule.ts';
import { CheckpointMemory } from '../checkpoint-memory.ts';
import { packResults, unpackRequests } from './packed.ts';
import type { ManyRequest, ManyResult, ManyTrust } from './types.ts';

const primitives = nodePrimitives();
const trust = { ...trustOf(Piscina.workerData as ManyTrust), memory: new CheckpointMemory() };

export default function work(task: ArrayBuffer): unknown {
  return Piscina.move(packResults(unpackRequests(task).map(verifyOne)));
}

function verifyOne({ bundle, artifact, key }: ManyRequest): ManyResult {
  try {
    const own = key === undefined ? {} : { key: withClientErrors(() => parseSpki(key)) };
    const now = trust.now ?? Date.now();
    const request = { bundle: parseBundle(bundle), artifact, ...trust, now, ...own };
    return { ok: true, outcome: verifyByRule(request, primitives) };
  } catch (error) {
    if (error instanceof ClientError) return { ok: false, code: error.code, message: error.message };
    throw error;
  }
}

function trustOf({
  trustedRoot,
  policy,
  logKey,
  key,
  lastCheckpoints,
  spiffeBundles,
  ...asked
}: ManyTrust): Omit<BundleRequest, 'bundle' | 'artifact'> {
  return {
    ...(trustedRoot === undefined ? {} : { trustedRoot: parseTrustedRoots(trustedRoot) }),
    ...(policy === undefined ? {} : { policy: parseTrustPolicy(policy) }),
    ...(logKey === undefined ? {} : { logKey: parseLogKey(logKey) }),
    ...(key === undefined ? {} : { key: withClientErrors(() => parseSpki(key)) }),
    ...(lastCheckpoints === undefined ? {} : { lastCheckpoints: lastCheckpoints.map(parseLastCheckpoint) }),
    ...(spiffeBundles === undefined ? {} : { spiffeBundles: parseSpiffeBundles(spiffeBundles) }),
    ...asked,
  };
}
