/**
 * The index of `stele up`, and the page that shows the log: index.yaml and explorer/ in the log's data directory. Each start writes
 * the part of index.yaml that names the logs anew (own-part.ts), and explorer.json as a whole.
 */
import { basename, join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { readFileIfThere, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import type { Address } from '../../../merkle/runtime/service/ports.ts';
import { ownPart, PART_END, refreshed, yamlText } from './own-part.ts';
import { freePorts } from './prepare.ts';
import type { MapPorts, PreparedMap } from './up-map.ts';

const MAX_FILE = 1024 * 1024;

/** A log of `stele up`, or one of its shards. */
export interface ShownLog {
  readonly origin: string;
  readonly url: string;
  readonly verifierKeys: readonly string[];
}

/** Of the index, and of the processes of its verifiable indexes, one for each shard; 0 before a free one is taken. */
export interface IndexPorts {
  readonly listen: number;
  readonly admin: number;
  readonly maps: readonly MapPorts[];
}

/** @param first 0: each is 0. @param shards how many there are */
export function indexPorts(first: number, shards: number): IndexPorts {
  const port = (at: number) => (first === 0 ? 0 : first + at);
  const maps = Array.from({ length: shards }, (_, i) => ({ output: port(2 + 2 * i), rebuilder: port(3 + 2 * i) }));
  return { listen: port(0), admin: port(1), maps };
}

function indexFile(data: string): string {
  return join(data, 'index.yaml');
}

/**
 * Where the index will listen, as far as that is known: the ports of the command, or those of a file whose owner writes them.
 * @throws what `loadIndexConfig` throws for such a file
 */
export async function indexAddresses(
  data: string,
  ports: IndexPorts,
): Promise<readonly (readonly [string, Address])[]> {
  const file = indexFile(data);
  const bytes = await readFileIfThere(file, MAX_FILE);
  const text = bytes === undefined ? undefined : decodeUtf8(bytes);
  if (text === undefined || refreshed(text, '') !== text) {
    if (ports.listen === 0) return [];
    const host = '127.0.0.1';
    const { listen, admin, maps } = ports;
    return [listen, admin, ...maps.flatMap(({ output, rebuilder }) => [output, rebuilder])].map(
      (port) => ['--index-port', { host, port }] as const,
    );
  }
  const { loadIndexConfig } = await import('../../search/index-config.ts');
  const { listen, admin } = loadIndexConfig(file);
  return [
    ['index.yaml: listen', listen],
    ['index.yaml: admin', admin],
  ];
}

/** Makes or brings up to date `<data>/index.yaml`. @throws RuntimeError `file` */
export async function prepareIndex(
  data: string,
  logs: readonly ShownLog[],
  maps: readonly PreparedMap[],
  ports: IndexPorts,
): Promise<string> {
  const file = indexFile(data);
  const bytes = await readFileIfThere(file, MAX_FILE);
  const before = bytes === undefined ? undefined : decodeUtf8(bytes);
  const part = ours(logs, maps, ports);
  const text = before === undefined ? example(part) : refreshed(before, part);
  if (text !== before) await writeFileDurable(file, encodeUtf8(text), { mode: 0o644 });
  return file;
}

/** Free ports in the place of 0: a process that dies has to come back at the same address. */
export async function usablePorts(ports: IndexPorts): Promise<IndexPorts> {
  if (ports.listen !== 0) return ports;
  const free = await freePorts(2 + 2 * ports.maps.length);
  const next = () => free.shift()!;
  return { listen: next(), admin: next(), maps: ports.maps.map(() => ({ output: next(), rebuilder: next() })) };
}

function ours(logs: readonly ShownLog[], maps: readonly PreparedMap[], { listen, admin }: IndexPorts): string {
  const mapped = maps.map(
    (map, at) => `  - log: ${yamlText(logs[at]!.origin)}
    outputLog: { url: ${yamlText(map.url)}, policy: trust/${basename(map.policy)} }
    rebuilders: trust/${basename(map.rebuilders)}
`,
  );
  const entries = logs.map(
    ({ url, verifierKeys }) => `  - url: ${yamlText(url)}
    keys: [${verifierKeys.map(yamlText).join(', ')}]
    # Each checkpoint must have the cosignatures that this policy requires.
    policy: trust/policy
`,
  );
  return ownPart(`listen: { port: ${listen} }
admin: { port: ${admin} }
logs:
${entries.join('')}# The verifiable index of each: its output log, and who rebuilds it.
maps:
${mapped.join('')}`);
}

function example(part: string): string {
  return `# What the index of \`stele up\` follows. Made once: change it as you like, and start \`stele up\` again. Relative paths are
# relative to this file. docs/search.md says what an index is.

# All of it can be built again: stele index rebuild --config index.yaml
data: index

${part}${PART_END}

# A log on this machine may be polled often, and somebody else's may not.
poll: 1s

log: { format: pretty }
`;
}

export function explorerDir(data: string): string {
  return join(data, 'explorer');
}

/**
 * Writes the page with its `explorer.json` into `<data>/explorer`.
 *
 * @param trust the directory of the files for others
 * @param index its URL, and the verifiable index of each log, where there is one
 */
export async function writeUpExplorer(
  data: string,
  logs: readonly ShownLog[],
  trust: string,
  index: { readonly url: string; readonly maps: readonly PreparedMap[] } | undefined,
): Promise<void> {
  const { formatExplorerConfig, writeExplorer } = await import('../../explorer/write-explorer.ts');
  const policy = await readFileIfThere(join(trust, 'policy'), MAX_FILE);
  const root = await readFileIfThere(join(trust, 'trusted_root.json'), MAX_FILE);
  const text = async (path: string) => decodeUtf8((await readFileIfThere(path, MAX_FILE))!);
  const maps = (index?.maps ?? []).map(async ({ url, policy, rebuilders }) => ({
    outputLog: url,
    policy: await text(policy),
    rebuilders: await text(rebuilders),
  }));
  const mapped = await Promise.all(maps);
  const config = formatExplorerConfig(
    logs.map(({ origin, url, verifierKeys }, at) => ({
      origin,
      // The log serves the page: whatever the address is by which it was opened, the log is there.
      url: logs.length === 1 ? '../' : url,
      keys: verifierKeys,
      ...(policy && { policy: decodeUtf8(policy) }),
      ...(index !== undefined && { index: index.url }),
      ...(mapped[at] && { map: mapped[at] }),
      ...(root && { trustedRoot: JSON.parse(decodeUtf8(root)) as object }),
    })),
  );
  await writeExplorer(explorerDir(data), encodeUtf8(config));
}
