/** The operator's commands. They work whether the witness runs or not. */
import { type EvidenceFinding, MAX_EVIDENCE, parseEvidence, verifyEvidence } from '../merkle/evidence.ts';
import { formatVerifierKey } from '../merkle/note.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../merkle/runtime/crypto/verify.ts';
import { isThere, readFileIfThere } from '../merkle/runtime/disk/files.ts';
import { withDirLock } from '../merkle/runtime/disk/lock.ts';
import { type AdminCall, offlineOr } from '../merkle/runtime/service/admin-client.ts';
import type { Config } from './config.ts';
import { WitnessError } from './errors.ts';
import { layout } from './identity.ts';
import type { ListStatus } from './list-updates.ts';
import { type Listing, listLogs } from './listing.ts';
import { type FactTexts, Logs } from './logs.ts';
import { WitnessStore } from './store.ts';

/** Witnesses a log, or another key of it. Resolves with its origin. Throws `WitnessError` and `RuntimeError`. */
export function addLog(config: Config, vkey: string, facts: FactTexts = {}): Promise<{ origin: string }> {
  return whereItRuns(
    config.data,
    async () => ({ origin: (await (await Logs.open(config.logs)).add(vkey, facts)).origin }),
    (admin) => admin('POST', '/logs/add', { vkey, ...facts }),
  );
}

/** Stops witnessing a log or one of its keys. The store keeps what was cosigned. Resolves with the disabled keys. */
export function disableLog(config: Config, log: string): Promise<{ disabled: string[] }> {
  return whereItRuns(
    config.data,
    async () => ({ disabled: await (await Logs.open(config.logs)).disable(log) }),
    (admin) => admin('POST', '/logs/disable', { log }),
  );
}

/** The logs, and while the witness runs the lists of the witness network that it reads. */
export function listKnownLogs(config: Config): Promise<{ logs: Listing[]; lists: ListStatus[] }> {
  return whereItRuns(
    config.data,
    async () => {
      const logs = await Logs.open(config.logs);
      const dir = layout.store(config.data);
      // Before the first start there is no store, and a lost store must stay missing.
      const store = (await isThere(dir)) ? await WitnessStore.open(dir, false) : undefined;
      try {
        return { logs: listLogs(logs, store), lists: [] };
      } finally {
        await store?.close();
      }
    },
    (admin) => admin('GET', '/logs'),
  );
}

/** What a file of evidence proves. */
export interface EvidenceReport {
  readonly origin: string;
  readonly kind: EvidenceFinding['kind'];
  readonly firstSize: number;
  readonly secondSize: number;
  /** The keys that signed. The reader must compare them with the log's keys. */
  readonly keys: readonly string[];
}

/** Checks a file of evidence. Throws `WitnessError` `config` where the file is missing, `MerkleError` where it does not hold. */
export async function checkEvidence(file: string): Promise<EvidenceReport> {
  const bytes = await readFileIfThere(file, MAX_EVIDENCE);
  if (bytes === undefined) throw new WitnessError('config', `${file} is not there.`);
  const evidence = parseEvidence(bytes);
  const { origin, kind, firstSize, secondSize, firstKeys, secondKeys } = verifyEvidence(
    evidence,
    nodeNotePrimitives,
    fastSha256,
  );
  const keys = [...new Set([...firstKeys, ...secondKeys].map(formatVerifierKey))];
  return { origin, kind, firstSize, secondSize, keys };
}

/** Milliseconds without an answer from the running witness. */
const ANSWER_MS = 30_000;

function whereItRuns<T>(dir: string, offline: () => Promise<T>, online: (admin: AdminCall) => Promise<T>): Promise<T> {
  const owned = {
    dir,
    tokenFile: layout.adminToken(dir),
    service: 'witness',
    timeoutMs: ANSWER_MS,
    error: (message: string, status: number | undefined, options?: ErrorOptions) =>
      new WitnessError(status === 400 ? 'logs' : 'not-running', message, options),
  };
  return offlineOr(owned, () => withDirLock(dir, offline), online);
}
