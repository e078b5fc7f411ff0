/** What `stele search` prints: each hit in words, and what is known of the answer and what is not. */
import { encodeBase64, encodeHex } from '../../../merkle/bytes.ts';
import type { IndexKey, KeyKind } from '../../../merkle/index/keys.ts';
import { printable } from '../../../merkle/printable.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { counted } from '../../formats/counted.ts';
import type { CheckedHit, CheckedPage } from '../../search/check-page.ts';

/** Names of a hit that are printed: a certificate may have thousands. */
const SHOWN = 3;

/** One log and what was found in it. */
export interface LogFinds {
  readonly log: string;
  /** The last page that holds; absent where none came. */
  readonly page?: CheckedPage;
  readonly hits: number;
  readonly failed: number;
  /** There are more hits, which were not asked for. */
  readonly more: boolean;
}

export function hitLine(hit: CheckedHit): string {
  const line = `  ${hit.index}  ${signerOf(hit)}  ${shown(hit, 'kind')}  ${shown(hit, 'digest') || 'without a digest'}`;
  return hit.ok ? line : `${line}\n     DOES NOT HOLD: ${printable(hit.error.message)}`;
}

/** The texts of strangers stand in JSON as they are: JSON escapes control characters, and no terminal sees them as such. */
export function hitJson(log: string, hit: CheckedHit): object {
  const { index, leafHash, keys, body, proof } = hit;
  return {
    log,
    index,
    ok: hit.ok,
    ...(!hit.ok && { error: { code: hit.error.code, message: hit.error.message } }),
    keys,
    leafHash: encodeHex(leafHash),
    body: encodeBase64(body),
    proof: proof.map(encodeBase64),
  };
}

/** Who signed: the names with who vouched for them, or the key. */
function signerOf(hit: CheckedHit): string {
  const names = shown(hit, 'identity');
  const issuer = shown(hit, 'issuer');
  if (names !== '') return issuer === '' ? names : `${names}, by ${issuer}`;
  const key = shown(hit, 'key');
  return key === '' ? 'nobody whose name or key could be read' : `key ${key}`;
}

function shown({ keys }: CheckedHit, kind: KeyKind): string {
  const values = keys.filter((key: IndexKey) => key.kind === kind).map(({ value }) => printable(value));
  const more = values.length - SHOWN;
  return `${values.slice(0, SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** What the answer is about, and how far it is to be believed. */
export function endLines({ log, page, hits, failed, more }: LogFinds): string[] {
  const found = `${counted(hits, 'hit')}${more ? ', and there are more (--all, or a higher --limit)' : ''}`;
  if (page === undefined) return [`${printable(log)}: nothing was answered`];
  const { size, root, verified } = page;
  const checked =
    failed > 0 ? `${failed} of them DO NOT HOLD` : hits === 0 ? '' : 'each is in the log and has what was asked for';
  return [
    `${printable(log)}: ${found}${checked === '' ? '' : `; ${checked}`}`,
    `  The answer is about the tree of ${counted(size, 'entry', 'entries')} with the root ${encodeBase64(root)}, signed by ${printable(verified.key.label)}${cosignedText(verified)}`,
  ];
}

function cosignedText({ cosigned }: CheckedPage['verified']): string {
  if (cosigned.length === 0) return '; no witness was asked for';
  const times = cosigned.map(({ witness, timestamp }) => `${printable(witness)} at ${timeText(timestamp * 1000)}`);
  return `, cosigned by ${times.join(', ')}`;
}

export function endJson({ log, page, hits, failed, more }: LogFinds): object {
  if (page === undefined) return { log, hits, failed, more };
  const { size, root, checkpoint, verified } = page;
  const cosigned = verified.cosigned.map(({ witness, timestamp }) => ({ witness, time: timeText(timestamp * 1000) }));
  // Only the verifiable index proves that no hit is missing.
  const complete = { through: size, by: 'the word of the index' };
  return { log, hits, failed, more, size, root: encodeBase64(root), checkpoint, cosigned, complete };
}
