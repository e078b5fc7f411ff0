/** Runs the tests of policies, each as `stele decide` would decide at its time. */
import { basename } from 'node:path';
import { printable } from '../../../merkle/printable.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { differencesFrom, MAX_POLICY_TESTS, type PolicyTest, parsePolicyTests } from '../../policy/policy-tests.ts';
import { readWhole } from '../files.ts';
import { inputName } from '../input.ts';
import { describe, printJson, writeOut } from '../report.ts';
import type { DecideOptions } from './decide-options.ts';
import { type DecideBasis, decideBasis, decideNamed } from './run-decide.ts';

/** A test that ran. */
interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly passed: boolean;
  /** What is not as expected, or why the test could not run. */
  readonly problems: readonly string[];
}

/** Prints a line for each test, and sets the exit status. @throws ClientError, RuntimeError where a file cannot be used */
export async function runPolicyTests(files: readonly string[], options: DecideOptions): Promise<void> {
  const results: TestResult[] = [];
  for (const file of files) results.push(...(await runFile(file, options)));
  const failed = results.filter(({ passed }) => !passed).length;
  if (options.json === true) printJson({ ok: failed === 0, tests: results });
  else {
    for (const { file, name, passed, problems } of results) {
      writeOut(`${passed ? 'ok  ' : 'FAIL'} ${printable(basename(file))}: ${printable(name)}\n`);
      for (const problem of problems) writeOut(`       ${printable(problem)}\n`);
    }
    writeOut(`${counted(results.length - failed, 'test')} passed, ${failed} failed\n`);
  }
  if (failed > 0) process.exitCode = 1;
}

async function runFile(file: string, options: DecideOptions): Promise<TestResult[]> {
  const bytes = await readWhole(file, MAX_POLICY_TESTS, 'a file of tests');
  const { tests, ...given } = parsePolicyTests(bytes, inputName(file));
  const trusted = given.trustedRoot ?? given.quorumPolicy ?? given.logKey;
  // The trust of the file stands alone: what another command line trusts must not change a test.
  const { trustedRoot, quorumPolicy, logKey, trust, ...rest } = options;
  const named = trusted === undefined ? { trustedRoot, quorumPolicy, logKey, trust } : {};
  const basis = await decideBasis(defined({ ...rest, ...named, ...given }), nodePrimitives());
  const results: TestResult[] = [];
  for (const test of tests) {
    const problems = await problemsOf(test, basis);
    results.push({ file, name: test.name, passed: problems.length === 0, problems });
  }
  return results;
}

async function problemsOf(test: PolicyTest, basis: DecideBasis): Promise<string[]> {
  const { artifact, as, evidence = [], now } = test;
  try {
    const options = defined({ evidence, name: as });
    const [one] = await decideNamed([artifact], options, { ...basis, now }, new AbortController().signal);
    return differencesFrom(test, one!.decision);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const { code, message } = describe(error);
    return [`it could not run: [${code}] ${message}`];
  }
}

function defined(options: object): DecideOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
