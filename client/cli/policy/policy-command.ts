/** `stele policy`: what helps to write policies: decision policies, and access policies of services. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { MAX_POLICY_FILE } from '../../../merkle/runtime/policy/policy-values.ts';
import { inputName } from '../input.ts';
import { print } from '../report.ts';
import { addEvidenceTrustOptions, type DecideOptions } from './decide-options.ts';

const HELP = `
A decision policy says which evidence an artifact needs (docs/policy.md). \`stele decide\` decides by it. An access policy says who may
call a service (docs/identity.md). \`stele policy check\` tells them apart by their members.

Examples:
  stele policy check policy.yaml
  stele policy check access.yaml
  stele policy test policy-tests.yaml`;

export function policyCommand(): Command {
  const command = new Command('policy')
    .description('Check and test policies')
    .helpCommand(false)
    .addHelpText('after', HELP);
  command.addCommand(checkCommand());
  command.addCommand(testCommand());
  return command;
}

function checkCommand(): Command {
  return new Command('check')
    .description('Say all that is wrong with a decision policy or an access policy, and what its digest is')
    .argument('<file>', 'the policy (YAML)')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExit status: 0 it can be used, 2 it cannot.\n\nExamples:\n  stele policy check policy.yaml\n  stele policy check access.yaml',
    )
    .action(checkPolicy);
}

function testCommand(): Command {
  const command = new Command('test')
    .description('Run tests of decision policies')
    .argument('<files...>', 'files of tests (YAML), each of which names its policy');
  return addEvidenceTrustOptions(command)
    .option('--json', 'print the results as JSON')
    .addHelpText(
      'after',
      `
A file of tests names a policy, and for each test the artifact, its evidence, a time and the decision that is expected
(docs/policy.md). The trust stands in the file too, or is that of the options.

Exit status: 0 every test passes, 1 one fails, 2 a file cannot be used.

Example:
  stele policy test policy-tests.yaml`,
    )
    .action(async (files: readonly string[], options: DecideOptions) => {
      const { runPolicyTests } = await import('./run-policy-tests.ts');
      await runPolicyTests(files, options);
    });
}

async function checkPolicy(file: string, options: { readonly json?: boolean }): Promise<void> {
  const { loadDecisionPolicy } = await import('../../../merkle/runtime/policy/load-policy.ts');
  const { readWhole } = await import('../files.ts');
  const bytes = await readWhole(file, MAX_POLICY_FILE, 'a policy');
  const { isAccessPolicy } = await import('../../../merkle/runtime/policy/access/is-access-policy.ts');
  if (isAccessPolicy(bytes)) return await checkAccessPolicy(bytes, file, options.json);
  const { name, digest, artifacts, rules, signers } = await loadDecisionPolicy(bytes, { file: inputName(file) });
  const found = {
    name,
    digest,
    ...(artifacts === undefined ? {} : { artifacts }),
    signers: signers.map((one) => one.name),
    rules: rules.map((rule) => ({
      name: rule.name,
      types: rule.types,
      signers: rule.signers.map((one) => one.name),
      threshold: rule.threshold,
    })),
  };
  print(options.json, found, [
    `OK: ${printable(name)}`,
    `  digest     ${digest}`,
    `  artifacts  ${printable((artifacts ?? ['any']).join(', '))}`,
    ...found.rules.map(
      ({ name: rule, types, threshold, signers: who }) =>
        `  rule       ${printable(rule)}: ${printable(types.join(', '))}, ${threshold} of ${printable(who.join(', '))}`,
    ),
  ]);
}

async function checkAccessPolicy(bytes: Uint8Array, file: string, json: boolean | undefined): Promise<void> {
  const { loadAccessPolicy } = await import('../../../merkle/runtime/policy/access/load-access.ts');
  const { name, digest, allow } = await loadAccessPolicy(bytes, { file: inputName(file) });
  const rules = allow.map(({ callers, calls, kinds, keys, logs, perMinute, ...rule }) => ({
    name: rule.name,
    callers: callers.map((one) => one.name),
    calls,
    ...(kinds && { kinds }),
    ...(keys && { keys }),
    ...(logs && { logs }),
    ...(perMinute !== undefined && { perMinute }),
  }));
  print(json, { kind: 'access', name, digest, rules }, [
    `OK: ${printable(name)}`,
    '  kind       access policy',
    `  digest     ${digest}`,
    ...rules.map(
      ({ name: rule, callers, calls }) =>
        `  rule       ${printable(rule)}: ${printable(callers.join(', '))} may ${calls.join(', ')}`,
    ),
  ]);
}
