/**
 * Which log a data directory belongs to: `stele.json`, written once, before anything else is stored there.
 *
 *     {"format":1,"origin":"log.example.com","verifierKeys":["log.example.com+…"],"copy":false}
 */
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';
import type { EntryKind } from '../types.ts';

/** Goes up when an older Stele could not read, or would damage, the files of a newer one. */
export const FORMAT = 1;

const LogIdentity = Type.Object(
  {
    format: Type.Integer({ minimum: 1 }),
    origin: Type.String({ minLength: 1, maxLength: 255 }),
    verifierKeys: Type.Array(Type.String(), { minItems: 1, maxItems: 8 }),
    /** Absent for a log of signed entries. */
    entries: Type.Optional(Type.Literal('raw')),
    /** True for a backup, which only `stele log restore` makes a data directory from. */
    copy: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type LogIdentity = Static<typeof LogIdentity>;

const MAX_BYTES = 64 * 1024;

export function identityPath(dir: string): string {
  return join(dir, 'stele.json');
}

/** The identity of `dir`, or undefined where there is no file. @throws ServerError `format-version`, `corrupt` */
export async function readIdentity(dir: string): Promise<LogIdentity | undefined> {
  const bytes = await readFileIfThere(identityPath(dir), MAX_BYTES);
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(bytes));
  } catch {
    throw new ServerError('corrupt', `${identityPath(dir)} is not JSON. Put the file back from a backup.`);
  }
  const format = (value as { format?: unknown } | null)?.format;
  if (Number.isSafeInteger(format) && format !== FORMAT) {
    throw new ServerError(
      'format-version',
      `the data directory ${dir} has format ${format}, and this Stele reads format ${FORMAT}. Start it with the ` +
        'version of Stele that wrote it.',
    );
  }
  if (!Value.Check(LogIdentity, value) || !value.verifierKeys.every((key) => isKeyOf(value.origin, key))) {
    throw new ServerError(
      'corrupt',
      `${identityPath(dir)} does not have the expected fields and keys. Put it back from a backup.`,
    );
  }
  return value;
}

/** Whether `key` is a verifier key in the name of the log. */
export function isKeyOf(origin: string, key: string): boolean {
  try {
    return parseVerifierKey(key).name === origin;
  } catch (error) {
    if (error instanceof MerkleError) return false;
    throw error;
  }
}

export async function writeIdentity(dir: string, identity: LogIdentity): Promise<void> {
  await writeFileDurable(identityPath(dir), encodeUtf8(`${JSON.stringify(identity)}\n`));
}

/**
 * The origin of the log in `dir`: the configured one, or without one that of the log that is there. Nothing is written.
 * @throws ServerError `config` for a new log without an origin, which it could never change; `format-version`, `corrupt`
 */
export async function originOf(dir: string, configured: string | undefined): Promise<string> {
  const origin = configured ?? (await readIdentity(dir))?.origin;
  if (origin !== undefined) return origin;
  throw new ServerError(
    'config',
    `\`origin\` is not set, and ${dir} holds no log yet. It is the name of the log for ever: set it to the host name in the ` +
      "log's URL, such as log.example.com (`origin` in the configuration, --origin, STELE_ORIGIN). To try a log, run `stele up`.",
  );
}

/**
 * Refuses a directory of another log, and a copy. Called before the keys are opened: their errors would name the key of
 * that directory.
 * @throws ServerError `origin-mismatch`, `copy`
 */
export function checkOwner(dir: string, found: LogIdentity, origin: string): void {
  checkOrigin(dir, found, origin);
  if (found.copy) {
    throw new ServerError(
      'copy',
      `the data directory ${dir} is a backup. A log that goes on from an old copy shows two histories, so no log starts on ` +
        'a backup: run `stele log restore` with the newest checkpoint that you can find.',
    );
  }
}

/** Refuses the directory of another log than the configured one. @throws ServerError `origin-mismatch` */
export function checkOrigin(dir: string, found: LogIdentity, origin: string | undefined): void {
  if (origin === undefined || found.origin === origin) return;
  throw new ServerError(
    'origin-mismatch',
    `the data directory ${dir} belongs to the log "${found.origin}", and the configured origin is "${origin}". ` +
      'Set `origin` back, or point `data` at the directory of this log.',
  );
}

/** Refuses entries of the other kind: no reader could tell the two apart in one log. @throws ServerError `config` */
export function checkEntries(dir: string, found: LogIdentity, entries: EntryKind): void {
  const began: EntryKind = found.entries ?? 'signed';
  if (began === entries) return;
  throw new ServerError(
    'config',
    `the log in ${dir} began with \`entries: ${began}\`, and \`${entries}\` is configured: set it back, or begin another log.`,
  );
}

/** Refuses another own key than the log's first. Keys for witnesses may change. @throws ServerError `key-mismatch` */
export function checkKeys(dir: string, found: LogIdentity, verifierKeys: readonly string[]): void {
  if (found.verifierKeys[0] !== verifierKeys[0]) {
    throw new ServerError(
      'key-mismatch',
      `the data directory ${dir} was signed with ${found.verifierKeys[0]}, and the configured key is ${verifierKeys[0]}. ` +
        'Configure the key that this log began with; a new key needs a new log.',
    );
  }
}
