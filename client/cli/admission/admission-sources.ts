/** Where admission finds evidence, and what asks registries for the digests of tags. */
import type { AdmissionConfig } from '../../admission/admission-config.ts';
import type { AskRegistry } from '../../admission/tag-digests.ts';
import { directorySource } from '../../evidence/directory-store.ts';
import { registrySource } from '../../evidence/registry.ts';
import type { EvidenceSource } from '../../evidence/types.ts';
import { certificatesOf } from '../tls-authorities.ts';

interface AdmissionSources {
  readonly source: EvidenceSource;
  readonly askRegistry?: AskRegistry;
}

/** @throws ClientError `file`, `usage` */
export async function admissionSources({ evidence }: Pick<AdmissionConfig, 'evidence'>): Promise<AdmissionSources> {
  const { directory, registry, registryCa, insecureRegistries, credentials, allow, timeout } = evidence;
  const own = directory === undefined ? [] : [directorySource(directory)];
  if (!registry) return { source: allOf(own) };
  const authorities = registryCa === undefined ? undefined : await certificatesOf(registryCa);
  const images = registrySource({
    insecure: insecureRegistries,
    authorities,
    configFile: credentials,
    allow,
    timeoutMs: timeout,
  });
  return {
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
