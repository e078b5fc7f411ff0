/**
 * The configuration of the monitor of `stele up --monitor`: monitor.yaml in the log's data directory, made once for its
 * owner to change. Each start writes the part with the ports anew (own-part.ts).
 */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { isThere, makeDirDurable, readFileIfThere, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { loadMonitorConfig } from '../../monitor/config/load-monitor.ts';
import { StateStore } from '../../monitor/store/state-store.ts';
import { ownPart, PART_END, refreshed, yamlText } from './own-part.ts';

/** The processes of `stele up` that the monitor watches. */
export interface Watched {
  readonly origin: string;
  readonly url: string;
  /** The verifier keys of the log. */
  readonly verifierKeys: readonly string[];
  /** The URLs of the witnesses. */
  readonly witnesses: readonly string[];
}

export interface PreparedMonitor {
  readonly file: string;
  /** No monitor with this configuration has read a log yet. */
  readonly fresh: boolean;
}

const MAX_FILE = 1024 * 1024;
const STATE = 'monitor-state';

/**
 * Makes or brings up to date `<data>/monitor.yaml`.
 *
 * @param metricsPort for a new file
 * @throws RuntimeError `file`
 */
export async function prepareMonitor(data: string, watched: Watched, metricsPort: number): Promise<PreparedMonitor> {
  const file = join(data, 'monitor.yaml');
  const bytes = await readFileIfThere(file, MAX_FILE);
  const before = bytes === undefined ? undefined : decodeUtf8(bytes);
  // The empty state comes first. If the monitor ends before its first round, the next start sees that there was none.
  if (before === undefined) await makeState(join(data, STATE));
  const text = before === undefined ? example(watched, metricsPort) : refreshed(before, ours(watched));
  if (text !== before) await writeFileDurable(file, encodeUtf8(text), { mode: 0o644 });
  return { file, fresh: before === undefined || (await hasNotBegun(file)) };
}

/** Makes an empty state, unless there is one: the monitor itself checks an existing state. */
async function makeState(state: string): Promise<void> {
  const follow = join(state, 'follow');
  if (await isThere(join(follow, 'CURRENT'))) return;
  await makeDirDurable(state);
  const { store } = await StateStore.open(follow, true);
  await store.close();
}

/**
 * True where the monitor ended before its first round: its store is there and is empty. A lost store is not there; the
 * monitor then reports the loss.
 */
async function hasNotBegun(file: string): Promise<boolean> {
  try {
    const dir = join(loadMonitorConfig(file).state, 'follow');
    const { store } = await StateStore.open(dir, false);
    return await store.isEmpty().finally(() => store.close());
  } catch {
    // The monitor itself reports the error, with what to do.
    return false;
  }
}

function ours({ url, verifierKeys, witnesses }: Watched): string {
  return ownPart(`logs:
  - url: ${yamlText(url)}
    keys: [${verifierKeys.map(yamlText).join(', ')}]
    # Each checkpoint must have the cosignatures that this policy requires.
    policy: trust/policy
    # What the witnesses have seen is compared with what the log shows here.
    peers: [${witnesses.map(yamlText).join(', ')}]
`);
}

function example(watched: Watched, metricsPort: number): string {
  return `# What the monitor of \`stele up --monitor\` follows and reports. Made once: change it as you like, check it with
# \`stele monitor test\`, and start \`stele up\` again. Relative paths are relative to this file.

# How far each log was read, and alerts that are not delivered yet. Keep it: without it the monitor has to begin anew.
state: ${STATE}

${ours(watched)}${PART_END}

# A log on this machine may be polled often, and somebody else's may not. Without these two lines the poll is every 10 s.
poll: 1s
partialAfter: 0s

# The names to watch. Without rules only the log itself is watched: whether it forgets, forks, or shows others another tree.
rules: []
#  - name: our releases
#    watch: { identity: release@example.com }
#    # The signers that may use this name; everybody else alerts as "unexpected". Without it, every signature alerts as "match".
#    expect: { identity: release@example.com, issuer: 'https://accounts.example.com' }

# Where alerts go.
sinks:
  - type: stdout
#  - type: webhook
#    url: http://127.0.0.1:8080/stele
#    allow: [loopback]                 # only public addresses are connected to, unless they stand here
#    secrets: [{ file: webhook.key }]  # openssl rand -hex 32 > webhook.key; chmod 600 webhook.key

metrics: { host: 127.0.0.1, port: ${metricsPort} }
`;
}
