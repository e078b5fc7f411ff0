/** Decisions as SARIF 2.1.0 (OASIS), for code scanning of pipelines: a result for each reason of a denial. */
import { printable } from '../../merkle/printable.ts';
import { REASONS, type ReasonCode } from '../../merkle/runtime/policy/reasons.ts';
import type { Decision, Reason } from '../../merkle/runtime/policy/types.ts';

/** A decision about an artifact that a person named. */
export interface ReportedDecision {
  /** File, image, digest or purl. */
  readonly name: string;
  readonly decision: Decision;
  /** The file that the artifact stands in, such as a lock file, and the line there. */
  readonly place?: { readonly file: string; readonly line: number };
}

interface Found extends Reason {
  readonly rule?: string;
  readonly evidence?: string;
}

/** The reasons of a denial that are worth a line each; none where the answer is allow. */
function foundReasons({ verdict, reasons, rules, refused }: Decision): readonly Found[] {
  if (verdict === 'allow') return [];
  const ofRules = rules
    .filter(({ holds }) => !holds)
    .flatMap((rule): Found[] => [
      ...rule.reasons.map((one) => ({ ...one, rule: rule.name })),
      ...rule.evidence.flatMap((piece) =>
        piece.reasons.map((one) => ({ ...one, rule: rule.name, evidence: `${piece.source} (${piece.digest})` })),
      ),
    ]);
  const notes = refused.map(({ source, digest, code, message }): Found => {
    return {
      code: 'no-evidence',
      message: `refused evidence: [${code}] ${message}`,
      evidence: `${source} (${digest})`,
    };
  });
  return [...reasons, ...ofRules, ...notes];
}

/** The text of a SARIF log with one run. `version` is that of Stele. */
export function decisionsSarif(decisions: readonly ReportedDecision[], version: string): string {
  const codes = Object.keys(REASONS) as ReasonCode[];
  const results = decisions.flatMap((one) => foundReasons(one.decision).map((found) => resultOf(one, found, codes)));
  const denied = decisions.filter(({ decision }) => decision.verdict !== 'allow').length;
  const log = {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'stele',
            semanticVersion: version,
            rules: codes.map((id) => ({
              id,
              shortDescription: { text: REASONS[id] },
              defaultConfiguration: { level: 'error' },
            })),
          },
        },
        invocations: [{ executionSuccessful: true, exitCode: denied === 0 ? 0 : 1 }],
        results,
        properties: { allowed: decisions.length - denied, denied, policies: policiesOf(decisions) },
      },
    ],
  };
  return `${JSON.stringify(log, undefined, 2)}\n`;
}

function resultOf({ name, decision, place }: ReportedDecision, found: Found, codes: readonly ReasonCode[]): object {
  const { code, message, rule, evidence } = found;
  const of = rule === undefined ? '' : `rule "${plain(rule)}": `;
  const by = evidence === undefined ? '' : `; evidence ${plain(evidence)}`;
  const { policy, artifact } = decision;
  return {
    ruleId: code,
    ruleIndex: codes.indexOf(code),
    level: 'error',
    message: { text: `${plain(name)} is denied by the policy "${plain(policy.name)}": ${of}${plain(message)}${by}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(place?.file ?? name) },
          region: { startLine: place?.line ?? 1 },
        },
        logicalLocations: [{ fullyQualifiedName: printable(name) }],
      },
    ],
    properties: {
      artifact: artifact.digest,
      policy: policy.digest,
      ...(rule === undefined ? {} : { rule: printable(rule) }),
    },
  };
}

function policiesOf(decisions: readonly ReportedDecision[]): readonly string[] {
  return [...new Set(decisions.map(({ decision }) => decision.policy.digest))];
}

/** Text that a viewer does not read as links: `[text](target)` is one in SARIF. */
function plain(text: string): string {
  return printable(text).replace(/[\\[\]]/g, (sign) => `\\${sign}`);
}

/** A relative reference of RFC 3986: a file name may have any character. */
function uriOf(name: string): string {
  const path = name
    .replaceAll('\\', '/')
    .split('/')
    .map((part) => encodeURIComponent(part.toWellFormed()));
  return path.join('/');
}
