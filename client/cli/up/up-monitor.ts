/**
 * The configuration of the monitor of `stele up --monitor`: monitor.yaml in the log's data directory, made once for its
 * owner to change. Where the log and its witnesses listen may be another port at each start: that part stands between two
 * lines, and is written anew as long as they are there.
 */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { isThere, makeDirDurable, readFileIfThere, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { loadMonitorConfig } from '../../monitor/config/load-monitor.ts';
import { StateStore } from '../../monitor/store/state-store.ts';

/** What the configuration says of the processes that `stele up` runs. */
export interface Watched {
  readonly origin: string;
  readonly url: string;
  /** The log's. */
  readonly verifierKeys: readonly string[];
  /** URLs. */
  readonly witnesses: readonly string[];
}

export interface PreparedMonitor {
  readonly file: string;
  /** A monitor with this configuration has never looked at a log: it has nothing to go on from. */
  readonly fresh: boolean;
}

const BEGIN = '# --- written at each start of `stele up`; remove this line to write it yourself ---';
const END = '# --- end of what is written at each start ---';
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
  // First the empty state: whenever this ends before the monitor's first look, the next start knows that there was none.
  if (before === undefined) await makeState(join(data, STATE));
  const text = before === undefined ? example(watched, metricsPort) : refreshed(before, watched);
  if (text !== before) await writeFileDurable(file, encodeUtf8(text), { mode: 0o644 });
  return { file, fresh: before === undefined || (await hasNotBegun(file)) };
}

/** What is there already, of whatever kind, is for the monitor to look into. */
async function makeState(state: string): Promise<void> {
  const follow = join(state, 'follow');
  if (await isThere(join(follow, 'CURRENT'))) return;
  await makeDirDurable(state);
  const { store } = await StateStore.open(follow, true);
  await store.close();
}

/**
 * True where the monitor ended before its first look: its store is there and has nothing in it. A store that is lost is
 * not there, and that is for its owner to look into.
 */
async function hasNotBegun(file: string): Promise<boolean> {
  try {
    const dir = join(loadMonitorConfig(file).state, 'follow');
    const { store } = await StateStore.open(dir, false);
    return await store.isEmpty().finally(() => store.close());
  } catch {
    // Whatever it is, the monitor itself says it, with what to do.
    return false;
  }
}

/** The file with the part between the two lines written anew; as it is where they are not there. */
export function refreshed(text: string, watched: Watched): string {
  const begin = text.indexOf(`${BEGIN}\n`);
  const end = text.indexOf(`${END}\n`);
  return begin < 0 || end < begin ? text : text.slice(0, begin) + ours(watched) + text.slice(end);
}

/** JSON strings are YAML strings, whatever is in them. */
const quoted = (text: string) => JSON.stringify(text);

function ours({ url, verifierKeys, witnesses }: Watched): string {
  return `${BEGIN}
logs:
  - url: ${quoted(url)}
    keys: [${verifierKeys.map(quoted).join(', ')}]
    # Each checkpoint must have the cosignatures that this policy asks for.
    policy: trust/policy
    # What the witnesses have seen is compared with what the log shows here.
    peers: [${witnesses.map(quoted).join(', ')}]
`;
}

function example(watched: Watched, metricsPort: number): string {
  return `# What the monitor of \`stele up --monitor\` follows and reports. Made once: change it as you like, check it with
# \`stele monitor test\`, and start \`stele up\` again. Relative paths are relative to this file.

# How far each log was read, and alerts that are not delivered yet. Keep it: without it the monitor has to begin anew.
state: ${STATE}

${ours(watched)}${END}

# A log on this machine may be asked often; somebody else's not: without these two lines it is asked every 10 s.
poll: 1s
partialAfter: 0s

# Whom to watch for. Without rules only the log itself is watched: whether it forgets, forks, or shows others another tree.
rules: []
#  - name: our releases
#    watch: { identity: release@example.com }
#    # Who may sign in this name; everybody else alerts as "unexpected". Without it, every signature alerts as "match".
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
