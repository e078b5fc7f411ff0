/**
 * The way of an entry up to the root: as a picture with the root above, and as a table with every hash in full. Each hash on the way
 * was computed in this browser. A place is chosen with the pointer, with Tab and Enter, or with the arrow keys.
 */
import { useRef, useState } from 'preact/hooks';
import type { WayPlace, WayUp } from '../model/way-up.ts';
import { HexText, hexOf } from './data-text.tsx';

const WIDTH = 340;
const ROW = 64;
const BOX = { width: 96, height: 30 };
const CENTER = WIDTH / 2;

interface Row {
  readonly place: WayPlace;
  /** The sibling that makes the place above, beside this place. */
  readonly sibling?: { readonly side: 'left' | 'right'; readonly hash: Uint8Array; readonly range: string };
  readonly tone: Tone;
}

type Tone = 'good' | 'bad' | 'open' | 'plain';

export function WayPicture({ way }: { readonly way: WayUp }) {
  const rows = rowsOf(way);
  const [chosen, setChosen] = useState(0);
  const picture = useRef<SVGSVGElement>(null);
  const height = rows.length * ROW + 16;
  const topOf = (i: number) => height - 16 - (i + 1) * ROW + ROW / 2;
  const choose = (i: number) => {
    const at = Math.min(Math.max(i, 0), rows.length - 1);
    setChosen(at);
    picture.current?.querySelector<SVGGElement>(`[data-place="${at}"]`)?.focus();
  };
  return (
    <div class="way">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be a picture */}
      <svg
        ref={picture}
        class="way-picture"
        viewBox={`0 0 ${WIDTH} ${height}`}
        role="group"
        aria-label={`The way from the entry to the root, ${rows.length} places. The table below has the same.`}
        onKeyDown={(event) => {
          const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
          if (event.key === 'Home') choose(0);
          else if (event.key === 'End') choose(rows.length - 1);
          else if (step !== undefined) choose(chosen + step);
          else return;
          event.preventDefault();
        }}
      >
        {rows.map(({ sibling, tone }, i) => {
          if (sibling === undefined) return undefined;
          const [y, above] = [topOf(i), topOf(i + 1)];
          const x = sibling.side === 'left' ? CENTER - 112 : CENTER + 112;
          const upper = rows[i + 1]?.tone ?? tone;
          return (
            <g key={`line ${above}`}>
              <path class={`line ${upper}`} d={`M${CENTER} ${y - 15}V${above + 15}`} />
              <path class={`line ${upper}`} d={`M${x} ${y - 15}L${CENTER} ${above + 15}`} />
              <g class="sibling">
                <rect x={x - 48} y={y - 15} width={BOX.width} height={BOX.height} rx="4" />
                <text x={x} y={y + 4}>
                  {hexOf(sibling.hash).slice(0, 8)}
                </text>
              </g>
            </g>
          );
        })}
        {rows.map(({ place, tone }, i) => (
          // biome-ignore lint/a11y/useSemanticElements: SVG has no element of its own for a button
          <g
            key={`place ${place.begin} ${place.end}`}
            class={`place ${tone}`}
            data-place={i}
            data-tone={tone}
            role="button"
            // Preact writes SVG's attributes as they stand.
            tabindex={i === chosen ? 0 : -1}
            aria-pressed={i === chosen}
            aria-label={`${nameOf(i, rows.length)}: ${WORDS[tone]}, ${hexOf(place.hash).slice(0, 8)}`}
            onClick={() => choose(i)}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' && event.key !== ' ') return;
              choose(i);
              event.preventDefault();
            }}
          >
            <rect x={CENTER - 48} y={topOf(i) - 15} width={BOX.width} height={BOX.height} rx="4" />
            <text x={CENTER} y={topOf(i) + 4}>
              {`${MARKS[tone]}${hexOf(place.hash).slice(0, 8)}`}
            </text>
          </g>
        ))}
      </svg>
      <Chosen row={rows[Math.min(chosen, rows.length - 1)]!} name={nameOf(chosen, rows.length)} />
      <WayTable rows={rows} />
    </div>
  );
}

const MARKS = { good: '✓ ', bad: '✗ ', open: '', plain: '' } as const;
const WORDS = {
  good: 'as the tree has it',
  bad: 'wrong, the tree has another hash here',
  open: 'computed here, and follows from what is wrong below or is in doubt',
  plain: 'computed here',
} as const;

function Chosen({ row: { place, sibling, tone }, name }: { readonly row: Row; readonly name: string }) {
  return (
    <div class="chosen" aria-live="polite">
      <h3>{name}</h3>
      <p>
        Over {entriesOf(place)}: {WORDS[tone]}.
      </p>
      <p>
        Computed: <HexText bytes={place.hash} />
      </p>
      {place.expected !== undefined && (
        <p class="bad-text">
          The tree has: <HexText bytes={place.expected} />
        </p>
      )}
      {sibling !== undefined && (
        <p>
          Hashed with its {sibling.side} neighbor over {sibling.range}: <HexText bytes={sibling.hash} />
        </p>
      )}
    </div>
  );
}

function WayTable({ rows }: { readonly rows: readonly Row[] }) {
  return (
    <details>
      <summary>The same as a table</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <section class="wide" tabIndex={0} aria-label="The way as a table">
        <table>
          <thead>
            <tr>
              <th scope="col">Place</th>
              <th scope="col">Entries</th>
              <th scope="col">Hash, computed here</th>
              <th scope="col">Compared</th>
              <th scope="col">Neighbor</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ place, sibling, tone }, i) => (
              <tr key={`${place.begin} ${place.end}`} class={tone}>
                <th scope="row">{nameOf(i, rows.length)}</th>
                <td>{entriesOf(place)}</td>
                <td>
                  <HexText bytes={place.hash} />
                </td>
                <td>
                  {WORDS[tone]}
                  {place.expected !== undefined && (
                    <>
                      {': '}
                      <HexText bytes={place.expected} />
                    </>
                  )}
                </td>
                <td>{sibling === undefined ? 'none' : <HexText bytes={sibling.hash} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}

function rowsOf({ leaf, steps, holds, fault }: WayUp): Row[] {
  const places = [leaf, ...steps.map(({ parent }) => parent)];
  return places.map((place, i) => {
    const step = steps[i];
    const range = step === undefined ? '' : entriesOf(step.sibling);
    return {
      place,
      tone: toneOf(place, i, holds, fault),
      ...(step !== undefined && { sibling: { side: step.side, hash: step.sibling.hash, range } }),
    };
  });
}

function toneOf(place: WayPlace, i: number, holds: boolean, fault: WayUp['fault']): Tone {
  if (place.state === 'agrees') return 'good';
  // A tile with a wrong copy of a hash does not matter where the way holds: nothing was computed with it.
  if (holds) return 'plain';
  if (fault !== undefined && i === fault.at) return 'bad';
  return fault !== undefined && i > fault.above ? 'open' : 'plain';
}

function nameOf(i: number, count: number): string {
  if (count === 1) return 'Leaf and root';
  return i === 0 ? 'Leaf' : i === count - 1 ? 'Root' : `Step ${i}`;
}

function entriesOf({ begin, end }: { readonly begin: number; readonly end: number }): string {
  return end - begin === 1 ? `entry ${begin}` : `entries ${begin} to ${end - 1}`;
}
