/** Which subject of an in-toto statement a file is. */
import { encodeHex } from '../../merkle/bytes.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { Statement, StatementSubject } from '../formats/statement.ts';

const HASHES: readonly HashName[] = ['sha256', 'sha384', 'sha512'];

/** The hashes that the subjects name, of those that are checked here. */
export function hashesOf({ subjects }: Statement): HashName[] {
  return HASHES.filter((hash) => subjects.some(({ digest }) => digest.has(hash)));
}

/**
 * The subject that names a digest of the file and no other digest. Hashes that are not checked here do not count.
 *
 * The specification lets one matching digest suffice. A subject with another digest beside it is not this file.
 */
export function subjectFor(
  { subjects }: Statement,
  digests: Readonly<Partial<Record<HashName, Uint8Array>>>,
): StatementSubject | undefined {
  const given = HASHES.flatMap((hash) =>
    digests[hash] === undefined ? [] : [[hash, encodeHex(digests[hash])] as const],
  );
  return subjects.find(({ digest }) => {
    const named = given.filter(([hash]) => digest.has(hash));
    return named.length > 0 && named.every(([hash, hex]) => digest.get(hash) === hex);
  });
}
