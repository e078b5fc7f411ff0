/** Conditions over predicates of each form: what they read is typed, and a predicate that lies is never true. */
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../../../merkle/bytes.ts';
import { parseJsonValue } from '../../../../../merkle/rekor/json-value.ts';
import { compileCondition } from '../../../../../merkle/runtime/policy/cel/condition.ts';
import { conditionVariables, DECLARED } from '../../../../../merkle/runtime/policy/condition-variables.ts';
import type { VerifiedEvidence } from '../../../../../merkle/runtime/policy/types.ts';

const SPDX = {
  spdxVersion: 'SPDX-2.3',
  SPDXID: 'SPDXRef-DOCUMENT',
  name: 'app',
  creationInfo: { created: '2026-08-01T12:00:00Z', creators: ['Tool: sbom-maker'] },
  packages: [{ SPDXID: 'SPDXRef-1', name: 'left-pad', versionInfo: '1.0.0' }],
};
const PROVENANCE = {
  buildDefinition: { buildType: 'https://example.com/make@v1', externalParameters: { runs: 9007199254740992 } },
  runDetails: {
    builder: { id: 'https://example.com/builder' },
    metadata: { startedOn: '2026-08-01T12:00:00.000000001Z', finishedOn: '2026-08-01T12:00:30Z' },
    vendor_x: 'kept',
  },
};

function evaluated(predicateType: string, json: string, text: string): unknown {
  const evidence: VerifiedEvidence = {
    digest: 'sha256:00',
    source: 'test',
    signer: { kind: 'key', fingerprint: '00' },
    statement: {
      type: 'https://in-toto.io/Statement/v1',
      predicateType,
      subjects: [{ digest: { sha256: 'ab'.repeat(32) } }],
      predicate: () => parseJsonValue(encodeUtf8(json), 'the predicate', 10_000_000, 256),
    },
    entries: [],
    times: [],
  };
  const context = {
    artifact: { digest: { sha256: 'ab'.repeat(32) } },
    evidence,
    all: [evidence],
    namesOf: () => [],
    now: 0,
  };
  return compileCondition(text, DECLARED).evaluate(conditionVariables(context));
}

describe('conditions', () => {
  it.each([
    ['an SBOM as an object', 'https://spdx.dev/Document', JSON.stringify(SPDX)],
    ['an SBOM as a text', 'https://spdx.dev/Document', JSON.stringify(JSON.stringify(SPDX))],
  ])('read %s', (_, type, json) => {
    const holds = (text: string) => evaluated(type, json, text);
    expect(holds("predicate.spdxVersion == 'SPDX-2.3'")).toBe(true);
    expect(holds("predicate.creationInfo.created == timestamp('2026-08-01T12:00:00Z')")).toBe(true);
    expect(holds("predicate.packages.exists(p, p.name == 'left-pad')")).toBe(true);
    expect(holds("predicate.spdxVersion == 'SPDX-2.2'")).toBe(false);
  });

  it('read times to the nanosecond, integers of all digits, and fields that are not known', () => {
    const type = 'https://slsa.dev/provenance/v1';
    const json = JSON.stringify(PROVENANCE).replace('9007199254740992', '9007199254740993');
    const holds = (text: string) => evaluated(type, json, text);
    expect(holds('predicate.buildDefinition.externalParameters.runs == 9007199254740993')).toBe(true);
    expect(holds('predicate.buildDefinition.externalParameters.runs == 9007199254740992')).toBe(false);
    const metadata = 'predicate.runDetails.metadata';
    expect(holds(`${metadata}.finishedOn - ${metadata}.startedOn < duration('30s')`)).toBe(true);
    expect(holds(`${metadata}.finishedOn - ${metadata}.startedOn < duration('29.9s')`)).toBe(false);
    expect(holds("predicate.runDetails.vendor_x == 'kept'")).toBe(true);
    expect(holds("predicate.runDetails.other == 'kept'")).not.toBe(true);
  });

  it('have no value where the predicate is not what its type says', () => {
    expect(() => evaluated('https://slsa.dev/provenance/v1', JSON.stringify(SPDX), 'true')).toThrow(/SPDX 2 document/);
    expect(() => evaluated('https://cyclonedx.org/bom', JSON.stringify(SPDX), 'true')).toThrow(/bomFormat is missing/);
  });
});
