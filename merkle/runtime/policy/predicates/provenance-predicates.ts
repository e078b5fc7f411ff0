/** SLSA provenance 0.2 (slsa.dev/provenance/v0.2) and 1 (slsa.dev/provenance/v1), and verification summaries 1. */
import {
  anyObject,
  anyText,
  anyValue,
  descriptor,
  digestSet,
  fields,
  flag,
  instant,
  isFilled,
  listOf,
  mapOf,
  may,
  must,
  oneOfTexts,
  predicateError,
  resourceUri,
  someText,
  uri,
  wholeNumber,
} from './shape.ts';

const invocation = fields({
  configSource: may(fields({ uri: may(resourceUri), digest: may(digestSet), entryPoint: may(anyText) })),
  parameters: may(anyValue),
  environment: may(anyValue),
});

export const readProvenance02 = fields({
  builder: must(fields({ id: must(uri) })),
  buildType: must(uri),
  invocation: may(invocation),
  buildConfig: may(anyValue),
  metadata: may(
    fields({
      buildInvocationId: may(anyText),
      buildStartedOn: may(instant),
      buildFinishedOn: may(instant),
      completeness: may(fields({ parameters: may(flag), environment: may(flag), materials: may(flag) })),
      reproducible: may(flag),
    }),
  ),
  materials: may(listOf(fields({ uri: may(resourceUri), digest: may(digestSet) }))),
});

export const readProvenance1 = fields({
  buildDefinition: must(
    fields({
      buildType: must(uri),
      externalParameters: must(anyObject),
      internalParameters: may(anyObject),
      resolvedDependencies: may(listOf(descriptor)),
    }),
  ),
  runDetails: must(
    fields({
      builder: must(
        fields({ id: must(uri), version: may(mapOf(anyText)), builderDependencies: may(listOf(descriptor)) }),
      ),
      metadata: may(fields({ invocationId: may(anyText), startedOn: may(instant), finishedOn: may(instant) })),
      byproducts: may(listOf(descriptor)),
    }),
  ),
});

export const readSummary = fields(
  {
    verifier: must(fields({ id: must(uri), version: may(mapOf(anyText)) })),
    timeVerified: may(instant),
    resourceUri: must(resourceUri),
    policy: must(descriptor),
    inputAttestations: may(listOf(descriptor)),
    verificationResult: must(oneOfTexts(['PASSED', 'FAILED'])),
    verifiedLevels: must(listOf(someText)),
    dependencyLevels: may(mapOf(wholeNumber(0n))),
    slsaVersion: may(anyText),
  },
  ({ policy, inputAttestations = [] }, path) => {
    if (policy.uri === undefined) throw predicateError(`${path}.policy.uri`, 'is missing');
    for (const [at, { digest }] of inputAttestations.entries()) {
      if (!isFilled(digest)) throw predicateError(`${path}.inputAttestations[${at}].digest`, 'is missing');
    }
  },
);

export type Provenance02 = ReturnType<typeof readProvenance02>;
export type Provenance1 = ReturnType<typeof readProvenance1>;
export type VerificationSummary = ReturnType<typeof readSummary>;
