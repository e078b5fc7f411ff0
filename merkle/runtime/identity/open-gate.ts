/** Opens the gate before the calls of a service, from the files that its settings name. */
import { readSmallFile } from '../config/settings-file.ts';
import { loadAccessPolicy } from '../policy/access/load-access.ts';
import type { AccessAction, AccessPolicy } from '../policy/access/types.ts';
import { MAX_POLICY_FILE } from '../policy/policy-values.ts';
import type { Logger } from '../service/logger.ts';
import { Gate } from './gate.ts';
import { readIdentityFile } from './identity-settings.ts';
import { openIdentifier } from './open-identifier.ts';

export interface GateFiles {
  /** File of identity settings: whose identities are taken. */
  readonly file: string;
  /** The access policy. */
  readonly access: string;
}

interface GateDependencies {
  /** The actions of the service: a rule about another one is a mistake. */
  readonly actions: readonly AccessAction[];
  readonly logger: Logger;
}

export interface OpenedGate {
  readonly gate: Gate;
  /** What is wrong with the sources of trust now, one sentence each. */
  problems(): readonly string[];
  /** Reads the access policy and the authorities of clients anew. @throws RuntimeError: those before stay in use */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Callers are known by their certificates alone: no token is taken.
 * @throws RuntimeError `config`, `access-policy`, `file`, `trust-bundle`
 */
export async function openGate(
  { file, access }: GateFiles,
  { actions, logger }: GateDependencies,
): Promise<OpenedGate> {
  const policy = await readAccess(access, actions);
  const opened = await openIdentifier(readIdentityFile(file), { logger });
  const gate = new Gate({ identifier: opened.identifier, policy });
  return {
    gate,
    problems: () => opened.problems(),
    reload: async () => {
      const next = await readAccess(access, actions);
      opened.rereadClientCa();
      gate.use(next);
    },
    close: () => opened.close(),
  };
}

async function readAccess(file: string, actions: readonly AccessAction[]): Promise<AccessPolicy> {
  return await loadAccessPolicy(readSmallFile(file, file, MAX_POLICY_FILE), { file, actions });
}
