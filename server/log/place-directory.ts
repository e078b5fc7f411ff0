/** The second place as a directory on another disk: a file for each record. */
import { join } from 'node:path';
import { createFileDurable, isThere, namesIn, readFileIfThere, removeTree } from '../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { MAX_RECORD, type Place, RECORD_NAME } from './second-place.ts';

/** @param dir must be there already: a disk that is not mounted must not look like an empty place */
export function directoryPlace(dir: string): Place {
  /** The record that was made or read last. */
  let last: string | undefined;
  return {
    name: dir,
    names: async () => {
      if (!(await isThere(dir))) throw new RuntimeError('file', `the directory ${dir} is not there`);
      return (await namesIn(dir)).filter((name) => RECORD_NAME.test(name));
    },
    create: async (name, bytes) => {
      // The directory below a disk that was unmounted meanwhile is empty.
      if (last !== undefined && !(await isThere(join(dir, last)))) {
        throw new RuntimeError('file', `the record ${last} in ${dir} is gone`);
      }
      const made = await createFileDurable(join(dir, name), bytes);
      last = name;
      return made;
    },
    read: async (name) => {
      const bytes = await readFileIfThere(join(dir, name), MAX_RECORD);
      if (bytes !== undefined) last = name;
      return bytes ?? new Uint8Array(0);
    },
    remove: (name) => removeTree(join(dir, name)),
  };
}
