/**
 * What an audit remembers: the checkpoints that it was shown, and how far it came.
 *
 *   {"format":"stele-audit-state/1", "origin":…, "heads":[note, …], "bundles":…, "edge":[base64, …],
 *    "complete":…, "signatures":…, "verified":…, "notChecked":…, "sha256":hex over all of it without this member}
 *
 * `edge` has the hashes of the unfinished tiles of level 1, 2, … after `bundles` full bundles. The file is written whole or
 * not at all, so a crash leaves the state of a moment before; what was checked since is checked again.
 */
import { createHash } from 'node:crypto';
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { readSeen } from './audit-head.ts';

const FORMAT = 'stele-audit-state/1';
const MAX_STATE = 128 * 1024 * 1024;

export interface SeenHead {
  /** The signed note, as it was shown. */
  readonly note: string;
  readonly size: number;
  readonly root: Uint8Array;
}

export interface AuditState {
  readonly origin: string;
  /** Smallest first; no two of one size. */
  readonly heads: readonly SeenHead[];
  /** Full bundles that hold. */
  readonly bundles: number;
  readonly edge: readonly Uint8Array[];
  /** The audit came to the end of the largest head, which is then the only one. */
  readonly complete: boolean;
  /** Whether the signatures in those bundles were checked too. */
  readonly signatures: boolean;
  readonly verified: number;
  readonly notChecked: number;
}

/** @throws ClientError `state`: it is damaged, or no state of an audit; RuntimeError `file` */
export async function readState(path: string): Promise<AuditState | undefined> {
  const bytes = await readFileIfThere(path, MAX_STATE);
  if (bytes === undefined) return undefined;
  try {
    return parse(decodeUtf8(bytes));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof MerkleError || cause instanceof TypeError)) throw cause;
    throw new ClientError(
      'state',
      `${printable(path)} is not the state of an audit, or it is damaged: ${printable(cause.message)}. Move it away to begin anew; then ` +
        'nothing is known about what the log showed before',
      { cause },
    );
  }
}

/** Durable when it resolves. @throws RuntimeError `file` */
export async function writeState(path: string, state: AuditState): Promise<void> {
  await writeFileDurable(path, encodeUtf8(format(state)), { mode: 0o644 });
}

function format({ origin, heads, bundles, edge, complete, signatures, verified, notChecked }: AuditState): string {
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
  };
  return `${JSON.stringify({ ...content, sha256: digest(content) })}\n`;
}

function digest(content: object): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

/** Its digest says that it is what `format` wrote; a text that this does not give again is none. */
function parse(text: string): AuditState {
  const json = JSON.parse(text) as Record<string, unknown> | null;
  if (json?.format !== FORMAT) throw new SyntaxError(`it does not say that it is ${FORMAT}`);
  const { sha256, ...content } = json;
  if (sha256 !== digest(content)) throw new SyntaxError('its digest does not fit');
  const stored = content as unknown as Omit<AuditState, 'edge' | 'heads'> & {
    heads: string[];
    edge: string[];
  };
  const heads = stored.heads.map((note) => ({ ...readSeen(note), note }));
  const state = { ...stored, heads, edge: stored.edge.map((level) => decodeBase64(level)) };
  if (format(state) !== text) throw new SyntaxError('it is not in its one form');
  const largest = heads.at(-1)?.size ?? 0;
  if (!Number.isSafeInteger(state.bundles) || state.bundles < 0 || state.bundles > largest / TILE_WIDTH) {
    throw new SyntaxError('it went further than the checkpoints that it holds');
  }
  return state;
}
