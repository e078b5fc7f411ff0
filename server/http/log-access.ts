/** Who may call a log: opened from its settings, and read anew while it runs. */

import { readSmallFile } from '../../merkle/runtime/config/settings-file.ts';
import { Gate } from '../../merkle/runtime/identity/gate.ts';
import { readIdentityFile } from '../../merkle/runtime/identity/identity-settings.ts';
import { type OpenIdentifier, openIdentifier } from '../../merkle/runtime/identity/open-identifier.ts';
import { loadAccessPolicy } from '../../merkle/runtime/policy/access/load-access.ts';
import type { AccessPolicy } from '../../merkle/runtime/policy/access/types.ts';
import { MAX_POLICY_FILE } from '../../merkle/runtime/policy/policy-values.ts';
import { Closers } from '../../merkle/runtime/service/ends.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import { layout } from '../dir/layout.ts';
import { WriteRecords } from '../store/write-records.ts';
import { Writers } from './writers.ts';

type IdentityConfig = NonNullable<Config['identity']>;

export class LogAccess {
  readonly writers: Writers;
  readonly gate: Gate;
  readonly identifier: OpenIdentifier['identifier'];
  readonly #opened: OpenIdentifier;
  readonly #records: WriteRecords | undefined;
  readonly #closers: Closers;

  private constructor(opened: OpenIdentifier, gate: Gate, records: WriteRecords | undefined, closers: Closers) {
    this.#opened = opened;
    this.identifier = opened.identifier;
    this.gate = gate;
    this.#records = records;
    this.#closers = closers;
    this.writers = new Writers({ identifier: this.identifier, gate, records });
  }

  /** @param origin what a token must be for, where the settings name nothing else. @throws RuntimeError, ServerError */
  static async open(
    { identity, data }: Config & { identity: IdentityConfig },
    origin: string,
    logger: Logger,
  ): Promise<LogAccess> {
    const { file, access, tokens, tokenLifetime, audience = origin, record } = identity;
    const closers = new Closers();
    try {
      const policy = await readAccessPolicy(access);
      const opened = await openIdentifier(readIdentityFile(file), {
        logger,
        tokens: tokens ? { audience, maxLifetimeMs: tokenLifetime, usedTokens: layout.usedTokens(data) } : undefined,
      });
      closers.add(() => opened.close());
      const records = record && (await WriteRecords.open({ ...record, logger }));
      if (records !== undefined) closers.add(() => records.close());
      const { identifier } = opened;
      return new LogAccess(opened, new Gate({ identifier, policy }), records, closers);
    } catch (error) {
      await closers.close();
      throw error;
    }
  }

  /** What needs the operator, one sentence each. */
  alarms(): readonly string[] {
    const problem = this.#records?.problem;
    return [...this.#opened.problems(), ...(problem === undefined ? [] : [problem])];
  }

  /** Reads the access policy and the authorities of clients again. @throws RuntimeError what is in use stays in use */
  async reread(access: string): Promise<void> {
    const policy = await readAccessPolicy(access);
    this.#opened.rereadClientCa();
    this.gate.use(policy);
  }

  close(): Promise<void> {
    return this.#closers.close();
  }
}

/** Reads both files, and opens nothing. @throws RuntimeError */
export async function checkAccess({ file, access }: IdentityConfig): Promise<void> {
  readIdentityFile(file);
  await readAccessPolicy(access);
}

async function readAccessPolicy(file: string): Promise<AccessPolicy> {
  return await loadAccessPolicy(readSmallFile(file, file, MAX_POLICY_FILE), {
    file,
    actions: ['write', 'admin', 'read'],
  });
}
