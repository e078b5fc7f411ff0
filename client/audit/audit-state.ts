/**
 * What an audit remembers: the checkpoints that the log has shown, and how far the audit came.
 *
 *   {"format":"stele-audit-state/1", "origin":…, "heads":[note, …], "bundles":…, "edge":[base64, …],
 *    "complete":…, "signatures":…, "verified":…, "notChecked":…, "tail":base64?, "proven":[note, …]?,
 *    "sha256":hex over all of it without this member}
 *
 * `edge` has the hashes of the unfinished tiles of level 1, 2, … after `bundles` full bundles, and `tail` those of level 0.
 * A member that would be empty is absent: `tail` and `proven` were not always there. The file is written whole or not at all. A crash leaves an earlier state, and the next audit checks again what came after it.
 */
import { createHash } from 'node:crypto';
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { readSeen, type SeenHead } from './audit-head.ts';

const FORMAT = 'stele-audit-state/1';
const MAX_STATE = 128 * 1024 * 1024;

export interface AuditState {
  readonly origin: string;
  /** Smallest first; no two of one size. */
  readonly heads: readonly SeenHead[];
  /** Full bundles that hold. */
  readonly bundles: number;
  readonly edge: readonly Uint8Array[];
  /** Leaf hashes after those bundles, one after the other; empty before the audit came to the end. */
  readonly tail: Uint8Array;
  /** Smaller trees that are the beginning of the smallest head; smallest first. */
  readonly proven: readonly SeenHead[];
  /** The audit came to the end of the largest head, which is then the only one. */
  readonly complete: boolean;
  /** The audit checked the signatures in those bundles too. */
  readonly signatures: boolean;
  readonly verified: number;
  readonly notChecked: number;
}

/** @throws ClientError `state`: the file is damaged, or not the state of an audit; RuntimeError `file` */
export async function readAuditState(path: string): Promise<AuditState | undefined> {
  const bytes = await readFileIfThere(path, MAX_STATE);
  if (bytes === undefined) return undefined;
  try {
    return parse(decodeUtf8(bytes));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof MerkleError || cause instanceof TypeError)) throw cause;
    const why = `${printable(path)} is not the state of an audit, or it is damaged: ${printable(cause.message)}`;
    const what = 'Move it away to begin anew; then nothing is known about what the log showed before';
    throw new ClientError('state', `${why}. ${what}`, { cause });
  }
}

/** Durable when it resolves. @throws RuntimeError `file` */
export async function writeAuditState(path: string, state: AuditState): Promise<void> {
  await writeFileDurable(path, encodeUtf8(format(state)), { mode: 0o644 });
}

function format(state: AuditState): string {
  const { origin, heads, bundles, edge, tail, proven, complete, signatures, verified, notChecked } = state;
  const content = {
    format: FORMAT,
    origin,
    heads: heads.map(({ note }) => note),
    bundles,
    edge: edge.map(encodeBase64),
    complete,
    signatures,
    verified,
    notChecked,
    ...(tail.length === 0 ? {} : { tail: encodeBase64(tail) }),
    ...(proven.length === 0 ? {} : { proven: proven.map(({ note }) => note) }),
  };
  return `${JSON.stringify({ ...content, sha256: digest(content) })}\n`;
}

function digest(content: object): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

interface Stored extends Omit<AuditState, 'edge' | 'heads' | 'tail' | 'proven'> {
  readonly heads: string[];
  readonly edge: string[];
  readonly tail?: string;
  readonly proven?: string[];
}

/** The digest shows that `format` wrote the text. A text that `format` does not give again is not a state. */
function parse(text: string): AuditState {
  const json = JSON.parse(text) as Record<string, unknown> | null;
  if (json?.format !== FORMAT) throw new SyntaxError(`it does not say that it is ${FORMAT}`);
  const { sha256, ...content } = json;
  if (sha256 !== digest(content)) throw new SyntaxError('its digest does not fit');
  const stored = content as unknown as Stored;
  const state = {
    ...stored,
    heads: stored.heads.map(readSeen),
    edge: stored.edge.map((level) => decodeBase64(level)),
    tail: decodeBase64(stored.tail ?? ''),
    proven: (stored.proven ?? []).map(readSeen),
  };
  if (format(state) !== text) throw new SyntaxError('it is not in its one form');
  const largest = state.heads.at(-1)?.size ?? 0;
  if (!Number.isSafeInteger(state.bundles) || state.bundles < 0 || state.bundles > largest / TILE_WIDTH) {
    throw new SyntaxError('it went further than the checkpoints that it holds');
  }
  if (state.tail.length % HASH_SIZE !== 0 || state.tail.length >= TILE_WIDTH * HASH_SIZE) {
    throw new SyntaxError('its tail is not that of an unfinished tile');
  }
  return state;
}
