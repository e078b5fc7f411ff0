/** What all commands of an index take, and its configuration. */
import type { Command } from 'commander';
import type { IndexConfig } from '../../search/index-config.ts';
import { followedDirs } from '../followed-trust.ts';
import { addTlsOptions, type TlsOptions } from '../tls-authorities.ts';
import type { TrustOptions } from '../trust-options.ts';

export interface IndexOptions extends Pick<TrustOptions, 'trust'>, TlsOptions {
  readonly config: string;
  readonly json?: boolean;
}

/** The options of all commands of an index. */
export function addIndexOptions(command: Command): Command {
  return addTlsOptions(command)
    .option('--config <path>', 'configuration file (YAML); STELE_INDEX_CONFIG names one too', configName())
    .option('--trust <dir>', 'follow the logs of the repository in this directory (see `stele trust use`)')
    .option('--json', 'print the result as JSON');
}

function configName(): string {
  const { STELE_INDEX_CONFIG: named } = process.env;
  return named === undefined || named === '' ? 'index.yaml' : named;
}

/** Reads the configuration that the options name. @throws RuntimeError `config`, `file` */
export async function configReader(options: IndexOptions): Promise<() => IndexConfig> {
  const { loadIndexConfig } = await import('../../search/index-config.ts');
  return () => loadIndexConfig(options.config, followedDirs(options));
}
