/** Opens sources of trust bundles and SVIDs as they are configured. */
import { decodeUtf8 } from '../../../bytes.ts';
import { parseSpiffeId, parseTrustDomain } from '../../../spiffe/spiffe-id.ts';
import type { SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { readBounded } from '../../disk/bounded.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { SYSTEM_CLOCK } from '../../service/back-off.ts';
import { TlsPool } from '../../service/tls-pool.ts';
import { spiffeServerRule } from '../server-rule.ts';
import { BundleBoard } from './bundle-board.ts';
import { checkEndpointUrl, webFetch } from './bundle-endpoint.ts';
import { newerOf } from './bundle-order.ts';
import { EndpointBundle } from './endpoint-bundle.ts';
import { readBundleFile, readBundleMap, readSvidFiles } from './spiffe-files.ts';
import { SvidBoard } from './svid-board.ts';
import type {
  BundleSettings,
  BundleSource,
  SourceDependencies,
  SvidSettings,
  SvidSource,
  TrustDomainSettings,
} from './types.ts';
import { WatchedFiles } from './watched-files.ts';
import { WORKLOAD_API_PART, WorkloadBundles } from './workload-bundles.ts';
import { parseWorkloadSocket } from './workload-socket.ts';
import { WorkloadSvids } from './workload-svids.ts';

interface Closable {
  close(): Promise<void>;
}

const FIRST_MS = 10_000;
const WATCH_MS = 2000;
const REFRESH = { leastMs: 60_000, mostMs: 86_400_000, defaultMs: 300_000 };
const MAP_PART = 'bundle-map';
const MAX_AUTHORITIES_FILE = 4 * 1_048_576;

/**
 * Resolves when each file is read, and when each URL and the Workload API have answered once or had their time. What did not
 * answer is tried again while the source is open, which may begin without any bundle: a service then proves nobody, and runs.
 * @throws RuntimeError `config`; `trust-bundle` or `file` for a file
 */
export async function openBundleSource(
  settings: BundleSettings,
  dependencies: SourceDependencies = {},
): Promise<BundleSource> {
  const { logger, clock = SYSTEM_CLOCK, firstMs = FIRST_MS } = dependencies;
  const { trustDomains = [], bundleMap, workloadApi } = settings;
  checkNames(trustDomains);
  if (trustDomains.length === 0 && bundleMap === undefined && workloadApi === undefined) {
    throw new RuntimeError('config', 'no source of trust bundles is configured');
  }
  const socket = workloadApi === undefined ? undefined : parseWorkloadSocket(workloadApi);
  const board = new BundleBoard([...trustDomains.map(({ name }) => name), MAP_PART, WORKLOAD_API_PART], logger);
  const parts: Closable[] = [];
  const close = async () => {
    await Promise.all(parts.map((part) => part.close()));
  };
  try {
    if (bundleMap !== undefined) parts.push(await openMap(bundleMap, board, dependencies));
    const tried: Promise<void>[] = [];
    for (const domain of trustDomains) {
      if (!isUrl(domain.bundle)) {
        parts.push(await openFile(domain, board, dependencies));
        continue;
      }
      const part = await openEndpoint(domain, board, dependencies);
      parts.push(part);
      tried.push(part.tried);
    }
    if (socket !== undefined) {
      const part = new WorkloadBundles(socket, { board, clock, firstMs });
      parts.push(part);
      tried.push(part.tried);
    }
    const inTime = new AbortController();
    await Promise.race([Promise.all(tried), clock.sleep(firstMs, inTime.signal)]);
    inTime.abort();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    current: () => board.current,
    isAwaited: (trustDomain) => {
      if (board.current.has(trustDomain)) return false;
      const isNamed = trustDomains.some(({ name }) => name === trustDomain);
      return isNamed || (socket !== undefined && !board.hasHeard(WORKLOAD_API_PART));
    },
    get problem() {
      return board.problem;
    },
    onChange: (listener) => board.onChange(listener),
    close,
  };
}

/**
 * Resolves with a source that has a valid SVID.
 * @throws RuntimeError `config`; `svid`, `trust-bundle` or `file` where none can be had
 */
export async function openSvidSource(
  settings: SvidSettings,
  dependencies: SourceDependencies = {},
): Promise<SvidSource> {
  const { logger, clock = SYSTEM_CLOCK, firstMs = FIRST_MS, watchMs = WATCH_MS } = dependencies;
  const { workloadApi, files, id, hint } = settings;
  if ((workloadApi === undefined) === (files === undefined)) {
    throw new RuntimeError('config', 'an SVID comes from a Workload API or from files: configure one of them');
  }
  const board = new SvidBoard(clock, logger);
  let part: Closable;
  if (files !== undefined) {
    const read = async () => {
      const svid = await readSvidFiles(files, clock.now());
      if (id !== undefined && svid.id.text !== id) {
        throw new RuntimeError('svid', `${files.cert} is the SVID of ${svid.id.text}, not of ${id}`);
      }
      board.put(svid);
    };
    const paths = [files.cert, files.key, ...(files.bundle === undefined ? [] : [files.bundle])];
    part = await WatchedFiles.open({ paths, read, onProblem: (problem) => board.say(problem), watchMs });
  } else {
    const svids = new WorkloadSvids(parseWorkloadSocket(workloadApi!), { board, clock, firstMs, id, hint });
    part = svids;
    const inTime = new AbortController();
    await Promise.race([svids.tried, clock.sleep(firstMs, inTime.signal)]);
    inTime.abort();
  }
  try {
    board.current();
  } catch (error) {
    await part.close();
    throw error;
  }
  return {
    current: () => board.current(),
    get problem() {
      return board.problem;
    },
    onChange: (listener) => board.onChange(listener),
    close: () => part.close(),
  };
}

function checkNames(trustDomains: readonly TrustDomainSettings[]): void {
  const seen = new Set<string>();
  for (const { name } of trustDomains) {
    parseTrustDomain(name);
    if (seen.has(name)) throw new RuntimeError('config', `the trust domain ${name} is configured twice`);
    seen.add(name);
  }
}

function isUrl(bundle: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(bundle);
}

function openFile(
  { name, bundle: path }: TrustDomainSettings,
  board: BundleBoard,
  { watchMs = WATCH_MS }: SourceDependencies,
): Promise<WatchedFiles> {
  let problem: string | undefined;
  const read = async () => {
    const next = newerOf(board.bundlesOf(name).get(name), await readBundleFile(path, name));
    problem = next.problem;
    board.put(name, new Map([[name, next.bundle]]));
  };
  return WatchedFiles.open({
    paths: [path],
    read,
    onProblem: (why) => board.say(name, why ?? problem),
    watchMs,
  });
}

function openMap(path: string, board: BundleBoard, { watchMs = WATCH_MS }: SourceDependencies): Promise<WatchedFiles> {
  let problems: string[] = [];
  const read = async () => {
    const before = board.bundlesOf(MAP_PART);
    const ordered = [...(await readBundleMap(path))].map(([name, next]) => newerOf(before.get(name), next));
    problems = ordered.flatMap(({ problem }) => problem ?? []);
    board.put(MAP_PART, new Map(ordered.map(({ bundle }) => [bundle.trustDomain, bundle])));
  };
  const onProblem = (why: string | undefined) =>
    board.say(MAP_PART, why ?? (problems.length === 0 ? undefined : problems.join('; ')));
  return WatchedFiles.open({ paths: [path], read, onProblem, watchMs });
}

async function openEndpoint(
  { name, bundle: url, ca, endpointId, bootstrap }: TrustDomainSettings,
  board: BundleBoard,
  { clock = SYSTEM_CLOCK, refresh = REFRESH }: SourceDependencies,
): Promise<Closable & Pick<EndpointBundle, 'tried'>> {
  checkEndpointUrl(url);
  if (endpointId !== undefined && ca !== undefined) {
    throw new RuntimeError(
      'config',
      `the trust domain ${name} has both \`ca\` and \`endpointId\`: a server has one way to prove itself`,
    );
  }
  if (bootstrap !== undefined && endpointId === undefined) {
    throw new RuntimeError('config', `the trust domain ${name} has \`bootstrap\` without \`endpointId\``);
  }
  let fetch: typeof globalThis.fetch | undefined;
  let pool: TlsPool | undefined;
  if (ca !== undefined) fetch = webFetch(decodeUtf8(await readBounded(ca, MAX_AUTHORITIES_FILE)));
  if (endpointId !== undefined) {
    const { trustDomain } = parseSpiffeId(endpointId);
    const first = bootstrap === undefined ? undefined : await readBundleFile(bootstrap, trustDomain);
    // The bundle that was fetched last proves later connections: section 5.2.2.4.
    const bundles = (): ReadonlyMap<string, SpiffeBundle> =>
      board.current.has(trustDomain) || first === undefined ? board.current : new Map([[trustDomain, first]]);
    const rule = spiffeServerRule({ current: bundles, onChange: (listener) => board.onChange(listener) }, [endpointId]);
    pool = new TlsPool({ rule, now: clock.now });
    fetch = pool.fetch;
  }
  const part = new EndpointBundle({ url, trustDomain: name, fetch }, { board, part: name, clock, refresh });
  return {
    tried: part.tried,
    close: async () => {
      await part.close();
      pool?.close();
    },
  };
}
