/** `stele policy`: what helps to write decision policies. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { inputName } from '../input.ts';
import { print } from '../report.ts';
import { addEvidenceTrustOptions, type DecideOptions } from './decide-options.ts';

const HELP = `
A decision policy says which evidence an artifact needs (docs/policy.md). \`stele decide\` decides by it.

Examples:
  stele policy check policy.yaml
  stele policy test policy-tests.yaml`;

export function policyCommand(): Command {
  const command = new Command('policy')
    .description('Check and test decision policies')
    .helpCommand(false)
    .addHelpText('after', HELP);
  command.addCommand(checkCommand());
  command.addCommand(testCommand());
  return command;
}

function checkCommand(): Command {
  return new Command('check')
    .description('Say all that is wrong with a decision policy, and what its digest is')
    .argument('<file>', 'the decision policy (YAML)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit status: 0 it can be used, 2 it cannot.\n\nExample:\n  stele policy check policy.yaml')
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
  const { loadDecisionPolicy, MAX_DECISION_POLICY } = await import('../../../merkle/runtime/policy/load-policy.ts');
  const { readWhole } = await import('../files.ts');
  const bytes = await readWhole(file, MAX_DECISION_POLICY, 'a decision policy');
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
