/** The second place as a directory on another disk: a file for each record. */
import { join } from 'node:path';
import { createFileDurable, isThere, namesIn, readFileIfThere, removeTree } from '../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { MAX_RECORD, type Place, RECORD_NAME } from './second-place.ts';

/** @param dir must be there already: a disk that is not mounted must not look like an empty place */
export function directoryPlace(dir: string): Place {
  return {
    name: dir,
    names: async () => {
      if (!(await isThere(dir))) throw new RuntimeError('file', `the directory ${dir} is not there`);
      return (await namesIn(dir)).filter((name) => RECORD_NAME.test(name));
    },
    create: (name, bytes) => createFileDurable(join(dir, name), bytes),
    read: async (name) => (await readFileIfThere(join(dir, name), MAX_RECORD)) ?? new Uint8Array(0),
    remove: (name) => removeTree(join(dir, name)),
  };
}
