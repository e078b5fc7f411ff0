/**
 * Predicates about vulnerabilities, tests, attributes and releases (in-toto/attestation, spec/predicates/; cosign's vulnerability
 * scan record, sigstore/cosign specs/COSIGN_VULN_ATTESTATION_SPEC.md).
 */
import { printable } from '../../../printable.ts';
import type { JsonValue } from '../../../rekor/json-value.ts';
import {
  anyObject,
  anyText,
  anyValue,
  descriptor,
  fields,
  instant,
  listOf,
  may,
  must,
  oneOfTexts,
  predicateError,
  resourceUri,
  type Shape,
  someText,
  uri,
} from './shape.ts';

const severity = listOf(fields({ method: must(someText), score: must(anyText) }));
const vulnerability = fields({ id: must(someText), severity: must(severity), annotations: may(listOf(anyObject)) });
const times = fields({ scanStartedOn: must(instant), scanFinishedOn: must(instant) });

/** Version 0.1 describes a vulnerability below `vulnerability`, and its example has the fields in the result itself. */
const result01: Shape<JsonValue | object> = (value, path) => {
  const item = anyObject(value, path);
  if (item.vulnerability === undefined) return vulnerability(value, path);
  return fields({ vulnerability: must(vulnerability) })(value, path);
};

function vulns<T>(result: Shape<T>) {
  return fields({
    scanner: must(
      fields({
        uri: must(resourceUri),
        version: may(anyText),
        db: must(fields({ uri: may(resourceUri), version: may(anyText), lastUpdate: must(instant) })),
        result: must(listOf(result)),
      }),
    ),
    metadata: must(times),
  });
}

export const readVulns01 = vulns(result01);
export const readVulns02 = vulns(vulnerability);

const cosignScanner = fields({
  uri: may(anyText),
  version: may(anyText),
  db: may(fields({ uri: may(anyText), version: may(anyText), lastUpdate: may(instant) })),
  result: may(anyObject),
});

/** cosign reads one `scanner`; its specification also has a list of `scanners`. */
export const readCosignVuln = fields(
  {
    invocation: may(
      fields({ parameters: may(anyValue), uri: may(anyText), event_id: may(anyText), 'builder.id': may(anyText) }),
    ),
    scanner: may(cosignScanner),
    scanners: may(listOf(cosignScanner)),
    metadata: must(times),
  },
  ({ scanner, scanners }, path) => {
    if (scanner === undefined && scanners === undefined) throw predicateError(`${path}.scanner`, 'is missing');
  },
);

export const readTestResult = fields({
  result: must(oneOfTexts(['PASSED', 'WARNED', 'FAILED'])),
  configuration: must(listOf(descriptor)),
  url: may(resourceUri),
  passedTests: may(listOf(anyText)),
  warnedTests: may(listOf(anyText)),
  failedTests: may(listOf(anyText)),
});

export const readScai = fields({
  attributes: must(
    listOf(
      fields({
        attribute: must(someText),
        target: may(descriptor),
        conditions: may(anyObject),
        evidence: may(descriptor),
      }),
      1,
    ),
  ),
  producer: may(descriptor),
});

/** The package URL names one version (release.md, "Parsing Rules"). */
export const readRelease = fields(
  { purl: must(uri), packageId: may(anyText), releaseId: may(anyText) },
  ({ purl }, path) => {
    if (/^pkg:[^@?#]+@[^?#]+/i.test(purl)) return;
    throw predicateError(
      `${path}.purl`,
      `is "${printable(purl.slice(0, 100))}", which is not a package URL with a version`,
    );
  },
);
