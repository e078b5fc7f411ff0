import { describe, expect, it } from 'vitest';
import { endOf } from '../../../client/trust/last-checkpoint.ts';
import { cosign } from '../../../merkle/cosignature.ts';
import { formatNote, parseNote } from '../../../merkle/note.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { code, testWitness } from '../verify/verify-parts.ts';

const FROZEN = '2026-06-01T12:00:00.250Z';
const SECOND = Date.parse('2026-06-01T12:00:00Z') / 1000;

/** The last checkpoint of a log, cosigned at these seconds since 1970. */
async function last(line: string | undefined, ...times: number[]): Promise<string> {
  const log = new FakeLog();
  if (line !== undefined) log.extensions = [line];
  const { text, signatures } = parseNote(log.sign(log.text()));
  const lines = await Promise.all(times.map((time, i) => cosign(testWitness(`w${i}.test/w`), time, text)));
  return formatNote(text, [...signatures, ...lines]);
}

describe('the end of a log', () => {
  it.each([
    ['the second after the freeze', [], 1],
    ['the second after the last cosignature', [SECOND - 3, SECOND + 2], 3],
    ['not moved by a cosignature of much later', [SECOND + 2, SECOND + 86_400], 3],
  ])('is %s', async (_, times, seconds) => {
    expect(endOf(await last(`Log frozen — ${FROZEN}`, ...times))).toBe((SECOND + seconds) * 1000);
  });

  it('is not known of a checkpoint that does not say so', async () => {
    for (const line of [undefined, 'Log frozen — soon', 'another line']) {
      const note = await last(line);
      expect(code(() => endOf(note))).toBe('trust');
    }
  });
});
