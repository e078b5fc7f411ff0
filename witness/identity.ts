/**
 * Whose data directory this is: `witness.json`, written before anything is signed.
 *
 *     {"format":1,"name":"witness.example.com/w1","verifierKeys":["witness.example.com/w1+…"]}
 *
 * A witness may get a key of the other type later. The keys that it signed with stay its keys.
 */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../merkle/bytes.ts';
import { formatVerifierKey, parseVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { readFileIfThere, writeFileDurable } from '../merkle/runtime/disk/files.ts';
import { WitnessError } from './errors.ts';

const FORMAT = 1;
const MAX_BYTES = 64 * 1024;

interface WitnessIdentity {
  readonly name: string;
  readonly keys: readonly VerifierKey[];
}

export const layout = {
  identity: (dir: string) => join(dir, 'witness.json'),
  store: (dir: string) => join(dir, 'store'),
  acceptedClocks: (dir: string) => join(dir, 'accepted-clocks'),
  evidence: (dir: string) => join(dir, 'evidence'),
  adminToken: (dir: string) => join(dir, 'admin.token'),
};

/** The identity of `dir`, or undefined where there is none. @throws WitnessError `format-version`, `corrupt` */
export async function readIdentity(dir: string): Promise<WitnessIdentity | undefined> {
  const path = layout.identity(dir);
  const bytes = await readFileIfThere(path, MAX_BYTES);
  if (bytes === undefined) return undefined;
  try {
    const { format, name, verifierKeys } = JSON.parse(decodeUtf8(bytes)) as Record<string, unknown>;
    if (Number.isSafeInteger(format) && format !== FORMAT) {
      throw new WitnessError(
        'format-version',
        `the data directory ${dir} has format ${String(format)}, and this Stele reads format ${FORMAT}. Start the witness with the version of Stele that wrote it.`,
      );
    }
    if (typeof name !== 'string' || !Array.isArray(verifierKeys)) throw new Error('fields are missing');
    return { name, keys: verifierKeys.map((key) => parseVerifierKey(String(key))) };
  } catch (error) {
    if (error instanceof WitnessError) throw error;
    throw new WitnessError('corrupt', `${path} was not written by a witness. Put the file back from a backup.`);
  }
}

/**
 * The name of the witness of `dir`: the configured one, or without one that of the witness that is there.
 * @throws WitnessError `config` for a new witness without a name, which it could never change; `format-version`, `corrupt`
 */
export async function nameOf(dir: string, configured: string | undefined): Promise<string> {
  const name = configured ?? (await readIdentity(dir))?.name;
  if (name !== undefined) return name;
  throw new WitnessError(
    'config',
    `\`name\` is not set, and ${dir} holds no witness yet. It is the name of the witness for ever, by custom a URL of yours ` +
      'without the scheme: set it, such as witness.example.com/w1 (`name` in the configuration, --name, STELE_WITNESS_NAME).',
  );
}

/** Checks the name and keys of this start against `found`. @throws WitnessError `key-mismatch` */
export function checkIdentity(dir: string, found: WitnessIdentity | undefined, mine: WitnessIdentity): void {
  if (found !== undefined && found.name !== mine.name) {
    throw new WitnessError(
      'key-mismatch',
      `the data directory ${dir} belongs to the witness "${found.name}", and the configured name is "${mine.name}". Set \`name\` back, or point \`data\` elsewhere.`,
    );
  }
  const before = found?.keys ?? [];
  for (const old of before) {
    const now = mine.keys.find(({ type }) => type === old.type);
    if (now === undefined || formatVerifierKey(now) === formatVerifierKey(old)) continue;
    throw new WitnessError(
      'key-mismatch',
      `the witness in ${dir} has signed with ${formatVerifierKey(old)}, and the configured key is ${formatVerifierKey(now)}. Configure the key that it began with; with a new key it is a new witness, with a data directory of its own.`,
    );
  }
}

/** Writes the new keys of this start. Call it when the store is there: a directory with an identity has a store. */
export async function writeIdentity(
  dir: string,
  found: WitnessIdentity | undefined,
  mine: WitnessIdentity,
): Promise<void> {
  const before = found?.keys ?? [];
  const added = mine.keys.filter(({ type }) => before.every((old) => old.type !== type));
  if (added.length === 0) return;
  const verifierKeys = [...before, ...added].map(formatVerifierKey);
  const text = JSON.stringify({ format: FORMAT, name: mine.name, verifierKeys });
  await writeFileDurable(layout.identity(dir), encodeUtf8(`${text}\n`));
}
