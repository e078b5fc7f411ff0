/** A log in a directory, and audits of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { auditLog } from '../../../client/audit/audit.ts';
import type { AuditOptions, AuditReport } from '../../../client/audit/types.ts';
import { ClientError } from '../../../client/errors.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { numbered, tempDir } from '../../support/log-files.ts';

/** Entries of the log of most tests. */
export const SIZE = 600;
export const log = FakeLog.empty('static.test');

export function logDir(entries = numbered(SIZE)): { dir: string; root: Uint8Array } {
  const dir = tempDir();
  return { dir, root: log.write(dir, entries) };
}

export const audit = (dir: string, options: AuditOptions = {}): Promise<AuditReport> =>
  auditLog(dir, { logKey: log.vkey, threads: 1, ...options });

export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
}

export function flip(dir: string, path: string, at: number, bit = 0): () => void {
  const bytes = readFileSync(join(dir, path));
  bytes[at]! ^= 1 << bit;
  writeFileSync(join(dir, path), bytes);
  return () => {
    bytes[at]! ^= 1 << bit;
    writeFileSync(join(dir, path), bytes);
  };
}
