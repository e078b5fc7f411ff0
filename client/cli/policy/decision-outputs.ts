/** Files that `stele decide` writes beside what it prints, each with an option of its own. */
import type { Command } from 'commander';
import type { NamedDecision } from './named-decision.ts';

interface DecisionOutput {
  /** Of the option, in camelCase: `sarif` for `--sarif`. */
  readonly option: string;
  /** `--sarif <path>` */
  readonly flags: string;
  readonly description: string;
  /** Loads the writer. It returns all of the file. */
  load(): Promise<(decisions: readonly NamedDecision[]) => string>;
}

const OUTPUTS: readonly DecisionOutput[] = [
  {
    option: 'sarif',
    flags: '--sarif <path>',
    description: 'write the reasons of denials as SARIF 2.1.0, for code scanning',
    async load() {
      const [{ decisionsSarif }, { version }] = await Promise.all([
        import('../../policy/sarif.ts'),
        import('../program.ts'),
      ]);
      return (decisions) => decisionsSarif(decisions, version());
    },
  },
  {
    option: 'junit',
    flags: '--junit <path>',
    description: "write the decisions as JUnit's XML, a test case for each artifact",
    load: async () => (await import('../../policy/junit.ts')).decisionsJunit,
  },
];

export function addOutputOptions(command: Command): Command {
  for (const { flags, description } of OUTPUTS) command.option(flags, description);
  return command;
}

/** Writes the files that the options name. @throws ClientError `file` */
export async function writeOutputs(
  options: Readonly<Record<string, unknown>>,
  decisions: readonly NamedDecision[],
): Promise<void> {
  for (const { option, load } of OUTPUTS) {
    const path = options[option];
    if (typeof path !== 'string') continue;
    const { writeWhole } = await import('../files.ts');
    await writeWhole(path, Buffer.from((await load())(decisions)));
  }
}
