/**
 * A text of unknown origin. It stands isolated from the text around it, what is invisible in it is written out, a long one is cut, and
 * letters that look like others are pointed at. Nothing in it is markup, and nothing in it becomes a link.
 */
import { useState } from 'preact/hooks';
import { LONG_TEXT, SHORT_TEXT, showText } from '../model/shown-text.ts';

export function DataText({ text, lines = false, short = SHORT_TEXT }: DataTextProps) {
  const [all, setAll] = useState(false);
  const { parts, cut, hint } = showText(text, all ? LONG_TEXT : short, lines);
  return (
    <>
      <bdi class={lines ? 'data lines' : 'data'} data-testid="data">
        {parts.map(({ text: part, escape: isEscape }, i) =>
          isEscape ? (
            <span key={i} class="escape">
              {part}
            </span>
          ) : (
            part
          ),
        )}
        {cut > 0 && '…'}
      </bdi>
      {cut > 0 && !all && (
        <button type="button" class="small" onClick={() => setAll(true)}>
          Show all {text.length} characters
        </button>
      )}
      {cut > 0 && all && <span class="quiet"> ({cut} more characters are not shown)</span>}
      {hint !== undefined && <span class="hint"> {hint}</span>}
    </>
  );
}

interface DataTextProps {
  readonly text: string;
  /** It has several lines, and keeps them. */
  readonly lines?: boolean;
  readonly short?: number;
}

/** Bytes in hex, which break anywhere. */
export function HexText({ bytes }: { readonly bytes: Uint8Array }) {
  return <code class="hash">{hexOf(bytes)}</code>;
}

export function hexOf(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return hex;
}
