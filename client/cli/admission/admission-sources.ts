/** Where admission finds evidence, and what asks registries for the digests of tags. */

import { openConfiguredOutgoing } from '../../../merkle/runtime/identity/outgoing.ts';
import type { AdmissionConfig } from '../../admission/admission-config.ts';
import type { AskRegistry } from '../../admission/tag-digests.ts';
import { attestationSource } from '../../evidence/attestation-source.ts';
import { directorySource } from '../../evidence/directory-store.ts';
import { registrySource } from '../../evidence/registry.ts';
import type { EvidenceSource } from '../../evidence/types.ts';
import { atEnd } from '../at-end.ts';
import { certificatesOf } from '../tls-authorities.ts';

interface AdmissionSources {
  readonly source: EvidenceSource;
  readonly askRegistry?: AskRegistry;
  /** What is wrong with the connections to the store, one sentence each. */
  readonly problems: () => readonly string[];
}

/** @throws ClientError `file`, `usage`; RuntimeError as `openOutgoing` */
export async function admissionSources({
  evidence,
  outgoing,
}: Pick<AdmissionConfig, 'evidence' | 'outgoing'>): Promise<AdmissionSources> {
  const { directory, store, registry, registryCa, insecureRegistries, credentials, allow, timeout } = evidence;
  const own = directory === undefined ? [] : [directorySource(directory)];
  const connections = store === undefined ? undefined : await openConfiguredOutgoing(outgoing);
  if (connections !== undefined) atEnd(() => connections.close());
  const problems = () => connections?.problems() ?? [];
  if (store !== undefined) {
    own.push(attestationSource({ url: store, fetch: connections?.pool.fetch, timeoutMs: timeout }));
  }
  if (!registry) return { source: allOf(own), problems };
  const authorities = registryCa === undefined ? undefined : await certificatesOf(registryCa);
  const images = registrySource({
    insecure: insecureRegistries,
    authorities,
    configFile: credentials,
    allow,
    timeoutMs: timeout,
  });
  return {
    problems,
    source: allOf([...own, images]),
    askRegistry: (image, signal, room) => images.resolveTag(image, signal, room),
  };
}

/** The pieces of all sources. Where one of them cannot answer, nobody knows what it would have had. */
function allOf(sources: readonly EvidenceSource[]): EvidenceSource {
  return {
    async find(subject, signal) {
      return (await Promise.all(sources.map((source) => source.find(subject, signal)))).flat();
    },
  };
}
