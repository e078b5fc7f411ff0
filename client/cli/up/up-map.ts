/**
 * The verifiable index of `stele up`: for the log, and for each of its later shards, an output log with the witnesses of the log, and
 * one rebuilder, all below the log's data directory. The names of the N-th shard end with `-N` from the second on:
 *
 *     output-log/               the output log, which takes leaves of the index alone: nothing else on this machine calls it
 *     rebuilder-1/              the rebuilder, with its key
 *     trust/index-policy        for others: the output log, its witnesses and their quorum
 *     trust/index-rebuilders    for others: the rebuilders and their quorum
 */
import { join } from 'node:path';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../merkle/note.ts';
import { parseSpki, pointOf } from '../../../merkle/rekor/spki.ts';
import { isThere, makeDirDurable, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { ClientError } from '../../errors.ts';
import { addLogs, type Prepared, publicKey, quorumLines, verifierKey } from './prepare.ts';

const REBUILDER = 'rebuilder-1';

/** Of the two processes. */
export interface MapPorts {
  readonly output: number;
  readonly rebuilder: number;
}

export interface PreparedMap {
  readonly origin: string;
  /** URL of the output log. */
  readonly url: string;
  /** Files for others. */
  readonly policy: string;
  readonly rebuilders: string;
  /** Each process: its name, and the arguments of `stele`. */
  readonly outputLog: MapProcess;
  /** @param log where the log is */
  readonly rebuilder: (log: string) => MapProcess;
}

interface MapProcess {
  readonly name: string;
  readonly args: readonly string[];
}

/** The log, or a shard of it. */
interface MappedShard {
  readonly origin: string;
  readonly verifierKeys: readonly string[];
}

/**
 * Makes keys and policies, and has the witnesses cosign the output log.
 *
 * @param number of the shard, from 1
 * @throws RuntimeError `key-…`, `file`; ClientError `file`
 */
export async function prepareMap(
  shard: MappedShard,
  number: number,
  data: string,
  prepared: Prepared,
  ports: MapPorts,
): Promise<PreparedMap> {
  const named = (name: string) => (number === 1 ? name : `${name}-${number}`);
  const trust = join(data, 'trust');
  const output = {
    origin: `index.${shard.origin}`,
    dir: join(data, named('output-log')),
    url: `http://localhost:${ports.output}`,
  };
  const rebuilder = {
    name: `${shard.origin}/${REBUILDER}`,
    dir: join(data, named(REBUILDER)),
    url: `http://localhost:${ports.rebuilder}`,
  };
  const outputKey = verifierKey(output.origin, await publicKey({ file: await keyIn(output.dir, 'stele.json') }));
  const { publicKey: spki } = await publicKey({ file: await keyIn(rebuilder.dir, 'witness.json') });
  const rebuilderKey = makeVerifierKey(rebuilder.name, KEY_TYPE.cosignature, pointOf(parseSpki(spki)));
  for (const { logs } of prepared.witnesses) await addLogs(logs, [outputKey]);
  const log = `log ${formatVerifierKey(outputKey)} ${output.url}`;
  await makeDirDurable(trust);
  const policy = join(trust, named('index-policy'));
  const rebuilders = join(trust, named('index-rebuilders'));
  await write(policy, [log, ...quorumLines(prepared), '']);
  const cosigner = `witness ${REBUILDER} ${formatVerifierKey(rebuilderKey)} ${rebuilder.url}`;
  await write(rebuilders, [log, cosigner, `quorum ${REBUILDER}`, '']);
  const port = (listen: number) => ['--listen-host', '127.0.0.1', '--listen-port', String(listen), '--admin-port', '0'];
  return {
    origin: output.origin,
    url: output.url,
    policy,
    rebuilders,
    outputLog: {
      name: named('index-log'),
      args: [
        ...['serve', '--origin', output.origin, '--entries', 'raw', '--data', output.dir],
        ...['--policy', prepared.policy, ...port(ports.output)],
      ],
    },
    rebuilder: (url) => ({
      name: named('rebuilder'),
      args: [
        ...['index', '--witness', '--name', rebuilder.name, '--data', rebuilder.dir, ...port(ports.rebuilder)],
        ...['--input-url', url, '--input-policy', join(trust, 'policy'), '--rebuild-poll', '1s'],
        ...['--input-keys', shard.verifierKeys.join(',')],
        ...['--output-url', output.url, '--output-policy', policy],
      ],
    }),
  };
}

/** The file of a key, made where the service has not begun. @param began what the service writes when it begins */
async function keyIn(dir: string, began: string): Promise<string> {
  const file = join(dir, 'key.pem');
  await makeDirDurable(dir);
  if (await isThere(file)) return file;
  if (await isThere(join(dir, began))) {
    throw new ClientError('file', `the key ${file} is missing: put it back, or remove ${dir} to begin anew`);
  }
  await createKeyFile(file, 'ed25519');
  return file;
}

/** Writes a file that all may read: it holds no secret. */
async function write(path: string, lines: readonly string[]): Promise<void> {
  await writeFileDurable(path, encodeUtf8(lines.join('\n')), { mode: 0o644 });
}
