/** Decisions as JUnit's XML, which most pipelines show: a test case for each artifact. */
import { printable } from '../../merkle/printable.ts';
import { decisionLines, decisionSentence } from './decision-text.ts';
import type { ReportedDecision } from './sarif.ts';

/** The text of an XML document. */
export function decisionsJunit(decisions: readonly ReportedDecision[]): string {
  const denied = decisions.filter(({ decision }) => decision.verdict !== 'allow').length;
  const counts = `tests="${decisions.length}" failures="${denied}" errors="0"`;
  const [first] = decisions;
  const suite = first === undefined ? 'stele decide' : `stele decide: ${first.decision.policy.name}`;
  const time = first === undefined ? '' : ` timestamp="${new Date(first.decision.time).toISOString().slice(0, 19)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="stele decide" ${counts}>`,
    `  <testsuite name="${escaped(suite)}" ${counts} skipped="0"${time}>`,
    ...decisions.flatMap(caseOf),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function caseOf({ name, decision, place }: ReportedDecision): readonly string[] {
  const file = place === undefined ? '' : ` file="${escaped(place.file)}" line="${place.line}"`;
  const head = `    <testcase classname="${escaped(decision.policy.name)}" name="${escaped(name)}"${file}`;
  if (decision.verdict === 'allow') return [`${head}/>`];
  const text = decisionLines(name, decision).map(escaped).join('\n');
  const failure = `<failure type="denied" message="${escaped(decisionSentence(decision))}">${text}</failure>`;
  return [`${head}>`, `      ${failure}`, '    </testcase>'];
}

/** What XML 1.0 does not allow goes: the code points that are no characters, and surrogates that stand alone. */
function escaped(text: string): string {
  const clean = printableLine(text).replace(/[\uFFFE\uFFFF\p{Surrogate}]/gu, '');
  return clean.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** `printable` cuts long lines, and the spaces at the start of a line stand for its level. */
function printableLine(text: string): string {
  const [indent] = /^ */.exec(text)!;
  return indent + printable(text);
}
