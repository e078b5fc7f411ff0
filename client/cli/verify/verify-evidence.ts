/** `stele verify --evidence`: checks evidence of a monitor or a witness against a log, without trust in either. */
import { encodeBase64 } from '../../../merkle/bytes.ts';
import { ENTRY_EVIDENCE_START, parseEntryEvidence, verifyEntryEvidence } from '../../../merkle/entry-evidence.ts';
import { type EvidenceFinding, MAX_EVIDENCE, parseEvidence, verifyEvidence } from '../../../merkle/evidence.ts';
import { formatVerifierKey, type VerifierKey } from '../../../merkle/note.ts';
import { printable } from '../../../merkle/printable.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { ClientError } from '../../errors.ts';
import { parseCheckpointKey } from '../../trust/log-key.ts';
import { readWhole, verifierKeyText } from '../files.ts';
import { print } from '../report.ts';

export interface EvidenceOptions {
  /** The log's verifier key, if the reader knows it. The evidence must then be about this log. */
  readonly logKey?: string;
  readonly json?: boolean;
}

/** Prints what the file shows. @throws ClientError `file`, `log-key`; MerkleError if the file shows nothing */
export async function verifyEvidenceFile(file: string, options: EvidenceOptions): Promise<void> {
  const bytes = await readWhole(file, MAX_EVIDENCE, 'a piece of evidence');
  const isEntry = Buffer.from(bytes.subarray(0, ENTRY_EVIDENCE_START.length)).equals(Buffer.from(ENTRY_EVIDENCE_START));
  const { keys, result, lines } = isEntry ? ofEntry(bytes) : ofCheckpoints(bytes);
  const vkeys = keys.map(formatVerifierKey);
  const known =
    options.logKey === undefined
      ? undefined
      : formatVerifierKey(parseCheckpointKey(await verifierKeyText(options.logKey), nodeNotePrimitives));
  if (known !== undefined && !vkeys.includes(known)) {
    const why = 'the evidence is not about the log whose key was given: another key has signed';
    throw new ClientError('bad-checkpoint', why);
  }
  print(options.json, { file, ...result, keys: vkeys }, [
    ...lines,
    '',
    'Signed by:',
    ...vkeys.map((key) => `  ${printable(key)}`),
    known === undefined
      ? 'Whether that is the key of the log is for you to compare (or give --log-key).'
      : 'That is the key that was given.',
  ]);
}

interface Shown {
  readonly keys: readonly VerifierKey[];
  readonly result: object;
  readonly lines: readonly string[];
}

function ofCheckpoints(bytes: Uint8Array): Shown {
  const finding = verifyEvidence(parseEvidence(bytes), nodeNotePrimitives, fastSha256);
  const { origin, kind, firstSize, secondSize, firstKeys, secondKeys } = finding;
  return {
    keys: [...new Set([...firstKeys, ...secondKeys])],
    result: { kind, origin, firstSize, secondSize },
    lines: [`HOLDS: "${printable(origin)}" has signed ${contradiction(finding)}`],
  };
}

/** The two things that the log signed, as the end of a sentence. */
export function contradiction({
  kind,
  firstSize,
  secondSize,
}: Pick<EvidenceFinding, 'kind' | 'firstSize' | 'secondSize'>): string {
  if (kind === 'two-roots') return `two different trees of size ${firstSize}`;
  if (kind === 'grew-after-freeze') {
    return `that it is frozen at size ${firstSize}, and a tree of size ${secondSize} all the same`;
  }
  return `a tree of size ${firstSize}, and one of size ${secondSize} that does not contain it`;
}

function ofEntry(bytes: Uint8Array): Shown {
  const evidence = parseEntryEvidence(bytes);
  const { origin, size, index, leafHash, servedHash } = verifyEntryEvidence(evidence, nodeNotePrimitives, fastSha256);
  return {
    keys: evidence.keys,
    result: {
      kind: 'bad-entry',
      origin,
      size,
      index,
      leafHash: encodeBase64(leafHash),
      servedHash: encodeBase64(servedHash),
    },
    lines: [
      `HOLDS: the bytes in this file are not entry ${index} of the tree of size ${size} that "${printable(origin)}" has signed:`,
      `  the tree has the leaf  ${encodeBase64(leafHash)}`,
      `  the bytes give         ${encodeBase64(servedHash)}`,
      'NOT PROVEN: that the log has served these bytes, as bundles are not signed. Only the author of this file says so.',
    ],
  };
}
