/** `stele index status`: how far an index is with each log, by its running service or by its directory. */
import { join } from 'node:path';
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { ClientError } from '../../errors.ts';
import { printJson, writeOut } from '../report.ts';
import { addIndexOptions, configReader, type IndexOptions } from './index-options.ts';

const HELP = `
Asks the operator's port of the running service; where none runs, reads the directory.

Exit status: 0 each log is followed, and has answers; 1 one is not; 2 it could not be looked at.

Examples:
  stele index status --config index.yaml
  stele index status --config index.yaml --json`;

export function indexStatusCommand(): Command {
  return addIndexOptions(new Command('status'))
    .description('Say how far the index is with each log, and why one stands still')
    .addHelpText('after', HELP)
    .action(status);
}

interface LogStatus {
  readonly origin: string;
  readonly location: string;
  readonly answered?: number;
  readonly completeThrough: number;
  readonly accepted: number;
  readonly followed?: string;
  readonly fault?: { readonly since: string; readonly message: string; readonly proven: boolean };
}

async function status(options: IndexOptions): Promise<void> {
  const config = (await configReader(options))();
  const { logs, running } = await read(config);
  const bad = logs.filter(({ fault, answered }) => fault !== undefined || answered === undefined);
  process.exitCode = bad.length > 0 ? 1 : 0;
  if (options.json === true) return printJson({ ok: bad.length === 0, running, data: config.data, logs });
  const lines = [
    `The index in ${config.data} ${running ? 'is running' : 'is not running'}`,
    ...logs.flatMap((log) => logLines(log)),
  ];
  writeOut(`${lines.join('\n')}\n`);
}

type Config = ReturnType<Awaited<ReturnType<typeof configReader>>>;

async function read(config: Config): Promise<{ readonly logs: readonly LogStatus[]; readonly running: boolean }> {
  const { lockDir, readOwner } = await import('../../../merkle/runtime/disk/lock.ts');
  const { isThere } = await import('../../../merkle/runtime/disk/files.ts');
  const { RuntimeError } = await import('../../../merkle/runtime/runtime-errors.ts');
  // A wrong path must not leave a directory behind.
  if (!(await isThere(join(config.data, 'plain')))) {
    throw new ClientError(
      'state',
      `there is no index in ${config.data}: \`stele index\` has not run with this configuration`,
    );
  }
  try {
    const lock = await lockDir(config.data);
    try {
      return { logs: await fromDirectory(config), running: false };
    } finally {
      await lock.release();
    }
  } catch (error) {
    const admin =
      error instanceof RuntimeError && error.code === 'locked' ? (await readOwner(config.data))?.admin : undefined;
    if (admin === undefined) throw error;
    return { logs: await fromService(admin), running: true };
  }
}

async function fromDirectory(config: Config): Promise<readonly LogStatus[]> {
  const { plainOptions, sourcesOf, statusJson } = await import('../../search/serve-index.ts');
  const { openPlainIndex } = await import('../../search/index/open-plain-index.ts');
  const index = await openPlainIndex({ ...plainOptions(config), ...sourcesOf(undefined), threads: 0 });
  try {
    return (statusJson(index.status()) as { readonly logs: readonly LogStatus[] }).logs;
  } finally {
    await index.close();
  }
}

const MAX_STATUS = 16 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

async function fromService(admin: string): Promise<readonly LogStatus[]> {
  const { fetchBounded } = await import('../../../merkle/runtime/service/fetch.ts');
  const url = `${admin}/status`;
  const { status: code, bytes } = await fetchBounded(url, { limit: MAX_STATUS, timeoutMs: TIMEOUT_MS });
  if (code !== 200) throw new ClientError('unavailable', `the operator's port at ${url} answers with status ${code}`);
  return (JSON.parse(Buffer.from(bytes).toString()) as { readonly logs: readonly LogStatus[] }).logs;
}

function logLines({ origin, location, answered, completeThrough, accepted, followed, fault }: LogStatus): string[] {
  const answers = answered === undefined ? 'no whole tree was read yet' : `answers are complete through ${answered}`;
  return [
    `${printable(origin)}  ${printable(location)}`,
    `  ${answers}; ${completeThrough} of ${accepted} entries are read${followed === undefined ? '' : `; followed without a fault at ${followed}`}`,
    ...(fault === undefined
      ? []
      : [`  ${fault.proven ? 'THE LOG LIES' : 'it stands still'} since ${fault.since}: ${printable(fault.message)}`]),
  ];
}
