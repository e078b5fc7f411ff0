/**
 * Keeps evidence against a log as files, which anybody can check with `stele verify --evidence FILE`. The name is
 * `<origin hash, 16 digits>-<hash of the content, 16 digits>.json`, so the same evidence makes one file.
 */
import { join } from 'node:path';
import { encodeHex, encodeUtf8 } from '../../../merkle/bytes.ts';
import { type EntryEvidence, formatEntryEvidence } from '../../../merkle/entry-evidence.ts';
import { type Evidence, formatEvidence } from '../../../merkle/evidence.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { isThere, makeDirDurable, namesIn, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { originHash } from '../../../merkle/witness.ts';

/** Files of one log: a log that lies in a new way each second must not fill the disk. */
const MAX_FILES = 100;

export class EvidenceFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The path of the file, durable when it resolves; undefined where the log has 100 files. @throws RuntimeError `file` */
  async keep(origin: string, evidence: Evidence | EntryEvidence): Promise<string | undefined> {
    const text = 'served' in evidence ? formatEntryEvidence(evidence) : formatEvidence(evidence);
    const bytes = encodeUtf8(text);
    const prefix = `${originHash(origin, fastSha256).slice(0, 16)}-`;
    const path = join(this.#dir, `${prefix}${encodeHex(fastSha256(bytes)).slice(0, 16)}.json`);
    if (await isThere(path)) return path;
    if ((await namesIn(this.#dir)).filter((name) => name.startsWith(prefix)).length >= MAX_FILES) return undefined;
    await makeDirDurable(this.#dir);
    await writeFileDurable(path, bytes);
    return path;
  }
}
