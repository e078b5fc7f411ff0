/** `stele index --witness`: runs a rebuilder of a verifiable index until a signal ends it. */
import { Command } from 'commander';
import { formatVerifierKey } from '../../../merkle/note.ts';
import { printable } from '../../../merkle/printable.ts';
import type { Logger } from '../../../merkle/runtime/service/logger.ts';
import type { Rebuilder, RebuilderEvent } from '../../search/rebuild/rebuilder.ts';
import type { RebuilderConfig } from '../../search/rebuild/rebuilder-config.ts';
import { print } from '../report.ts';
import { addSettings, configOf } from '../settings-flags.ts';
import { onHangUp, stopSignals, untilStopped } from '../signals.ts';
import { placeOf } from '../where.ts';

type WitnessMain = typeof import('../../../witness/main.ts');
type Judge = Parameters<WitnessMain['serveWitness']>[0]['judge'];

const VARIABLE = 'STELE_REBUILDER_CONFIG';

const HELP = `
A rebuilder follows the log that is indexed and the output log of its index, and builds the map of the index anew. It cosigns a
checkpoint of the output log only where its own map has the root in every leaf. It answers add-checkpoint as a witness does
(c2sp.org/tlog-witness). docs/index.md says what its cosignature says.

A leaf that is wrong ends its cosignatures for good, also after a restart. The evidence is in DATA/rebuild/evidence.
Every setting can also stand in the file or in a STELE_REBUILDER_… variable.

Examples:
  stele index --witness --config /etc/stele/rebuilder.yaml
  stele index --witness --name rebuilder.example.com/r1 --data /var/lib/stele-rebuilder \\
    --input-url https://log.example.com --input-policy log.policy \\
    --output-url https://output.example.com --output-policy output.policy`;

export async function rebuilderCommand(): Promise<Command> {
  const witness = await import('../../../witness/main.ts');
  const { loadRebuilderConfig, rebuilderSettings } = await import('../../search/rebuild/rebuilder-config.ts');
  type Options = Parameters<WitnessMain['loadConfig']>[0];
  const program = {
    SETTINGS: rebuilderSettings(witness.WitnessSchema),
    loadConfig: (options: Options) => loadRebuilderConfig(witness, options),
  };
  const command = new Command('index').description('Rebuild a verifiable index, and cosign what holds');
  return addSettings(command, program, undefined, VARIABLE)
    .option('--witness', 'run a rebuilder')
    .option('--accept-clock', "start although the machine's clock does not fit the newest cosignature; it is recorded")
    .option('--json', 'print what was started as JSON')
    .addHelpText('after', HELP)
    .action(async () => {
      const read = () => configOf(command, program);
      await serve(command, witness, read().rebuild, () => read().witness);
    });
}

async function serve(
  command: Command,
  witness: WitnessMain,
  config: RebuilderConfig,
  reread: () => ReturnType<WitnessMain['loadConfig']>,
): Promise<void> {
  const stopping = stopSignals();
  const { openRebuilder } = await import('../../search/rebuild/open-rebuilder.ts');
  const { measureRebuilder } = await import('../../search/rebuild/rebuilder-metrics.ts');
  let rebuilder: Rebuilder | undefined;
  const judge: NonNullable<Judge> = {
    logs: config.output.keys.map(formatVerifierKey),
    judge: async (checkpoint) =>
      rebuilder === undefined ? { final: false, why: 'the rebuild starts; retry' } : await rebuilder.judge(checkpoint),
    notReady: () => rebuilder?.notReady() ?? ['the rebuild starts'],
    alarms: () => rebuilder?.alarms() ?? [],
    measure: (metrics) => measureRebuilder(metrics, () => rebuilder),
  };
  const acceptClock = command.getOptionValue('acceptClock') === true;
  const running = await witness.serveWitness({ config: reread(), acceptClock, reread, judge });
  const { url, publicUrl, adminUrl, name, verifierKeys, logger } = running;
  const opened = await openRebuilder({
    ...config,
    fetch: running.fetch,
    onEvent: (event) => report(logger, event),
    onEvidence: (file) => logger.error({ file }, 'A LOG HAS SHOWN TWO HISTORIES: the evidence is in the file'),
  }).catch(async (error: unknown) => {
    await running.close();
    throw error;
  });
  rebuilder = opened.rebuilder;
  const { input, output } = config;
  const json = { url, publicUrl, adminUrl, name, verifierKeys, input: input.origin, output: output.origin };
  print(command.getOptionValue('json') as boolean | undefined, json, [
    `The rebuilder "${name}" ${placeOf(running)}; operator's port ${adminUrl}`,
    `It rebuilds the index of ${printable(input.origin)}, whose output log is ${printable(output.origin)}.`,
    'Its verifier keys, of which the policies of those who use the index need one:',
    ...verifierKeys.map((key) => `  ${key}`),
    '',
  ]);
  onHangUp(() => void running.reload());
  const ending = new AbortController();
  const work = opened.rebuilder.run(ending.signal);
  const failed = Promise.race([running.failed, work.then(() => new Promise<never>(() => {}))]);
  const close = async () => {
    ending.abort();
    await work.catch(() => {});
    await running.close();
    await opened.close();
  };
  await untilStopped({ failed, logger, close }, stopping);
}

function report(logger: Logger, event: RebuilderEvent): void {
  if (event.type === 'verified') logger.info({ ...event.status }, 'the leaves of the output log hold');
  else if (event.type === 'fault') logger.warn({ attempt: event.attempt }, event.message);
  else if (event.type === 'recovered') logger.info({}, 'the logs can be followed again');
  else {
    const { index, claim, expected, found } = event.wrong;
    logger.error({ leaf: index, claim, expected, found }, `THE INDEX IS WRONG: ${event.why}`);
  }
}
