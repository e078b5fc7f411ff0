/**
 * The checkpoints of an index that the command line saw, one file for each pair of logs:
 *
 *     <dir>/<first 32 hex digits of SHA-256 of the verifier keys of the input log and of the output log, a line each>.json
 *
 * A log of the same name with other keys is another log.
 *
 * A file is replaced as a whole, under the lock of the directory. What it has never goes back: of two commands at one time, the larger
 * tree stays.
 */
import { join } from 'node:path';
import { decodeBase64, decodeUtf8, encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { lockOnceFree } from '../../merkle/runtime/disk/lock.ts';
import { ClientError } from '../errors.ts';
import type { TreeHead } from '../tiles/types.ts';
import type { LookupMemory, LookupTrust } from './lookup-trust.ts';

const MAX_BYTES = 64 * 1024;

interface TreeRecord {
  readonly size: number;
  /** Base64. */
  readonly root: string;
}

interface MemoryRecord {
  readonly format: 1;
  readonly input: string;
  readonly output: string;
  readonly inputTree?: TreeRecord;
  readonly outputTree?: TreeRecord;
}

/** What was seen of the two logs of `trust`; empty where nothing was. @throws ClientError `state`; RuntimeError `file` */
export async function readLookupMemory(dir: string, trust: LookupTrust): Promise<LookupMemory> {
  const path = pathOf(dir, trust);
  const bytes = await readFileIfThere(path, MAX_BYTES);
  if (bytes === undefined) return {};
  try {
    const { format, input, output, inputTree, outputTree } = JSON.parse(decodeUtf8(bytes)) as MemoryRecord;
    if (format !== 1 || input !== trust.input.origin || output !== trust.output.origin)
      throw new Error('another format');
    return {
      ...(inputTree !== undefined && { input: treeOf(inputTree) }),
      ...(outputTree !== undefined && { output: treeOf(outputTree) }),
    };
  } catch (cause) {
    const why = `${path} is damaged, and what this client saw of the index is not known`;
    throw new ClientError('state', `${why}. Remove the file to begin anew: an older index is not noticed then`, {
      cause,
    });
  }
}

/** Remembers both trees; durable when it resolves. @throws ClientError `state`; RuntimeError `file`, `locked` */
export async function writeLookupMemory(dir: string, trust: LookupTrust, memory: LookupMemory): Promise<void> {
  const lock = await lockOnceFree(dir);
  try {
    const before = await readLookupMemory(dir, trust);
    const input = larger(before.input, memory.input);
    const output = larger(before.output, memory.output);
    const record: MemoryRecord = {
      format: 1,
      input: trust.input.origin,
      output: trust.output.origin,
      ...(input !== undefined && { inputTree: recordOf(input) }),
      ...(output !== undefined && { outputTree: recordOf(output) }),
    };
    await writeFileDurable(pathOf(dir, trust), encodeUtf8(`${JSON.stringify(record)}\n`));
  } finally {
    await lock.release();
  }
}

function larger(before: TreeHead | undefined, now: TreeHead | undefined): TreeHead | undefined {
  return before !== undefined && (now === undefined || now.size < before.size) ? before : now;
}

function treeOf({ size, root }: TreeRecord): TreeHead {
  const bytes = decodeBase64(root);
  if (!Number.isSafeInteger(size) || size < 0 || bytes.length !== 32) throw new Error('not a tree');
  return { size, root: bytes };
}

function recordOf({ size, root }: TreeHead): TreeRecord {
  return { size, root: encodeBase64(root) };
}

function pathOf(dir: string, { input, output }: LookupTrust): string {
  const lines = [input, output].flatMap(({ keys }) => [...keys.map(formatVerifierKey).sort(), '']);
  const id = encodeHex(fastSha256(encodeUtf8(lines.join('\n'))));
  return join(dir, `${id.slice(0, 32)}.json`);
}
